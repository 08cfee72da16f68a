"""`run` and `retry` where a service owns the store: it is asked for the runs, and they are watched from here.

Rule: the same words and exit codes as without a service.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from partita.cli import project, terminal
from partita.cli.following import followed
from partita.cli.words import many
from partita.core.plain import pack
from partita.engine.asking import Retry, Submit, Submitted
from partita.engine.postbox import reach
from partita.errors import DefinitionError, WorldError
from partita.store import versions

if TYPE_CHECKING:
    import msgspec

    from partita.core.manifest import Manifest
    from partita.settings import Settings
    from partita.store.contract import RunRow
    from partita.store.reading import SqlReader

A = TypeVar("A")


@dataclass(frozen=True)
class Wish:
    """What `partita run` was asked for."""

    target: str
    select: str
    partition: str
    params: dict[str, str]
    from_step: str
    fail_fast: bool | None
    priority: int
    tags: tuple[str, ...]


def run(settings: Settings, wish: Wish, *, json: bool) -> int:
    """Have the service run a pipeline or a selection of assets."""
    from partita.cli.run import _only_target, _refuse_broken
    from partita.engine import submission

    reader = project.open_memory(settings)
    try:
        manifest, prefix = _definitions(settings, reader)
        target = wish.target or _only_target(manifest)
        _refuse_broken(manifest, target)
        if wish.from_step:
            row = _last_finished(reader, manifest, target)
            return _again(settings, row, [wish.from_step], same_version=False, json=json)
        now = time.time()
        keys = submission.partition_keys(manifest, target, wish.partition, now=now) if wish.partition else [""]
    finally:
        reader.close()
    requests = [
        Submit(
            target=prefix + target,
            by=project.user_name(),
            params=pack(dict(wish.params)),
            partition=key,
            select=wish.select,
            key=str(uuid.uuid4()),
            tags=wish.tags,
            priority=wish.priority,
            fail_fast=wish.fail_fast,
            origin="cli",
        )
        for key in keys
    ]
    return followed(
        settings,
        lambda: [_asked(settings, request, Submitted) for request in requests],
        json=json,
        is_range=".." in wish.partition or len(keys) > 1,
    )


def retry(settings: Settings, name: str, steps: list[str], *, same_version: bool, json: bool) -> int:
    """Have the service run again what failed, or from steps on."""
    from partita.cli.naming import find_run

    reader = project.open_memory(settings)
    try:
        if name:
            row = find_run(reader, name)
        else:
            failed = reader.runs(states=("failed", "cancelled"), limit=1)
            if not failed:
                raise DefinitionError("no run here has failed", hint="name one: partita retry RUN --from STEP")
            row = failed[0]
    finally:
        reader.close()
    return _again(settings, row, steps, same_version=same_version, json=json)


def _again(settings: Settings, row: RunRow, steps: list[str], *, same_version: bool, json: bool) -> int:
    request = Retry(
        row.id, project.user_name(), tuple(steps), "same" if same_version else "latest", key=str(uuid.uuid4())
    )

    def submit() -> list[Submitted]:
        made = _asked(settings, request, Submitted)
        terminal.note(
            ("↻ ", "amber"),
            f"run {made.no}: {many(made.reused, 'step')} taken over from run {row.no}, {made.to_do} to do",
        )
        return [made]

    return followed(settings, submit, json=json)


def _asked(settings: Settings, request: msgspec.Struct, returns: type[A]) -> A:
    answer = reach(settings.home, request, returns)
    if answer is None:
        raise WorldError("the service has just ended", hint="ask again: partita up, or without it")
    return answer


def _definitions(settings: Settings, reader: SqlReader) -> tuple[Manifest, str]:
    """What this project defines, as the service has it, and what its targets begin with where several are served."""
    rows = [row for row in versions.projects(reader) if row.active]
    mine = next((row for row in rows if row.folder == str(settings.project)), None)
    if mine is None and not settings.home.socket.exists():
        # It is served on another machine, where its folder may be another one.
        from partita.define.project import read_config

        name = read_config(settings.project).name
        mine = next((row for row in rows if row.project == name), None)
    manifest = reader.manifest(mine.project) if mine is not None else None
    if mine is None or manifest is None:
        raise DefinitionError(
            f"{settings.project} is not served here, or was never loaded well",
            hint="see: partita doctor   or serve it: partita up DIR...",
        )
    return manifest, f"{mine.project}/" if len(rows) > 1 else ""


def _last_finished(reader: SqlReader, manifest: Manifest, target: str) -> RunRow:
    from partita.cli.outcome import last_finished

    if all(p.name != target for p in manifest.pipelines):
        raise DefinitionError("--from-step is for pipelines", hint="partita retry RUN --from STEP")
    return last_finished(reader, target)
