"""What a step's code may know and say about its own attempt: `pt.Context`.

Rule: facts are read-only; everything that has an effect goes through the `ContextBackend`, which the worker implements.
What is reported (metadata) is collected here and read by the worker when the attempt has ended.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Any, Protocol

from partita.core.events import AssetReport, CheckReport, Failure, Meta
from partita.define.metadata import meta
from partita.define.secret import resolve, secret
from partita.errors import PartitaError


class ContextBackend(Protocol):
    """What the worker does for user code. Called from the thread or task in which the user's code runs.

    `save` is durable when it returns; `load` gives back what any earlier attempt of this step instance saved last.
    """

    def progress(self, done: float, total: float, text: str) -> None: ...
    def heartbeat(self) -> None: ...
    def save(self, name: str, value: Any) -> None: ...
    def load(self, name: str, default: Any) -> Any: ...
    def is_cancelled(self) -> bool: ...
    def member_began(self, member: str, at: float) -> None: ...
    def member_log(self, member: str, text: str) -> None: ...
    def member_ended(
        self,
        member: str,
        state: str,
        began_at: float,
        ended_at: float,
        value: Any,
        assets: tuple[AssetReport, ...],
        checks: tuple[CheckReport, ...],
        failure: Failure | BaseException | None,
        cached_from: str = "",
    ) -> None: ...


@dataclass(slots=True)
class MemoryBackend:
    """Keeps in memory what user code says: what a context has when it stands alone, as in a unit test."""

    said: list[tuple[Any, ...]] = field(default_factory=list)
    saved: dict[str, Any] = field(default_factory=dict)
    cancelled: bool = False

    def progress(self, done: float, total: float, text: str) -> None:
        self.said.append(("progress", done, total, text))

    def heartbeat(self) -> None:
        self.said.append(("heartbeat",))

    def save(self, name: str, value: Any) -> None:
        self.saved[name] = value

    def load(self, name: str, default: Any) -> Any:
        return self.saved.get(name, default)

    def is_cancelled(self) -> bool:
        return self.cancelled

    def member_began(self, member: str, at: float) -> None:
        self.said.append(("member_began", member, at))

    def member_log(self, member: str, text: str) -> None:
        self.said.append(("member_log", member, text))

    def member_ended(
        self,
        member: str,
        state: str,
        began_at: float,
        ended_at: float,
        value: Any,
        assets: tuple[AssetReport, ...],
        checks: tuple[CheckReport, ...],
        failure: Failure | BaseException | None,
        cached_from: str = "",
    ) -> None:
        self.said.append(("member_ended", member, state, value, assets, checks, failure, began_at, ended_at))


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """An earlier attempt of the same step instance."""

    attempt: int
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class MemberReport:
    """What a member of a bundle reports while it is performed: `with ctx.member("orders") as member: ...`."""

    name: str
    metadata: list[Meta] = field(default_factory=list)
    checks: list[CheckReport] = field(default_factory=list)
    result: list[Any] = field(default_factory=list)

    def add_metadata(self, name: str | None = None, value: object = None, /, **entries: object) -> None:
        """Report metadata of this member's asset."""
        self.metadata.extend(_entries(name, value, entries))

    def returns(self, value: Any) -> None:
        """Give the member's value."""
        self.result[:] = [value]


@dataclass(frozen=True, slots=True)
class Context:
    """One attempt of one step instance, as its code sees it. In a unit test: `pt.Context(partition="2013-01-01")`.

    `execution_uid` is unique to this attempt, `idempotency_key` the same over all attempts of the instance;
    `fencing_token` grows whenever another engine takes over. `data_interval` are the bounds of the partition (UTC).
    `partitions` are all that this run makes: one, none, or (a run over a range) several; `partition` is then their range.
    `memory_bytes` is what this attempt may use, if its task has a limit; it may be more than the attempt before had.
    """

    run_id: str = "local"
    run_no: int = 0
    pipeline: str = ""
    namespace: str = "default"
    step: str = ""
    index: str = ""
    attempt: int = 1
    max_attempts: int = 1
    previous: tuple[PastAttempt, ...] = ()
    fencing_token: int = 0
    partition: str = ""
    data_interval: tuple[dt.datetime, dt.datetime] | None = None
    nominal_time: dt.datetime | None = None
    asset: str = ""
    backend: ContextBackend = field(default_factory=MemoryBackend, repr=False, compare=False)
    partitions: tuple[str, ...] = ()
    memory_bytes: int | None = None
    _metadata: list[Meta] = field(default_factory=list, repr=False, compare=False)
    _assets: dict[str, list[Meta]] = field(default_factory=dict, repr=False, compare=False)
    _versions: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.partition and not self.partitions:
            object.__setattr__(self, "partitions", (self.partition,))

    # --- facts ---

    @property
    def map_index(self) -> int | None:
        """The position in the innermost map; None outside of maps."""
        return int(self.index.rpartition(".")[2]) if self.index else None

    @property
    def idempotency_key(self) -> str:
        """The same for all attempts of this step instance: for "do it once" at a remote side."""
        return f"{self.namespace}/{self.run_id}/{self.step}/{self.index}"

    @property
    def attempt_key(self) -> str:
        return f"{self.idempotency_key}/{self.attempt}"

    @property
    def execution_uid(self) -> str:
        """Unique to this attempt under this engine."""
        return f"{self.attempt_key}/{self.fencing_token}"

    @property
    def logger(self) -> logging.Logger:
        """A logger named after the step; print is captured just as well."""
        return logging.getLogger(f"partita.step.{self.step}")

    # --- effects ---

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Say how far it is: `ctx.progress(3, 10, "loading")`."""
        self.backend.progress(float(done), float(total or 0), text)

    def heartbeat(self) -> None:
        """Say that it lives."""
        self.backend.heartbeat()

    def cancelled(self) -> bool:
        """Has somebody asked this attempt to stop?"""
        return self.backend.is_cancelled()

    def save(self, value: Any, name: str = "state") -> None:
        """Keep a checkpoint; the next attempt finds it by `load`."""
        self.backend.save(name, value)

    def load(self, name: str = "state", default: Any = None) -> Any:
        """The checkpoint that this or an earlier attempt saved last."""
        return self.backend.load(name, default)

    def secret(self, name: str) -> str:
        """The value of a secret: `ctx.secret("WAREHOUSE_PASSWORD")`. It is masked in logs and reports from now on."""
        return resolve(secret(name).name)

    def resource(self, name: str) -> Any:
        """A resource by its name: `ctx.resource("warehouse")`."""
        from partita.define.injecting import resource_named

        return resource_named(name)

    # --- metadata ---

    def add_metadata(self, name: str | None = None, value: object = None, /, **entries: object) -> None:
        """Report metadata of this attempt, and of the asset it makes: `ctx.add_metadata(rows=17)`."""
        self._metadata.extend(_entries(name, value, entries))

    def add_asset_metadata(
        self, asset: str, name: str | None = None, value: object = None, /, **entries: object
    ) -> None:
        """Report metadata of one asset of several, or that a task made an asset."""
        self._assets.setdefault(asset, []).extend(_entries(name, value, entries))

    def set_data_version(self, version: str, asset: str | None = None) -> None:
        """Say which version of the data was made, so that equal data need not be made again downstream."""
        self._versions[asset or self.asset] = version

    def reported_metadata(self) -> tuple[Meta, ...]:
        """What `add_metadata` has collected (for the worker)."""
        return _last_of_each(self._metadata)

    def reported_assets(self) -> tuple[AssetReport, ...]:
        """What was said about assets (for the worker); the step's own asset comes first."""
        own = {self.asset: self._metadata} if self.asset else {}
        names = dict.fromkeys([*own, *self._assets, *self._versions])
        return tuple(
            AssetReport(
                asset,
                self.partition,
                self._versions.get(asset, ""),
                _last_of_each([*own.get(asset, ()), *self._assets.get(asset, ())]),
            )
            for asset in names
        )

    # --- members of a bundle ---

    @contextmanager
    def member(self, name: str) -> Iterator[MemberReport]:
        """Perform one member of a bundle: it begins now, and ends when the block does (failed if it raises)."""
        report = MemberReport(name)
        began_at = time.time()
        self.backend.member_began(name, began_at)
        failure: BaseException | None = None
        try:
            yield report
        except BaseException as error:
            failure = error
            raise
        finally:
            state = "succeeded" if failure is None else "failed"
            self.member_ended(
                name,
                state,
                began_at=began_at,
                value=report.result[0] if report.result else None,
                metadata=tuple(report.metadata),
                checks=tuple(report.checks),
                failure=failure,
            )

    def member_began(self, name: str, at: float | None = None) -> None:
        """Say that a member is being performed (when a `with` block does not fit, as with another program's events)."""
        self.backend.member_began(name, time.time() if at is None else at)

    def member_log(self, name: str, text: str) -> None:
        """Write lines into the log of a member that has begun, whichever of them began last."""
        self.backend.member_log(name, text)

    def member_ended(
        self,
        name: str,
        state: str = "succeeded",
        *,
        began_at: float | None = None,
        ended_at: float | None = None,
        value: Any = None,
        metadata: tuple[Meta, ...] | Mapping[str, object] = (),
        checks: tuple[CheckReport, ...] = (),
        failure: Failure | BaseException | str | None = None,
        cached_from: str = "",
    ) -> None:
        """Say how a member ended: "succeeded", "failed", "skipped" or "upstream_failed".

        The member `name` is an asset, or "asset:check" (then `checks` holds its report). `cached_from` names the
        attempt ("run/step/index/attempt") whose result is still good, if nothing had to be made.
        """
        ended = time.time() if ended_at is None else ended_at
        metas = tuple(_entries(None, None, metadata)) if isinstance(metadata, Mapping) else metadata
        is_check = ":" in name
        assets = () if is_check or state != "succeeded" else (AssetReport(name, self.partition, "", metas),)
        if isinstance(failure, str):
            failure = Failure(failure)
        began = ended if began_at is None else began_at
        self.backend.member_ended(name, state, began, ended, value, assets, checks, failure, cached_from)


def _entries(name: str | None, value: object, entries: Mapping[str, object]) -> list[Meta]:
    named = [] if name is None else [meta(name, value)]
    return named + [meta(n, v) for n, v in entries.items()]


def _last_of_each(metadata: list[Meta]) -> tuple[Meta, ...]:
    return tuple({entry.name: entry for entry in metadata}.values())


# A function instead of a context is called when user code asks first: most steps never do.
_current: ContextVar[Context | Callable[[], Context] | None] = ContextVar("partita_context", default=None)


def context() -> Context:
    """The context of the step whose code is running now."""
    current = _current.get()
    if current is None:
        raise PartitaError(
            "there is no context: no step is running here",
            hint="call pt.context() inside of a step, or take a parameter `ctx: pt.Context` and pass one in unit tests",
        )
    if not isinstance(current, Context):
        current = current()
        _current.set(current)
    return current


def is_in_step() -> bool:
    """Whether code of a step is running here."""
    return _current.get() is not None


def enter(current: Context | Callable[[], Context]) -> Token[Any]:
    """Make this the context of the code that is about to run (for the worker)."""
    return _current.set(current)


def leave(token: Token[Any]) -> None:
    """Undo `enter`."""
    _current.reset(token)
