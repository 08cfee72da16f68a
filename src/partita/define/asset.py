"""`@asset`, `@multi_asset`, `external_asset` and `bundle`: named pieces of data and the code that makes them.

Rule: a definition knows only what was written on it; what it depends on is found when all definitions are known.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, Unpack, overload

from partita.core.manifest import Freshness, PartitionSpec
from partita.define.automation import read_condition
from partita.define.durations import Duration, seconds
from partita.define.guess import did_you_mean
from partita.define.io import IO
from partita.define.names import name_problem
from partita.define.options import STEP_OPTIONS, Options, name, text, words
from partita.define.recording import Declared, Follows, declare, forgiving
from partita.define.task import TaskDef, task_of
from partita.define.tracer import current_tracer
from partita.define.where import Place, caller, wrong
from partita.errors import DefinitionError


class AssetOptions(Options, total=False):
    """The options of an asset, as written: those of a step, and these."""

    deps: Sequence[Any] | Mapping[str, Any] | Any
    partitions: PartitionSpec | None
    group: str
    kinds: str | Sequence[str]
    io: IO | None
    freshness: Duration | Freshness
    automation: Any
    backfill_batch: int | Literal["all"]
    columns: Mapping[str, str] | Sequence[str]
    lineage: Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is said about one asset. `deps` are names or definitions; `params` those given by parameter name."""

    name: str
    deps: tuple[Any, ...] = ()
    params: tuple[tuple[str, Any], ...] = ()
    group: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    description: str = ""
    partitions: PartitionSpec | None = None
    columns: tuple[tuple[str, str], ...] = ()
    lineage: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    freshness: Freshness | None = None
    automation: bytes | None = None
    backfill_batch: int = 1
    io: IO | None = None
    version: str = ""
    place: Place = field(default=Place("", 0), compare=False)


class AssetDef(Declared):
    """An asset and the function that makes it."""

    def __init__(self, function: Any, options: Mapping[str, Any]) -> None:
        own, step = _split(options, f"asset `{options.get('name') or getattr(function, '__name__', '?')}`")
        self.task: TaskDef = task_of(function, step, "asset")
        self.name = self.task.name
        self.place = self.task.place
        settings = self.task.settings
        self.facts = _facts(
            {
                **own,
                "name": self.name,
                "owner": settings.owner,
                "tags": settings.tags,
                "description": self.task.description,
                "version": settings.version or "",
            },
            f"asset `{self.name}`",
            self.place,
        )
        functools.update_wrapper(self, function)
        declare(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The plain function."""
        _refuse_in_pipeline(self.name)
        return self.task.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<asset {self.name} at {self.place}>"


class MultiAssetDef(Declared):
    """Several assets made by one function."""

    def __init__(self, function: Any, outs: Sequence[Facts | str], options: Mapping[str, Any]) -> None:
        own, step = _split(options, f"multi_asset `{options.get('name') or getattr(function, '__name__', '?')}`")
        self.task: TaskDef = task_of(function, step, "bundle")
        self.name = self.task.name
        self.place = self.task.place
        if not isinstance(outs, list | tuple) or not outs:
            raise wrong(
                f"multi_asset `{self.name}` makes no assets", hint='outs=[pt.out("a"), pt.out("b")]', place=self.place
            )
        settings = self.task.settings
        shared = {"owner": settings.owner, "tags": settings.tags, "version": settings.version or "", **own}
        shared_facts = _facts({**shared, "name": self.name}, f"multi_asset `{self.name}`", self.place)
        self.params = shared_facts.params
        self.deps = shared_facts.deps
        self.outs = tuple(self._out(item, shared_facts) for item in outs)
        functools.update_wrapper(self, function)
        declare(self)

    def _out(self, item: Any, shared: Facts) -> Facts:
        facts = Facts(name=item, place=self.place) if isinstance(item, str) else item
        if not isinstance(facts, Facts):
            raise wrong(f"multi_asset `{self.name}`: {item!r} is no out", hint='write pt.out("name")', place=self.place)
        return Facts(
            name=facts.name,
            deps=facts.deps,
            params=facts.params,
            group=facts.group or shared.group,
            owner=facts.owner or shared.owner,
            tags=facts.tags or shared.tags,
            kinds=facts.kinds or shared.kinds,
            description=facts.description,
            partitions=facts.partitions or shared.partitions,
            columns=facts.columns,
            lineage=facts.lineage,
            freshness=facts.freshness or shared.freshness,
            automation=facts.automation or shared.automation,
            backfill_batch=facts.backfill_batch if facts.backfill_batch != 1 else shared.backfill_batch,
            io=facts.io or shared.io,
            version=facts.version or shared.version,
            place=self.place,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The plain function."""
        _refuse_in_pipeline(self.name)
        return self.task.function(*args, **kwargs)


class ExternalAsset(Declared):
    """An asset that somebody else makes."""

    def __init__(self, facts: Facts) -> None:
        self.name = facts.name
        self.facts = facts
        self.place = facts.place
        declare(self)

    def __repr__(self) -> str:
        return f"<external asset {self.name}>"


@dataclass(frozen=True, slots=True)
class MemberCheck:
    """A check among the members of a bundle."""

    asset: str
    name: str
    blocking: bool = True
    severity: Literal["warn", "error"] | None = None
    deps: tuple[Any, ...] = ()
    owner: str = ""
    tags: tuple[str, ...] = ()
    description: str = ""


class BundleDef(Declared):
    """A step of which one attempt makes many assets and checks, each with its own start and end."""

    def __init__(
        self,
        title: str,
        function: Callable[..., Any],
        members: Sequence[Facts | MemberCheck],
        options: Mapping[str, Any],
    ) -> None:
        self.place = caller()
        of = f"bundle `{title}`"
        own, step = _split({**options, "name": title}, of)
        self.task = TaskDef(function, step, self.place, "bundle")
        self.name = self.task.name
        self.members = tuple(members)
        for member in self.members:
            if not isinstance(member, Facts | MemberCheck):
                hint = "use pt.out(...) for assets and pt.member_check(...) for checks"
                raise wrong(f"{of}: {member!r} is no member", hint=hint, place=self.place)
        if "members" not in self.task.signature.parameters or self.task.signature.context_param is None:
            hint = "it is called with the names of the members to make, and reports each through ctx.member(name)"
            raise wrong(f"{of}: its function must take (ctx, members)", hint=hint, place=self.place)
        shared = _facts({**own, "name": title}, of, self.place)
        self.deps, self.group, self.partitions = shared.deps, shared.group, shared.partitions
        declare(self)


def asset_facts(item: Any) -> tuple[Facts, ...] | None:
    """The assets that a definition makes; None for what is no asset."""
    if isinstance(item, AssetDef | ExternalAsset):
        return (item.facts,)
    if isinstance(item, MultiAssetDef):
        return item.outs
    if isinstance(item, BundleDef):
        return tuple(member for member in item.members if isinstance(member, Facts))
    return None


# --- what users write -----------------------------------------------------------------------------------------------


@overload
def asset(function: Callable[..., Any], /) -> AssetDef: ...
@overload
def asset(**options: Unpack[AssetOptions]) -> Callable[[Callable[..., Any]], AssetDef]: ...
def asset(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function an asset. Its dependencies are the assets that its parameters are named after, and `deps`.

    >>> @pt.asset(partitions=day, owner="flights", group="raw")  # doctest: +SKIP
    ... def daily_delays(flights): ...
    """
    if function is None:
        return lambda f: _forgiven(lambda: AssetDef(f, options), lambda: AssetDef(f, _named(options)))
    return _forgiven(lambda: AssetDef(function, options), lambda: AssetDef(function, {}))


def _named(options: Mapping[str, Any]) -> dict[str, Any]:
    """Only the name, if it is one: what a stand-in is known by."""
    given = options.get("name")
    return {} if name_problem(given) else {"name": given}


D = TypeVar("D", bound=Declared)


def _forgiven(build: Callable[[], D], bare: Callable[[], D]) -> D:
    def stand_in(error: DefinitionError) -> D:
        definition = bare()
        definition.broken = error
        return definition

    return forgiving(build, stand_in)


def multi_asset(
    *, outs: Sequence[Facts | str], **options: Unpack[AssetOptions]
) -> Callable[[Callable[..., Any]], MultiAssetDef]:
    """Make a function that makes several assets in one step; it returns a dict by name, or a tuple in this order.

    An asset that is missing in the dict is skipped.
    """
    return lambda function: _forgiven(
        lambda: MultiAssetDef(function, outs, options), lambda: MultiAssetDef(function, outs, _named(options))
    )


def out(name: str, **options: Any) -> Facts:
    """One asset of a `@multi_asset` or bundle: name, deps, group, owner, tags, kinds, description, columns, io, ..."""
    return _facts({**options, "name": name}, f"out `{name}`", caller())


def external_asset(name: str, **options: Any) -> ExternalAsset:
    """An asset that is made elsewhere: it can be depended on, and read as a value if it has an `io`."""
    if options.get("automation") is not None:
        raise wrong(f"external asset `{name}` has no code of ours that automation could run")
    return ExternalAsset(_facts({**options, "name": name}, f"external asset `{name}`", caller()))


def bundle(
    name: str,
    function: Callable[..., Any],
    members: Sequence[Facts | MemberCheck],
    **options: Any,
) -> BundleDef:
    """One step for many assets and checks, for programs that make them together (dbt, a Spark job).

    `function(ctx, members)` is called with the keys to perform ("asset", "asset:check") and reports each one by
    `with ctx.member(key):` or `ctx.member_began(key)` and `ctx.member_ended(key, ...)`.
    """
    return BundleDef(name, function, members, options)


def member_check(asset: Any, name: str, **options: Any) -> MemberCheck:
    """A check among the members of a bundle: blocking, severity, deps, owner, tags, description."""
    of = f"check `{name}`"
    known = {"blocking", "severity", "deps", "owner", "tags", "description"}
    if unknown := sorted(set(options) - known):
        raise wrong(f"{of} has no option `{unknown[0]}`", hint=did_you_mean(unknown[0], known))
    return MemberCheck(
        asset=getattr(asset, "name", asset),
        name=_checked(of, "name", name_of_check, name),
        blocking=bool(options.get("blocking", True)),
        severity=options.get("severity"),
        deps=tuple(options.get("deps", ())),
        owner=options.get("owner", ""),
        tags=_checked(of, "tags", words, options.get("tags", ())),
        description=options.get("description", ""),
    )


# --- reading options ------------------------------------------------------------------------------------------------


def name_of_check(value: Any) -> str:
    """A valid name of a check."""
    return name(value)


def _columns(value: Any) -> tuple[tuple[str, str], ...]:
    if isinstance(value, Mapping):
        return tuple((str(column), str(kind)) for column, kind in value.items())
    if isinstance(value, list | tuple):
        return tuple((str(c[0]), str(c[1])) if isinstance(c, tuple) else (str(c), "") for c in value)
    raise ValueError(f"{value!r} is no dict of columns and their types")


def _lineage(value: Any) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    if not isinstance(value, Mapping):
        raise ValueError(
            f'{value!r} is no dict of columns and what they are made from: {{"delay": "flights.dep_delay"}}'
        )
    return tuple((str(column), tuple(_column_of(c) for c in _deps(read))) for column, read in value.items())


def _column_of(value: Any) -> tuple[str, str]:
    asset, _, column = str(value).rpartition(".")
    if not asset or not column:
        raise ValueError(f"{value!r} is no column of an asset: write asset.column")
    return asset, column


def _io(value: Any) -> Any:
    if value is None or (hasattr(value, "dump") and hasattr(value, "load")):
        return value
    raise ValueError(f"{value!r} is no IO object: it needs dump(ctx, value) and load(ctx)")


def _partitions(value: Any) -> Any:
    if isinstance(value, PartitionSpec) and value.kind == "static" and not value.keys:
        raise Follows("its partitions are wrong themselves")
    if value is None or isinstance(value, PartitionSpec):
        return value
    raise ValueError(f'{value!r} is no partition definition: write pt.daily(start="2013-01-01")')


def _deps(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple | set | frozenset) else (value,)


def _freshness(value: Any) -> Freshness:
    return value if isinstance(value, Freshness) else Freshness(fail_s=seconds(value))


def _batch(value: Any) -> int:
    if value == "all":
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f'{value!r} is neither "all" nor a number of partitions')
    return int(value)


_FACT_READERS: dict[str, Callable[[Any], Any]] = {
    "name": name,
    "deps": _deps,
    "group": lambda value: name(value) if value else "",
    "owner": text,
    "tags": words,
    "kinds": words,
    "description": text,
    "partitions": _partitions,
    "columns": _columns,
    "lineage": _lineage,
    "freshness": _freshness,
    "automation": read_condition,
    "backfill_batch": _batch,
    "io": _io,
    "version": str,
}
_OWN_OPTIONS = frozenset(
    {"deps", "partitions", "group", "kinds", "io", "freshness", "columns", "lineage", "automation", "backfill_batch"}
)


def _split(options: Mapping[str, Any], of: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of the asset, and those of the step that makes it."""
    for option in options:
        if option not in _OWN_OPTIONS and option not in STEP_OPTIONS:
            raise wrong(f"{of} has no option `{option}`", hint=did_you_mean(option, _OWN_OPTIONS | STEP_OPTIONS))
    own = {option: value for option, value in options.items() if option in _OWN_OPTIONS}
    return own, {option: value for option, value in options.items() if option not in _OWN_OPTIONS}


def _facts(options: Mapping[str, Any], of: str, place: Place) -> Facts:
    read: dict[str, Any] = {}
    for option, value in options.items():
        reader = _FACT_READERS.get(option)
        if reader is None:
            raise wrong(f"{of} has no option `{option}`", hint=did_you_mean(option, _FACT_READERS), place=place)
        if option == "deps" and isinstance(value, Mapping):
            read["params"] = tuple(value.items())
            continue
        read[option] = _checked(of, option, reader, value, place)
    return Facts(**read, place=place)


def _checked(of: str, option: str, reader: Callable[[Any], Any], value: Any, place: Place | None = None) -> Any:
    try:
        return reader(value)
    except ValueError as error:
        raise wrong(f"option `{option}` of {of}: {error}", place=place) from None


def _refuse_in_pipeline(name: str) -> None:
    tracer = current_tracer()
    if tracer is not None:
        raise wrong(
            f"asset `{name}` is called in pipeline `{tracer.name}`, which is made of tasks",
            hint=f'assets run by selection: pt.pipeline("{tracer.name}", assets="+{name}")',
        )
