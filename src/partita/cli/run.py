"""`partita run`: run a pipeline or a selection of assets here, and watch it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from partita.cli import options, project, terminal
from partita.cli.executing import opened
from partita.cli.naming import quoted
from partita.cli.parsing import Argument, Option
from partita.errors import DefinitionError, ParamError

if TYPE_CHECKING:
    from partita.cli.watching import Watch
    from partita.core.manifest import Manifest
    from partita.engine.embedded import Embedded
    from partita.engine.submission import RunRequest


def run(
    target: Annotated[str, Argument("TARGET", "A pipeline, or a selection of assets: +dashboard, group:raw+")] = "",
    select: Annotated[str, Option(("--select",), "Only these steps of it: load+, tag:fast", "SELECTION")] = "",
    partition: Annotated[
        str, Option(("--partition",), "2013-06-13, or a run for each of 2013-06-01..2013-06-13", "KEY")
    ] = "",
    param: Annotated[list[str] | None, Option(("-p", "--param"), "A parameter; may be repeated", "NAME=VALUE")] = None,
    from_step: Annotated[
        str, Option(("--from-step",), "Repeat the last run of it from this step or group on", "STEP")
    ] = "",
    fail_fast: Annotated[bool | None, Option(("--fail-fast",), "End at the first failure, or not")] = None,
    priority: Annotated[int, Option(("--priority",), "Higher goes first", "N")] = 0,
    tag: Annotated[list[str] | None, Option(("--tag",), "A tag for the run; may be repeated", "TAG")] = None,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Run a pipeline, or a selection of assets, and watch it.

    Exits with 0 if it succeeded and 1 if not. Ctrl-C cancels it politely, a second one kills what still runs.
    """
    from partita.cli.serving import is_served

    settings = project.settings_of(folder)
    raw = _params(param or [])
    if from_step and (select or partition or raw):
        raise DefinitionError(
            "--from-step repeats an earlier run with its partition and parameters",
            hint="leave --select, --partition and --param out",
        )
    if is_served(settings):
        from partita.cli import asked

        wish = asked.Wish(target, select, partition, raw, from_step, fail_fast, priority, tuple(tag or ()))
        return asked.run(settings, wish, json=json)
    embedded, watch = opened(settings)
    with embedded:
        from partita.engine.submission import RunRequest

        target = target or _only_target(embedded.manifest)
        _refuse_broken(embedded.manifest, target)
        if from_step:
            return _repeat(embedded, watch, target, from_step, json=json)
        request = RunRequest(
            target=target,
            by=project.user_name(),
            origin="",
            select=select,
            priority=priority,
            fail_fast=fail_fast,
            tags=tuple(tag or ()),
        )
        return _run_all(embedded, watch, request, raw, partition, json=json)


def _run_all(
    embedded: Embedded, watch: Watch, request: RunRequest, raw: dict[str, str], partition: str, *, json: bool
) -> int:
    """One run for each partition that was asked for (or one without)."""
    from partita.cli import outcome
    from partita.engine import submission

    manifest, now = embedded.manifest, embedded.clock.now()
    keys = submission.partition_keys(manifest, request.target, partition, now=now) if partition else [""]
    params = embedded.bind(request.target, raw)
    requests = [replace(request, partition=key, params=params, origin=f"cli:{uuid.uuid4()}") for key in keys]
    # What is wrong is said before the engine starts and takes up what an earlier one left.
    submission.plan_run(manifest, requests[0], embedded.store, now=now, namespace=embedded.settings.namespace)
    return outcome.watched(
        embedded,
        watch,
        lambda: [embedded.submit(r) for r in requests],
        json=json,
        is_range=".." in partition or len(keys) > 1,
    )


def _repeat(embedded: Embedded, watch: Watch, target: str, step: str, *, json: bool) -> int:
    """The last finished run of a pipeline again, from a step on."""
    from partita.cli import outcome
    from partita.cli.retry import rerun

    if all(p.name != target for p in embedded.manifest.pipelines):
        raise DefinitionError("--from-step is for pipelines", hint=f"partita retry RUN --from {quoted(step)}")
    row = outcome.last_finished(embedded.store, target)
    return outcome.watched(embedded, watch, lambda: [rerun(embedded, row, [step])], json=json)


def _params(given: list[str]) -> dict[str, str]:
    raw: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ParamError(f"--param takes NAME=VALUE, not {text!r}", hint="--param region=eu")
        raw[name] = value
    return raw


def _only_target(manifest: Manifest) -> str:
    names = [p.name for p in manifest.pipelines]
    if len(names) == 1:
        return names[0]
    if not names:
        from partita.cli.problems import warn_of_problems

        warn_of_problems(manifest)
        if manifest.assets:
            raise DefinitionError(
                "this project has assets and no pipeline: say which assets to make",
                hint=f"partita run +{manifest.assets[-1].name}   or all of them: partita run '*'",
            )
        raise DefinitionError("this project defines nothing to run yet", hint="partita check   or: partita init")
    shown = ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")
    raise DefinitionError(f"say which pipeline: {shown}", hint=f"partita run {names[0]}")


def _refuse_broken(manifest: Manifest, target: str) -> None:
    """Say what is wrong with the definitions, if that may be why there is no such target."""
    if not manifest.problems:
        return
    from partita.cli.problems import problem_lines, warn_of_problems

    known = {p.name for p in manifest.pipelines} | {a.name for a in manifest.assets}
    is_selection = any(c in target for c in ":+*?,|&!( ")
    if target in known or is_selection:
        warn_of_problems(manifest)
        return
    for problem in manifest.problems[:5]:
        terminal.err().lines(problem_lines(problem))
    raise DefinitionError(f"{target!r} cannot run while the definitions are broken", hint="partita check")
