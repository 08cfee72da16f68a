"""What the store tests share: the stores under test, a settable clock, and short ways to write events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from partita.core.events import AttemptEnded, AttemptStarted, Event, RunCreated, RunEnded, RunStarted
from partita.core.values import Value
from partita.store import postgres
from partita.store.contract import RunCommit, Store
from partita.store.memory import MemoryStore
from partita.store.sqlite import open_store

from . import servers

WORKER = "host:1:2"


class FakeClock:
    """A clock that stands still until it is set."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@contextmanager
def opened(kind: str, folder: Path, clock: Callable[[], float]) -> Iterator[Store]:
    """A store of that kind, closed at the end."""
    with ExitStack() as stack:
        if kind == "memory":
            store: Store = MemoryStore(clock=clock)
        elif kind == "sqlite":
            store = open_store(folder / "partita.db", clock=clock)
        else:
            address = stack.enter_context(servers.database(kind.removeprefix("postgres")))
            store = postgres.open_store(address, clock=clock)
        stack.callback(store.close)
        yield store


def created(
    run: str = "run-a", *, at: float = 1.0, origin: str = "", pipeline: str = "daily", graph: str = "g1", **more: object
) -> RunCreated:
    """A run that was asked for."""
    return RunCreated(
        at,
        run=run,
        namespace="default",
        project="shop",
        pipeline=pipeline,
        graph=graph,
        code="c1",
        origin=origin or f"cli:{run}",
        **more,  # type: ignore[arg-type]
    )


def started(step: str, index: str = "", attempt: int = 1, *, at: float = 2.0, epoch: int = 1) -> AttemptStarted:
    return AttemptStarted(at, step, index, attempt, epoch, WORKER)


def ended(
    step: str,
    index: str = "",
    attempt: int = 1,
    state: str = "succeeded",
    *,
    at: float = 3.0,
    epoch: int = 1,
    **more: object,
) -> AttemptEnded:
    return AttemptEnded(at, step, index, attempt, epoch, state, **more)  # type: ignore[arg-type]


def value(text: str = "hello") -> Value:
    data = text.encode()
    return Value("json", len(data), data)


class Writer:
    """Commits to a store as the engine does: owns the lease and counts the journal rows."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.epoch = store.acquire("engine", "test", 3600.0).epoch
        self._seq: dict[str, int] = {}

    def __call__(self, *events: Event, run: str = "run-a", at: float = 5.0) -> None:
        """One commit of one run."""
        self.many((run, events), at=at)

    def many(self, *commits: tuple[str, tuple[Event, ...]], at: float = 5.0) -> None:
        """One commit of several runs."""
        seqs = dict(self._seq)
        rows = []
        for run, events in commits:
            seqs[run] = seqs.get(run, 0) + 1
            rows.append(RunCommit(run, seqs[run], at, events))
        self.store.commit(rows, epoch=self.epoch)
        self._seq = seqs

    def run(self, run: str = "run-a", *, state: str = "", at: float = 1.0, **more: object) -> None:
        """A run that is running, or that has ended in `state`."""
        self(created(run, at=at, **more), RunStarted(at), run=run, at=at)  # type: ignore[arg-type]
        if state:
            self(RunEnded(at + 1, state), run=run, at=at + 1)  # type: ignore[arg-type]
