"""`partita backfill`: plan, start and steer backfills; against the service that runs here, or straight at its store.

Rule: planning only reads, in this process; all else is asked for.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from partita.cli import options, project, terminal
from partita.cli.parsing import Argument, Option
from partita.cli.tables import Column, print_table
from partita.cli.words import ago, counts, duration, exact, glyph, iso, many, state
from partita.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from partita.core.backfill import BackfillPlan
    from partita.settings import Settings
    from partita.store.backfills import BackfillRow
    from partita.store.reading import SqlReader

Target = Annotated[str, Argument("TARGET", "A partitioned pipeline, or a selection of assets: delays, group:raw+")]
Partitions = Annotated[
    str, Option(("--partition", "--partitions"), "Which: 2013-01-01..2013-12-31, a,b (default: all)", "KEYS")
]
Only = Annotated[str, Option(("--only",), "all, missing, or failed ones", "WHICH")]
Cascade = Annotated[
    str, Option(("--with",), "Also what it is made of, or what is made of it", "upstreams|downstreams|both")
]
Batch = Annotated[int | None, Option(("--batch",), "Partitions in one run; 0 = one run for all", "N", least=0)]
Order = Annotated[str, Option(("--order",), "oldest or newest first", "ORDER")]
Priority = Annotated[int, Option(("--priority",), "Of its runs; higher goes first", "N")]
MaxRuns = Annotated[int, Option(("--max-runs",), "Runs open at once", "N", least=1)]
Params = Annotated[list[str] | None, Option(("-p", "--param"), "A parameter; may be repeated", "NAME=VALUE")]
Tags = Annotated[list[str] | None, Option(("--tag",), "A tag for its runs; may be repeated", "TAG")]
Backfill = Annotated[str, Argument("BACKFILL", "A number, an id or its beginning, or `last`")]

_CHOICES = {"only": ("all", "missing", "failed"), "order": ("oldest", "newest")}
_CASCADES = ("none", "upstreams", "downstreams", "both")


def plan(
    target: Target = "",
    partition: Partitions = "*",
    only: Only = "all",
    cascade: Cascade = "none",
    batch: Batch = None,
    order: Order = "oldest",
    max_runs: MaxRuns = 8,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Show what a backfill would do: how many runs, what is there already, how long it takes."""
    settings = project.settings_of(folder)
    spec = _spec(target, partition, only, cascade, batch, order, max_runs)
    found = _plan(settings, spec, keep=False)
    if json:
        terminal.print_json(plan_object(found))
    else:
        _print_plan(found)
    return 0


def start(
    target: Target = "",
    partition: Partitions = "*",
    only: Only = "all",
    cascade: Cascade = "none",
    batch: Batch = None,
    order: Order = "oldest",
    priority: Priority = 0,
    max_runs: MaxRuns = 8,
    param: Params = None,
    tag: Tags = None,
    dry_run: Annotated[bool, Option(("--dry-run",), "Only show what it would do")] = False,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Make the runs that fill the partitions, a few at a time, until all are there. The service carries it out."""
    if dry_run:
        return plan(target, partition, only, cascade, batch, order, max_runs, json, folder)
    from partita.cli.asking import answer
    from partita.engine.backfills import BackfillAnswer, StartBackfill

    settings = project.settings_of(folder)
    spec = _spec(target, partition, only, cascade, batch, order, max_runs, priority, tag, _packed(param))
    found = _plan(settings, spec, keep=True)
    made = answer(
        settings, StartBackfill(found.spec, found.work, found.partitions, project.user_name()), BackfillAnswer
    )
    row = _find(project.open_memory(settings), made.id)
    if json:
        terminal.print_json(backfill_object(row, {}))
        return 0
    terminal.out().line(
        ("● ", "green"), f"backfill {row.no}: {many(row.total, 'run')} over {many(row.partitions, 'partition')}"
    )
    terminal.hint(f"how far it is: partita backfill show {row.no}")
    _say_if_nobody_works(settings)
    return 0


def list_(
    limit: Annotated[int, Option(("--limit",), "At most so many", "N", least=1)] = 20,
    before: Annotated[int, Option(("--before",), "Only older ones than this backfill", "NO", least=0)] = 0,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """List backfills, newest first."""
    from partita.store import backfills

    reader = project.open_memory(project.settings_of(folder))
    rows = backfills.backfills(reader, before_no=before or None, limit=limit)
    tallies = [backfills.counts(reader, row) for row in rows]
    if json:
        terminal.print_json([backfill_object(row, dict(c)) for row, c in zip(rows, tallies, strict=True)])
    elif not rows:
        terminal.note("there is no backfill")
        terminal.hint("plan one: partita backfill plan TARGET --partition 2013-01-01..2013-12-31")
    else:
        now = time.time()
        print_table(terminal.out(), _COLUMNS, [_cells(r, dict(c), now) for r, c in zip(rows, tallies, strict=True)])
    return 0


def show(
    name: Backfill = "last",
    state_: Annotated[str, Option(("--state",), "Only parts in this state", "STATE")] = "",
    limit: Annotated[int, Option(("--limit",), "At most so many parts", "N", least=1)] = 50,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Show how far a backfill is, and each of its parts that has done something."""
    from partita.core.backfill_course import STATES
    from partita.store import backfills

    if state_ and state_ not in STATES:
        raise DefinitionError(f"there is no state {state_!r} of parts", hint=f"there are {', '.join(STATES)}")
    reader = project.open_memory(project.settings_of(folder))
    row = _find(reader, name)
    tally = dict(backfills.counts(reader, row))
    parts = backfills.parts(reader, row, state=state_ or None, limit=limit)
    if json:
        import msgspec

        shown = [{**msgspec.to_builtins(p), "finished_at": iso(p.finished_at)} for p in parts]
        terminal.print_json({**backfill_object(row, tally), "parts": shown})
        return 0
    out, now = terminal.out(), time.time()
    out.line(glyph(row.state), f" backfill {row.no}: {row.target} {row.spec.partitions}, ", state(_state(row)))
    out.line("  ", *counts(tally), (f"  of {many(row.total, 'run')}", "dim"))
    out.line((f"  asked for by {row.by} {ago(row.created_at, now)}, {row.spec.max_runs} runs at once", "dim"))
    if row.reason:
        out.line(f"  {row.reason}")
    names = [stage.name for stage in backfills.work(reader, row.id).stages]
    numbers = {p.run: found.no for p in parts if p.run and (found := reader.run(p.run)) is not None}
    print_table(
        out,
        _PARTS,
        [
            [
                p.partition,
                names[p.stage] if len(names) > 1 else "",
                state(p.state),
                str(numbers.get(p.run, "")),
                p.reason,
            ]
            for p in parts
        ],
        indent=2,
    )
    if len(parts) == limit:
        terminal.note((f"more of them: --limit {limit * 10}, or --state failed", "dim"))
    return 0


def pause(
    name: Backfill = "last", reason: options.Reason = "", json: options.Json = False, folder: options.Project = None
) -> int:
    """Start nothing new of a backfill, and pause the runs that it has open."""
    return _ask(name, "pause", reason, json, folder)


def resume(name: Backfill = "last", json: options.Json = False, folder: options.Project = None) -> int:
    """Let a paused backfill go on."""
    return _ask(name, "resume", "", json, folder)


def cancel(
    name: Backfill = "last", reason: options.Reason = "", json: options.Json = False, folder: options.Project = None
) -> int:
    """End a backfill as a whole, with the runs that it has open."""
    return _ask(name, "cancel", reason, json, folder)


def retry(name: Backfill = "last", json: options.Json = False, folder: options.Project = None) -> int:
    """Run again what failed, was skipped or was cancelled of a backfill."""
    from partita.cli.asking import answer
    from partita.engine.backfills import BackfillAnswer, RetryBackfill

    settings = project.settings_of(folder)
    row = _find(project.open_memory(settings), name)
    told = answer(settings, RetryBackfill(row.id, project.user_name()), BackfillAnswer)
    if not _print_if_json(settings, row, json):
        terminal.out().line(("● ", "green"), f"backfill {row.no}: {many(told.parts, 'part')} to run again")
        _say_if_nobody_works(settings)
    return 0


# --- objects --------------------------------------------------------------------------------------------------------


def plan_object(found: BackfillPlan) -> dict[str, Any]:
    """A plan, as `--json` prints it."""
    import msgspec

    return {
        "target": found.spec.target,
        "runs": found.runs,
        "partitions": found.partitions,
        "subjects": [msgspec.to_builtins(s) for s in found.subjects],
        "estimate": msgspec.to_builtins(found.estimate),
    }


def backfill_object(row: BackfillRow, tally: dict[str, int]) -> dict[str, Any]:
    """A backfill, as `--json` prints it."""
    import msgspec

    from partita.cli.objects import plain

    fields: dict[str, Any] = msgspec.structs.asdict(row)
    spec = msgspec.structs.asdict(row.spec)
    spec["params"] = {name: plain(data) for name, data in row.spec.params.items()}
    spec["tags"] = list(row.spec.tags)
    return {
        **fields,
        "spec": spec,
        "created_at": iso(row.created_at),
        "finished_at": iso(row.finished_at),
        "counts": tally,
    }


# --- helpers --------------------------------------------------------------------------------------------------------


def _spec(
    target: str,
    partition: str,
    only: str,
    cascade: str,
    batch: int | None,
    order: str,
    max_runs: int,
    priority: int = 0,
    tags: Sequence[str] | None = None,
    params: dict[str, bytes] | None = None,
) -> Any:
    from partita.core.backfill import BackfillSpec

    if not target:
        raise DefinitionError("say what to fill back", hint="partita backfill plan TARGET --partition KEYS")
    for name, value in (("only", only), ("order", order)):
        if value not in _CHOICES[name]:
            raise DefinitionError(f"--{name} takes {', '.join(_CHOICES[name])}, not {value!r}")
    if cascade not in _CASCADES:
        raise DefinitionError(f"--with takes {', '.join(_CASCADES[1:])}, not {cascade!r}")
    return BackfillSpec(
        target=target,
        partitions=partition,
        only=only,  # type: ignore[arg-type]
        cascade=cascade,  # type: ignore[arg-type]
        batch=batch,
        order=order,  # type: ignore[arg-type]
        priority=priority,
        max_runs=max_runs,
        params=params or {},
        tags=tuple(tags or ()),
    )


def _packed(given: list[str] | None) -> dict[str, bytes]:
    """Parameters as text; planning reads them as the types of the pipeline."""
    from partita.core.plain import pack

    found: dict[str, bytes] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise DefinitionError(f"--param takes NAME=VALUE, not {text!r}", hint="--param region=eu")
        found[name] = pack(value)
    return found


def _plan(settings: Settings, spec: Any, *, keep: bool) -> BackfillPlan:
    """Plan with what is served, or (no service is here) with the project as it is now."""
    from partita.engine.backfill_planning import plan_backfill
    from partita.store import opening

    serves = project.has_engine(settings)
    fresh = None if serves else project.load(settings)
    if fresh is not None and (keep or not opening.exists(settings.home)):
        settings.home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        store = opening.open_store(settings.home)
        try:
            store.put_manifest(fresh)
        finally:
            store.close()
    reader = opening.open_reader(settings.home)
    try:
        manifests = {m.project: m for m in reader.manifests()}
        if fresh is not None:
            manifests[fresh.project] = fresh
        return plan_backfill(spec, manifests.values(), reader, now=time.time(), workers=settings.workers)
    finally:
        reader.close()


def _find(reader: SqlReader, name: str) -> BackfillRow:
    from partita.store import backfills

    if name == "last":
        newest = backfills.backfills(reader, limit=1)
        if not newest:
            raise DefinitionError("there is no backfill yet", hint="partita backfill plan TARGET")
        return newest[0]
    row = backfills.backfill(reader, name)
    if row is None:
        raise DefinitionError(f"there is no backfill {name!r}", hint="partita backfill list")
    return row


def _ask(
    name: str, what: Literal["pause", "resume", "cancel"], reason: str, json: bool, folder: options.Project
) -> int:
    from partita.cli.asking import answer
    from partita.engine.backfills import AskBackfill, BackfillAnswer

    settings = project.settings_of(folder)
    row = _find(project.open_memory(settings), name)
    told = answer(settings, AskBackfill(row.id, what, project.user_name(), reason), BackfillAnswer)
    if not _print_if_json(settings, row, json):
        runs = f", with {many(told.parts, 'open run')}" if told.parts else ""
        terminal.out().line(("● ", "green"), f"backfill {row.no} {_TOLD[what]}{runs}")
    return 0


_TOLD = {"pause": "is paused", "resume": "goes on", "cancel": "is being cancelled"}


def _print_if_json(settings: Settings, row: BackfillRow, json: bool) -> bool:
    if json:
        from partita.store import backfills

        reader = project.open_memory(settings)
        now = _find(reader, row.id)
        terminal.print_json(backfill_object(now, dict(backfills.counts(reader, now))))
    return json


def _say_if_nobody_works(settings: Settings) -> None:
    if not project.has_engine(settings):
        terminal.note(("◌ ", "amber"), "no service is at work here: it begins when one is")
        terminal.hint("start it: partita up")


def _print_plan(found: BackfillPlan) -> None:
    out, estimate = terminal.out(), found.estimate
    print_table(
        out,
        _SUBJECTS,
        [
            [s.name, s.project, str(s.stage + 1) if s.stage >= 0 else "", str(s.chosen), str(s.present), str(s.planned)]
            for s in found.subjects
        ],
    )
    out.line()
    out.line(
        (f"{many(found.runs, 'run')} over {many(found.partitions, 'partition')}", "bold"),
        f", {many(estimate.steps, 'step')}, {found.spec.max_runs} runs at once",
    )
    if estimate.seconds is None:
        out.line("how long it takes is unknown: nothing of it has run yet")
        return
    bound = f", bounded by {estimate.bottleneck}" if estimate.bottleneck else ""
    out.line(f"about {duration(estimate.seconds)}{bound}", (f"  (work of {duration(estimate.work_s)})", "dim"))
    if estimate.unknown:
        terminal.note((f"{many(estimate.unknown, 'step')} never ran: what they take is not counted", "dim"))


def _state(row: BackfillRow) -> str:
    return "paused" if row.paused and row.state == "running" else row.state


def _cells(row: BackfillRow, tally: dict[str, int], now: float) -> list[Any]:
    done = row.total - tally.get("waiting", 0) - tally.get("running", 0)
    return [
        str(row.no),
        row.target,
        row.spec.partitions,
        state(_state(row)),
        f"{done} of {row.total}",
        ago(row.created_at, now),
        (exact(row.created_at), "dim"),
        row.by,
    ]


_COLUMNS = (
    Column("no", right=True),
    Column("target", flexible=True),
    Column("partitions"),
    Column("state"),
    Column("runs", right=True),
    Column("asked for", right=True),
    Column("at"),
    Column("by"),
)
_SUBJECTS = (
    Column("what", flexible=True),
    Column("project"),
    Column("stage", right=True),
    Column("chosen", right=True),
    Column("present", right=True),
    Column("to make", right=True),
)
_PARTS = (
    Column("partition"),
    Column("stage"),
    Column("state"),
    Column("run", right=True),
    Column("reason", flexible=True),
)
