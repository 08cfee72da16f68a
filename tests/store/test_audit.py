"""The audit finds what is wrong: each invariant is broken by hand once, and named; a sound store gives nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from partita.core import graph as graphs
from partita.core.events import (
    CancelRequested,
    CheckEvaluated,
    Event,
    Materialized,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
)
from partita.core.graph import Axis, Graph, Step
from partita.core.policies import Policies
from partita.store.contract import Finding, Reader, Store
from partita.store.memory import MemoryStore
from partita.store.sqlite import open_reader, open_store

from .stores import FakeClock, Writer, created, ended, started, value

GRAPH = Graph(
    name="daily",
    axes=(Axis("sources", ()),),
    steps=(
        Step("extract", axes=("sources",), policies=Policies(limit_per_run=2)),
        Step("clean", axes=("sources",), needs=("extract",)),
        Step("load", needs=("clean",)),
        Step("report", needs=("load",), when="all_done"),
        Step("tidy", needs=("report",), when="always", teardown_of=("extract",)),
    ),
)
SMALL = Graph(name="small", steps=(Step("one"), Step("two", needs=("one",))))


def materialized(step: str = "load", attempt: int = 1) -> Materialized:
    return Materialized(3.0, step, "", attempt, "flights", "mon", "v1", "c", value=value(), began_at=1.0, ended_at=2.0)


def sound(commit: Writer) -> None:
    """A run that has ended after a retry, and one under way."""
    commit.store.put_graph("g1", graphs.encode(GRAPH))
    commit.store.put_graph("g2", graphs.encode(SMALL))
    commit(created(limit=3), RunStarted(1.0))
    commit(started("extract", "0"), started("extract", "1"))
    commit(
        ended("extract", "0"), ended("extract", "1", state="failed"), StepRetried(3.0, "extract", "1", 2, 9.0, "again")
    )
    commit(started("clean", "0"), started("extract", "1", attempt=2))
    commit(ended("clean", "0"), ended("extract", "1", attempt=2), started("clean", "1"))
    commit(ended("clean", "1"), started("load"))
    commit(
        ended("load", value=value()),
        materialized(),
        CheckEvaluated(3.0, "load", "", 1, "flights", "fresh", "mon", True, "warn"),
        started("report"),
    )
    commit(CancelRequested(4.0, "ann"))
    commit(ended("report", state="cancelled"), StepEnded(5.0, "report", "", "cancelled", "cancelled"), started("tidy"))
    commit(ended("tidy"), RunEnded(6.0, "cancelled"))
    commit(created("run-b", graph="g2"), RunStarted(1.0), started("one"), run="run-b")


def created_small(run: str) -> tuple[Event, ...]:
    return (created(run, graph="g2"), RunStarted(1.0))


def test_members_of_a_bundle_may_start_after_a_cancel_in_the_epoch_and_the_slot_of_their_bundle() -> None:
    store = MemoryStore(clock=FakeClock())
    members = (Step("x", kind="member", bundle="dbt"), Step("y", kind="member", bundle="dbt", needs=("x",)))
    store.put_graph("g3", graphs.encode(Graph("dbt", (Step("dbt", kind="bundle"), *members, Step("other")))))
    commit = Writer(store)
    commit(created(graph="g3", limit=2), RunStarted(1.0), started("dbt"))
    commit(started("other", epoch=2), CancelRequested(2.0, "ann"))
    commit(started("x"), ended("x"), started("y"))
    assert audited(store) == []
    commit(started("x", "0"), started("other", "0"), started("dbt", "0"))
    assert {finding.invariant for finding in audited(store)} == {"I7", "I10", "I13"}


def audited(reader: Reader) -> list[Finding]:
    return list(reader.audit())


@pytest.fixture(params=["memory", "sqlite"])
def audited_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = (
        MemoryStore(clock=FakeClock())
        if request.param == "memory"
        else open_store(tmp_path / "a.db", clock=FakeClock())
    )
    with closing(store):
        sound(Writer(store))
        yield store


def test_a_sound_store_gives_no_finding(audited_store: Store) -> None:
    assert audited(audited_store) == []


def test_reading_an_audit_slowly_does_not_hold_up_the_writer(tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "partita.db", clock=FakeClock())) as store:
        commit = Writer(store)
        for number in range(3):
            commit.run(f"run-{number}")
        findings = store.audit()
        assert next(findings).invariant == "I17"
        commit(started("load"), run="run-0")
        assert {finding.invariant for finding in findings} == {"I17"}


# --- what a wrong engine would commit -----------------------------------------------------------------------------

NONSENSE: dict[str, tuple[str, Callable[[Writer], None]]] = {
    "a step ends twice": ("I4", lambda w: w(StepEnded(9.0, "load", "", "failed", "so"))),
    "a step that has succeeded is retried": ("I4", lambda w: w(StepRetried(9.0, "load", "", 2, 9.0, "so"))),
    "a run ends twice": ("I4", lambda w: w(RunEnded(9.0, "failed"))),
    "a run starts twice": ("I4", lambda w: w(RunStarted(9.0), run="run-b")),
    "an attempt starts in an ended run": ("I4", lambda w: w(started("load", attempt=2))),
    "an open attempt is left in an ended run": ("I10", lambda w: w(RunEnded(9.0, "succeeded"), run="run-b")),
    "a task has more open attempts than it may": (
        "I10",
        lambda w: w(created("r"), RunStarted(1.0), *(started("extract", str(i)) for i in range(3)), run="r"),
    ),
    "a run has more open attempts than it may": (
        "I10",
        lambda w: w(created("r", limit=1), RunStarted(1.0), started("extract", "0"), started("extract", "1"), run="r"),
    ),
    "a step starts before its need has ended": (
        "I6",
        lambda w: w(*created_small("r"), started("one"), started("two"), ended("one"), run="r"),
    ),
    "a step starts although its need never ended": ("I6", lambda w: w(*created_small("r"), started("two"), run="r")),
    "a step starts although its need has failed": (
        "I6",
        lambda w: w(*created_small("r"), StepEnded(2.0, "one", "", "failed", "so"), started("two"), run="r"),
    ),
    "a mapped step starts before its own element is there": (
        "I6",
        lambda w: w(created("r"), RunStarted(1.0), started("extract", "0"), ended("extract", "0"),
                    started("clean", "1"), run="r"),
    ),
    "a step gathers a map that is not complete": (
        "I6",
        lambda w: w(created("r"), RunStarted(1.0),
                    *(e for i in "01" for e in (started("extract", i), ended("extract", i), started("clean", i))),
                    ended("clean", "0"), started("load"), ended("clean", "1"), run="r"),
    ),
    "two workers start one attempt": (
        "I5",
        lambda w: w(replace(started("one"), worker="another:1:2"), run="run-b"),
    ),
    "an epoch goes back": (
        "I7",
        lambda w: w(*created_small("r"), started("one", epoch=3), ended("one", epoch=3), started("two", epoch=2), run="r"),
    ),
    "every step has ended and the run goes on": (
        "I9",
        lambda w: w(*created_small("r"), started("one"), ended("one"), started("two"), ended("two"), run="r"),
    ),
    "an attempt starts after a cancel": (
        "I13",
        lambda w: w(CancelRequested(2.0, "ann"), ended("one"), started("two"), run="run-b"),
    ),
    "an asset is published apart from its success": (
        "I14",
        lambda w: (w(ended("one"), run="run-b"), w(materialized("one"), run="run-b"))[0],
    ),
    "an asset is published by an outcome that was not accepted": (
        "I14",
        lambda w: w(ended("one", state="failed"), materialized("one"), run="run-b"),
    ),
    "the graph of an open run is not there": ("I17", lambda w: w(created("r", graph="gone"), run="r")),
}  # fmt: skip


@pytest.mark.parametrize("what", NONSENSE)
def test_a_commit_that_makes_no_sense_is_found(audited_store: Store, what: str) -> None:
    invariant, do = NONSENSE[what]
    commit = Writer(audited_store)
    commit._seq = {"run-a": 10, "run-b": 1}
    do(commit)
    assert invariant in {finding.invariant for finding in audited(audited_store)}


# --- what a hand or a bug of the database would do ----------------------------------------------------------------


def copied(table: str, where: str, change: str) -> str:
    """A second copy of some rows, with a change."""
    return (
        f"CREATE TEMP TABLE copy AS SELECT * FROM {table} WHERE {where}; UPDATE copy SET {change};"
        f" INSERT INTO {table} SELECT * FROM copy"
    )


WITHOUT_KEYS = """
    PRAGMA legacy_alter_table = ON;
    ALTER TABLE runs RENAME TO runs_before;
    CREATE TABLE runs AS SELECT * FROM runs_before;
    DROP TABLE runs_before;
"""
DAMAGE: dict[str, tuple[str, str]] = {
    "two runs of one origin": ("I1", WITHOUT_KEYS + "UPDATE runs SET origin = 'same';"),
    "an outcome was turned": ("I3", "UPDATE attempts SET state = 'succeeded' WHERE state = 'failed'"),
    "an outcome was taken back": ("I3", "UPDATE attempts SET state = 'started' WHERE step = 'tidy'"),
    "an attempt without a start": ("I5", copied("attempts", "step = 'load'", "idx = '7'")),
    "two open attempts": ("I7", "DROP INDEX one_open;" + copied("attempts", "state = 'started'", "no = 2")),
    "a row of the journal is missing": ("I8", "DELETE FROM journal WHERE seq = 3"),
    "the journal is missing": ("I8", "DELETE FROM journal"),
    "the journal cannot be read": ("I12", "UPDATE journal SET events = x'00' WHERE seq = 3"),
    "the state of a run was changed": ("I12", "UPDATE runs SET state = 'succeeded' WHERE state = 'cancelled'"),
    "a flag of a run was changed": ("I12", "UPDATE runs SET paused = 1"),
    "a value was changed": ("I12", "UPDATE steps SET value = NULL WHERE step = 'load'"),
    "a step was deleted": ("I12", "DELETE FROM steps WHERE step = 'clean' AND idx = '1'"),
    "a step was added": ("I12", copied("steps", "step = 'load'", "step = 'x'")),
    "an attempt was deleted": ("I12", "DELETE FROM attempts WHERE step = 'clean' AND idx = '1'"),
    "a check was changed": ("I12", "UPDATE checks SET passed = 0"),
    "a check was deleted": ("I12", "DELETE FROM checks"),
    "a materialization was changed": ("I12", "UPDATE materializations SET data_version = 'v2'"),
    "a materialization was added": ("I14", copied("materializations", "true", "no = 99, step = 'report'")),
    "the newest materialization is not the latest": ("I17", "DELETE FROM latest"),
    "rows of no run": ("database", "UPDATE steps SET run = 99 WHERE step = 'load'"),
    "the graph of an open run was deleted": ("I17", "DELETE FROM graphs"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_found_by_whoever_reads(tmp_path: Path, what: str) -> None:
    invariant, damage = DAMAGE[what]
    path = tmp_path / "partita.db"
    with closing(open_store(path, clock=FakeClock())) as store:
        sound(Writer(store))
    with closing(open_reader(path)) as reader:
        assert audited(reader) == []
    with closing(apsw.Connection(str(path))) as hand:
        hand.execute(damage).fetchall()
    with closing(open_reader(path)) as reader:
        findings = audited(reader)
    assert invariant in {finding.invariant for finding in findings}, findings
    assert all(finding.message for finding in findings)


def test_an_index_that_lies_is_found(tmp_path: Path) -> None:
    path = tmp_path / "partita.db"
    with closing(open_store(path, clock=FakeClock())) as store:
        sound(Writer(store))
    with closing(apsw.Connection(str(path))) as hand:
        hand.execute("PRAGMA writable_schema = ON")
        hand.execute("UPDATE sqlite_schema SET sql = replace(sql, '''dispatched'', ''started''', '''lost'', ''failed''')"
                     " WHERE name = 'one_open'")  # fmt: skip
    with closing(open_reader(path)) as reader:
        assert "database" in {finding.invariant for finding in audited(reader)}
