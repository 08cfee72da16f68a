"""Random histories, sense and nonsense: every store has the same rows, and they are what the journal folds to."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from partita.core.events import (
    AttemptDispatched,
    CancelRequested,
    CheckEvaluated,
    Detail,
    Event,
    Failure,
    GateAnswered,
    GateHeard,
    GateOpened,
    GateReported,
    GateVoted,
    Materialized,
    Meta,
    PauseRequested,
    ResumeRequested,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
    StepReused,
    Usage,
)
from partita.errors import StoreError
from partita.store.contract import AttemptRow, RunCommit, Store
from partita.store.memory import MemoryStore
from partita.store.sqlite import open_store

from .stores import created, ended, started, value

STEPS = ("extract", "load")
INDEXES = ("", "2", "10")


def some_events(rng: random.Random, at: float, open_attempts: list[AttemptRow]) -> list[Event]:
    """An event or two about one of few steps: half of them end an attempt that is open, the others come as they come,
    in order, late, twice, or out of epoch."""
    step, index, attempt = rng.choice(STEPS), rng.choice(INDEXES), rng.randint(1, 3)
    if open_attempts and rng.random() < 0.5:
        chosen = rng.choice(open_attempts)
        step, index, attempt = chosen.step, chosen.index, chosen.attempt
        made = Materialized(at, step, index, attempt, "flights", index, str(at), "c", (Meta("n", "number", b"\x01"),))
        return [_end(rng, step, index, attempt, at), *([made] * rng.randint(0, 2))]
    return [_any_event(rng, step, index, attempt, at)]


def _end(rng: random.Random, step: str, index: str, attempt: int, at: float) -> Event:
    detail = rng.choice([None, Detail(failure=Failure("no"), usage=Usage(1.0, 2)), Detail(choice=b"\x01", again=True)])
    state = rng.choice(["succeeded", "succeeded", "failed", "timed_out", "lost", "cancelled", "refused"])
    epoch = 1 if rng.random() < 0.9 else 2
    return ended(step, index, attempt, state, at=at, epoch=epoch, value=value(str(at)), detail=detail, began_at=at - 1)


def _any_event(rng: random.Random, step: str, index: str, attempt: int, at: float) -> Event:
    epoch = 1 if rng.random() < 0.9 else 2
    return rng.choice(
        [
            *[started(step, index, attempt, at=at, epoch=epoch)] * 6,
            *[_end(rng, step, index, attempt, at)] * 3,
            AttemptDispatched(at, step, index, attempt, epoch, "k8s", f"x-{attempt}"),
            StepRetried(at, step, index, attempt + 1, at + 10, "again"),
            StepEnded(at, step, index, rng.choice(["failed", "skipped", "cancelled"]), "so", (step,)),  # type: ignore[arg-type]
            StepReused(at, step, index, "run-0", value=value()),
            Materialized(at, step, index, attempt, "flights", index, str(at), "c", (Meta("n", "number", b"\x01"),)),
            CheckEvaluated(at, step, index, attempt, "flights", "fresh", index, rng.random() < 0.5, "warn"),
            *_gate_events(rng, step, index, at),
            RunStarted(at),
            CancelRequested(at, "ann"),
            PauseRequested(at, "ann"),
            ResumeRequested(at, "ann"),
            RunEnded(at, rng.choice(["succeeded", "failed"])) if rng.random() < 0.1 else RunStarted(at),  # type: ignore[arg-type]
        ]
    )


def _gate_events(rng: random.Random, step: str, index: str, at: float) -> list[Event]:
    by, accepted = rng.choice(["ana", "bo"]), rng.random() < 0.5
    return [
        GateOpened(at, step, index, "approval", at + 60),
        GateVoted(at, step, index, by, "approve", ("operator",), "ok", b"\x01"),
        GateHeard(at, step, index, "on it"),
        GateReported(at, step, index, "succeeded", "ci", value(str(at))),
        GateAnswered(
            at, step, index, "people", accepted, "approve", (by,), "so", value() if accepted else None, b"\x01"
        ),
    ]


def outcome(store: Store, commits: list[RunCommit], epoch: int) -> str:
    """What a commit said: nothing, or the kind of its refusal."""
    try:
        store.commit(commits, epoch=epoch)
    except StoreError as error:
        return type(error).__name__
    return ""


def all_rows(store: Store) -> list[object]:
    runs = store.runs(limit=100)
    per_run = [
        (store.steps(r.id), store.attempts(r.id), store.journal(r.id), store.materialized_in(r.id),
         store.gates(r.id), store.votes(r.id)) for r in runs
    ]  # fmt: skip
    latest = [store.materialization("flights", index) for index in INDEXES]
    return [runs, store.open_runs(), per_run, store.checks(), store.materializations("flights", limit=1000), latest,
            store.usual("daily")]  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_a_random_history_makes_the_same_rows_in_every_store(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    memory, sqlite = MemoryStore(), open_store(tmp_path / "partita.db")
    epoch = memory.acquire("engine", "test", 3600.0).epoch
    assert sqlite.acquire("engine", "test", 3600.0).epoch == epoch
    refused = written = 0
    seqs: dict[str, int] = {}
    for turn in range(30):
        after, commits = dict(seqs), []
        for run in rng.choices(["run-a", "run-b", "run-c"], k=rng.randint(1, 3)):
            known = memory.attempts(run, open_only=True)
            events = [event for n in range(rng.randint(1, 5)) for event in some_events(rng, turn + n / 100, known)]
            if run not in after:
                events.insert(0, created(run, at=float(turn)))
            after[run] = after.get(run, 0) + 1
            commits.append(RunCommit(run, after[run], float(turn), tuple(events)))
        answer = outcome(memory, commits, epoch)
        assert outcome(sqlite, commits, epoch) == answer
        refused += bool(answer)
        written += not answer
        if not answer:
            seqs = after
    assert all_rows(sqlite) == all_rows(memory)
    for store in (memory, sqlite):
        assert [finding for finding in store.audit() if finding.invariant in ("I1", "I8", "I12", "database")] == []
    sqlite.close()
    assert written >= 3, f"seed {seed} refused {refused} of 30 commits: too little was tried"
