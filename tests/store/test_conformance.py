"""What every store must do, whatever it is made of: the contract as tests, run on each."""

from __future__ import annotations

import pytest

from partita.core.events import (
    AttemptDispatched,
    CancelRequested,
    CheckEvaluated,
    Detail,
    Event,
    Failure,
    Materialized,
    Meta,
    PauseRequested,
    ResumeRequested,
    RunCreated,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
    StepReused,
    Usage,
)
from partita.core.manifest import AssetSpec, Manifest
from partita.errors import Fenced, StoreError, StoreLocked
from partita.store.contract import JournalRow, OriginTaken, RunCommit, Store

from .stores import WORKER, FakeClock, Writer, created, ended, started, value

# --- runs ---------------------------------------------------------------------------------------------------------


def test_a_created_run_is_queued_and_keeps_all_that_was_asked_for(store: Store, commit: Writer) -> None:
    asked = created(
        at=7.5,
        by="ann",
        params={"region": b"\xa2eu"},
        partition="2013-06-13",
        priority=3,
        rerun_of="run-0",
        selection=("extract", "load"),
        fail_fast=True,
        timeout_s=60.0,
        limit=8,
        namespace_limit=16,
        tags=("nightly",),
    )
    commit(asked)
    row = store.run("run-a")
    assert row is not None
    assert (row.no, row.state, row.created_at, row.started_at, row.finished_at) == (1, "queued", 7.5, None, None)
    for field in ("by", "params", "partition", "priority", "rerun_of", "selection", "fail_fast", "timeout_s", "limit"):
        assert getattr(row, field) == getattr(asked, field)
    assert (row.namespace_limit, row.tags, row.graph, row.code, row.origin) == (
        16,
        ("nightly",),
        "g1",
        "c1",
        "cli:run-a",
    )
    assert row.seq == 1


def test_a_run_starts_and_ends_once(store: Store, commit: Writer) -> None:
    commit(created())
    commit(RunStarted(2.0))
    commit(RunStarted(3.0))
    commit(RunEnded(4.0, "failed", "`load` failed"))
    commit(RunEnded(5.0, "succeeded"), CancelRequested(5.0, "ann"), PauseRequested(5.0, "ann"))
    row = store.run("run-a")
    assert row is not None
    assert (row.state, row.started_at, row.finished_at, row.reason) == ("failed", 2.0, 4.0, "`load` failed")
    assert (row.cancel_requested, row.paused, row.seq) == (False, False, 5)


def test_pause_resume_and_cancel_are_flags_of_a_run(store: Store, commit: Writer) -> None:
    commit.run()
    commit(PauseRequested(2.0, "ann"))
    assert store.run("run-a").paused  # type: ignore[union-attr]
    commit(ResumeRequested(3.0, "ann"), CancelRequested(3.0, "ann"))
    row = store.run("run-a")
    assert row is not None
    assert (row.paused, row.cancel_requested, row.state) == (False, True, "running")


def test_an_origin_makes_one_run_only(store: Store, commit: Writer) -> None:
    commit(created("run-a", origin="sched:daily:1"))
    with pytest.raises(OriginTaken) as refused:
        commit.many(("run-c", (created("run-c"),)), ("run-b", (created("run-b", origin="sched:daily:1"),)))
    assert refused.value.run == "run-a"
    assert [row.id for row in store.runs()] == ["run-a"]
    commit(created("run-b"), run="run-b")
    # A number that a refused run would have had may be left out.
    newest, oldest = (row.no for row in store.runs())
    assert oldest == 1
    assert newest in (2, 3)


def test_a_run_id_makes_one_run_only(store: Store, commit: Writer) -> None:
    commit(created("run-a"))
    with pytest.raises(StoreError, match="exists already"):
        store.commit([RunCommit("run-a", 1, 1.0, (created("run-a", origin="other"),))], epoch=commit.epoch)


def test_a_run_is_found_by_id_by_number_and_by_an_unambiguous_beginning(store: Store, commit: Writer) -> None:
    for run in ("0197-aa", "0197-ab", "0198-ac", "3"):
        commit.run(run)
    assert store.run("0197-ab").no == 2  # type: ignore[union-attr]
    assert store.run("2").id == "0197-ab"  # type: ignore[union-attr]
    assert store.run("0198").no == 3  # type: ignore[union-attr]
    assert store.run("3").id == "3", "an id goes before a number"  # type: ignore[union-attr]
    assert store.run("0197") is None
    assert store.run("99") is None
    assert store.run("") is None
    assert store.run("²") is None


def test_runs_are_listed_newest_first_with_filters_and_a_cursor(store: Store, commit: Writer) -> None:
    for number in range(1, 9):
        commit.run(
            f"run-{number}",
            pipeline="daily" if number % 2 else "hourly",
            partition="2013" if number in (3, 4, 5) else "",
            state="failed" if number == 7 else ("succeeded" if number < 6 else ""),
        )

    def numbers(**filters: object) -> list[int]:
        return [row.no for row in store.runs(**filters)]  # type: ignore[arg-type]

    assert numbers() == [8, 7, 6, 5, 4, 3, 2, 1]
    assert numbers(limit=3) == [8, 7, 6]
    assert numbers(before_no=6, limit=3) == [5, 4, 3]
    assert numbers(pipeline="daily") == [7, 5, 3, 1]
    assert numbers(states=("failed", "running")) == [8, 7, 6]
    assert numbers(states=("succeeded",), pipeline="daily", limit=2) == [5, 3]
    assert numbers(partition="2013") == [5, 4, 3]
    assert numbers(partition="2013", pipeline="daily", before_no=5) == [3]
    assert numbers(partition="") == [8, 7, 6, 2, 1]
    assert numbers(partition="", pipeline="hourly") == [8, 6, 2]
    assert numbers(pipeline="none") == []
    assert numbers(states=("nonsense",)) == []


def test_open_runs_are_those_that_have_not_ended_oldest_first(store: Store, commit: Writer) -> None:
    commit.run("run-1")
    commit.run("run-2", state="succeeded")
    commit(created("run-3"), run="run-3")
    commit.run("run-4", state="cancelled")
    assert [(row.id, row.state) for row in store.open_runs()] == [("run-1", "running"), ("run-3", "queued")]


# --- attempts and steps -------------------------------------------------------------------------------------------


def test_a_started_attempt_is_open_and_its_step_has_no_row(store: Store, commit: Writer) -> None:
    commit.run()
    commit(started("extract", "17", at=2.5))
    (row,) = store.attempts("run-a")
    assert (row.step, row.index, row.attempt, row.state, row.epoch) == ("extract", "17", 1, "started", 1)
    assert (row.worker, row.started_at, row.finished_at) == (WORKER, 2.5, None)
    assert store.steps("run-a") == []


def test_a_successful_attempt_makes_its_step_succeed(store: Store, commit: Writer) -> None:
    commit.run()
    commit(started("extract"))
    detail = Detail(choice=b"\xa1b", again=False, usage=Usage(1.5, 4096), cached_from="run-0/extract//1")
    commit(ended("extract", at=9.0, value=value(), detail=detail, began_at=8.0, ended_at=8.5))
    (attempt,) = store.attempts("run-a")
    assert (attempt.state, attempt.finished_at, attempt.began_at, attempt.ended_at) == ("succeeded", 9.0, 8.0, 8.5)
    assert (attempt.usage, attempt.failure, attempt.cached_from) == (Usage(1.5, 4096), None, "run-0/extract//1")
    (step,) = store.steps("run-a")
    assert (step.state, step.attempt, step.finished_at, step.value) == ("succeeded", 1, 9.0, value())
    assert (step.choice, step.again, step.reused_from) == (b"\xa1b", False, "")


def test_a_failed_attempt_keeps_its_failure_and_writes_no_step(store: Store, commit: Writer) -> None:
    failure = Failure("no such table", types=("KeyError", "LookupError"), traceback="Traceback ...", signal=9)
    commit.run()
    commit(started("load"))
    commit(ended("load", state="failed", detail=Detail(failure=failure, metadata=(Meta("rows", "number", b"\x07"),))))
    (row,) = store.attempts("run-a")
    assert (row.state, row.failure, row.metadata) == ("failed", failure, (Meta("rows", "number", b"\x07"),))
    assert store.steps("run-a") == []


def test_a_retried_step_is_ready_until_its_next_attempt_succeeds(store: Store, commit: Writer) -> None:
    commit.run()
    commit(started("load"))
    commit(ended("load", state="failed"), StepRetried(3.0, "load", "", 2, 63.0, "retry 1 of 3"))
    (step,) = store.steps("run-a")
    assert (step.state, step.attempt, step.not_before, step.reason) == ("ready", 2, 63.0, "retry 1 of 3")
    assert step.finished_at is None
    commit(started("load", attempt=2, at=63.0))
    commit(ended("load", attempt=2, at=64.0, value=value()))
    (step,) = store.steps("run-a")
    assert (step.state, step.attempt, step.not_before, step.reason) == ("succeeded", 2, 0.0, "")
    assert step.finished_at == 64.0
    assert [row.state for row in store.attempts("run-a")] == ["failed", "succeeded"]


def test_a_step_that_ends_otherwise_says_why(store: Store, commit: Writer) -> None:
    commit.run()
    commit(started("load"))
    commit(
        ended("load", state="failed"),
        StepEnded(3.0, "load", "", "failed", "failed 1 of 1 attempts"),
        StepEnded(3.0, "report", "", "upstream_failed", "`load` failed", ("load",)),
    )
    load, report = store.steps("run-a")
    assert (load.state, load.attempt, load.reason) == ("failed", 1, "failed 1 of 1 attempts")
    assert (report.state, report.attempt, report.because, report.finished_at) == ("upstream_failed", 0, ("load",), 3.0)


def test_a_reused_step_has_the_result_and_names_its_run(store: Store, commit: Writer) -> None:
    commit(created(), StepReused(1.0, "extract", "4", "run-0", value=value(), choice=b"\x01", again=True))
    (step,) = store.steps("run-a")
    assert (step.index, step.state, step.value, step.reused_from) == ("4", "succeeded", value(), "run-0")
    assert (step.choice, step.again, step.attempt) == (b"\x01", True, 0)


def test_an_ended_step_stays_as_it_is(store: Store, commit: Writer) -> None:
    commit.run()
    commit(started("load"), ended("load", value=value("first")))
    before = store.steps("run-a")
    commit(
        StepRetried(4.0, "load", "", 2, 9.0, "again"),
        StepEnded(4.0, "load", "", "cancelled", "late"),
        StepReused(4.0, "load", "", "run-0"),
        ended("load", value=value("second"), at=9.0),
    )
    assert store.steps("run-a") == before


def test_a_dispatched_attempt_starts_under_its_own_epoch_only(store: Store, commit: Writer) -> None:
    commit.run()
    commit(AttemptDispatched(2.0, "train", "", 1, 1, "k8s", "partita-abc"))
    commit(started("train", at=3.0, epoch=9))
    commit(ended("train"))
    assert [(row.state, row.external) for row in store.attempts("run-a")] == [("dispatched", "partita-abc")]
    commit(started("train", at=4.0))
    (row,) = store.attempts("run-a")
    assert (row.state, row.external, row.worker, row.started_at) == ("started", "partita-abc", WORKER, 4.0)


def test_a_dispatched_attempt_may_be_lost_but_not_succeed(store: Store, commit: Writer) -> None:
    commit.run()
    commit(AttemptDispatched(2.0, "train", "", 1, 1, "k8s", "partita-abc"))
    commit(ended("train", state="succeeded"))
    assert store.attempts("run-a", open_only=True)
    assert store.steps("run-a") == []
    commit(ended("train", state="refused"))
    assert [row.state for row in store.attempts("run-a")] == ["refused"]


@pytest.mark.parametrize(
    "late",
    [
        ended("load", attempt=1, state="succeeded", value=value()),
        ended("load", attempt=2, state="succeeded", value=value(), epoch=7),
        ended("load", attempt=3, state="succeeded", value=value()),
        ended("other", attempt=1, state="succeeded", value=value()),
    ],
    ids=["of an attempt that has ended", "of an epoch that is over", "of an attempt that is not", "of no step"],
)
def test_an_outcome_that_does_not_match_changes_nothing(store: Store, commit: Writer, late: object) -> None:
    commit.run()
    commit(started("load"))
    commit(ended("load", state="lost"), StepRetried(3.0, "load", "", 2, 0.0, "lost"), started("load", attempt=2))
    attempts, steps = store.attempts("run-a"), store.steps("run-a")
    commit(late)  # type: ignore[arg-type]
    assert store.attempts("run-a") == attempts
    assert store.steps("run-a") == steps


def test_an_attempt_may_start_and_end_and_start_again_in_one_commit(store: Store, commit: Writer) -> None:
    commit.run()
    commit(
        started("load", attempt=1),
        ended("load", attempt=1, state="failed"),
        StepRetried(3.0, "load", "", 2, 0.0, "retry"),
        started("load", attempt=2),
        ended("load", attempt=2, value=value()),
        started("report"),
    )
    assert [(a.step, a.attempt, a.state) for a in store.attempts("run-a")] == [
        ("load", 1, "failed"),
        ("load", 2, "succeeded"),
        ("report", 1, "started"),
    ]
    assert [(s.step, s.state, s.attempt) for s in store.steps("run-a")] == [("load", "succeeded", 2)]


def test_a_second_open_attempt_of_a_step_is_refused_and_nothing_of_its_commit_is_written(
    store: Store, commit: Writer
) -> None:
    commit.run()
    commit(started("load"), started("report"))
    before = (store.attempts("run-a"), store.journal("run-a"))
    with pytest.raises(StoreError, match="another attempt of it is open"):
        commit(ended("report", value=value()), started("load", attempt=2))
    assert (store.attempts("run-a"), store.journal("run-a")) == before
    assert store.steps("run-a") == []
    commit(ended("load", state="failed"), started("load", attempt=2))
    assert [a.state for a in store.attempts("run-a", step="load")] == ["failed", "started"]


def test_steps_and_attempts_are_listed_by_step_and_by_index_as_numbers(store: Store, commit: Writer) -> None:
    commit.run()
    indexes = ["10", "9", "100", "1"]
    commit(*(started("b", index) for index in indexes), started("a"), *(started("c", i) for i in ("3.17", "3.2")))
    commit(*(ended("b", index) for index in indexes), ended("a"), *(ended("c", i) for i in ("3.17", "3.2")))
    order = [("a", ""), ("b", "1"), ("b", "9"), ("b", "10"), ("b", "100"), ("c", "3.2"), ("c", "3.17")]
    assert [(row.step, row.index) for row in store.steps("run-a")] == order
    assert [(row.step, row.index) for row in store.attempts("run-a")] == order


def test_steps_and_attempts_are_filtered(store: Store, commit: Writer) -> None:
    commit.run()
    commit(started("a", "1"), started("a", "2"), started("b", "1"), started("b", "2"))
    commit(
        ended("a", "1"), ended("a", "2", state="failed"), StepEnded(3.0, "a", "2", "failed", "failed"), ended("b", "1")
    )

    def attempts(**filters: object) -> list[tuple[str, str]]:
        return [(row.step, row.index) for row in store.attempts("run-a", **filters)]  # type: ignore[arg-type]

    assert [s.index for s in store.steps("run-a", step="a")] == ["1", "2"]
    assert [(s.step, s.index) for s in store.steps("run-a", states=("succeeded",))] == [("a", "1"), ("b", "1")]
    assert [s.index for s in store.steps("run-a", step="a", states=("failed", "cancelled"))] == ["2"]
    assert attempts(step="a") == [("a", "1"), ("a", "2")]
    assert attempts(index="2") == [("a", "2"), ("b", "2")]
    assert attempts(step="b", index="1") == [("b", "1")]
    assert attempts(open_only=True) == [("b", "2")]
    assert attempts(open_only=True, step="a") == []
    assert store.steps("no such run") == []


# --- commits ------------------------------------------------------------------------------------------------------


def test_the_journal_gives_back_what_was_committed(store: Store, commit: Writer) -> None:
    events = [(created(),), (RunStarted(2.0), started("a")), (ended("a", value=value()), RunEnded(3.0, "succeeded"))]
    for at, row in enumerate(events):
        commit(*row, at=float(at))
    rows = [JournalRow("run-a", seq, float(seq - 1), row) for seq, row in enumerate(events, start=1)]
    assert store.journal("run-a") == rows
    assert store.journal("run-a", after_seq=1, limit=1) == rows[1:2]
    assert store.journal("no such run") == []
    assert store.run("run-a").seq == 3  # type: ignore[union-attr]


def test_one_commit_holds_many_runs_and_several_rows_of_one(store: Store, commit: Writer) -> None:
    commit.many(
        ("run-a", (created("run-a"), RunStarted(1.0), started("load"))),
        ("run-b", (created("run-b"), RunStarted(1.0), started("load"))),
        ("run-a", (ended("load", value=value()), RunEnded(3.0, "succeeded"))),
    )
    assert [(row.id, row.state, row.seq) for row in store.runs()] == [
        ("run-b", "running", 1),
        ("run-a", "succeeded", 2),
    ]


@pytest.mark.parametrize("seq", [1, 3, 0])
def test_a_journal_row_must_follow_the_last_one(store: Store, commit: Writer, seq: int) -> None:
    commit.run()
    with pytest.raises(StoreError, match="does not follow"):
        store.commit([RunCommit("run-a", seq, 2.0, (started("a"),))], epoch=commit.epoch)
    assert store.attempts("run-a") == []


def test_events_of_a_run_that_is_not_there_are_refused(store: Store, commit: Writer) -> None:
    with pytest.raises(StoreError, match="no run run-a"):
        commit(started("a"))


def test_a_refused_commit_leaves_earlier_runs_as_they_were(store: Store, commit: Writer) -> None:
    commit.run("run-a")
    commit(started("load"), ended("load"), run="run-a")
    before = (store.run("run-a"), store.steps("run-a"), store.attempts("run-a"), store.journal("run-a"))
    with pytest.raises(StoreError):
        commit.many(
            ("run-b", (created("run-b"),)),
            ("run-a", (started("report"), RunEnded(9.0, "failed"))),
            ("run-x", (started("a"),)),
        )
    assert (store.run("run-a"), store.steps("run-a"), store.attempts("run-a"), store.journal("run-a")) == before
    assert store.run("run-b") is None
    commit.run("run-b")
    assert store.run("run-b").no in (2, 3)  # type: ignore[union-attr]


@pytest.mark.parametrize("event", [StepEnded(2.0, "a\ud800", "", "failed", "so"), created("run-b", priority=2**70)])
def test_what_cannot_be_stored_is_refused_and_nothing_is_lost(store: Store, commit: Writer, event: Event) -> None:
    commit.run()
    with pytest.raises(StoreError, match="cannot be stored"):
        commit.many(("run-a", (started("a"),)), ("run-b" if isinstance(event, RunCreated) else "run-a", (event,)))
    assert store.attempts("run-a") == []
    commit(started("a"))
    assert len(store.attempts("run-a")) == 1


def test_names_with_nul_quotes_and_other_letters_come_back_as_they_were(store: Store, commit: Writer) -> None:
    name = "a\0b'; DROP TABLE runs; -- \u202e Ünï 🎻"
    commit.run()
    commit(started(name), ended(name), materialized(name, name, name))
    assert [row.step for row in store.steps("run-a", step=name)] == [name]
    assert store.materialization(name, name).step == name  # type: ignore[union-attr]


# --- leases -------------------------------------------------------------------------------------------------------


def test_a_lease_keeps_its_epoch_while_it_is_renewed(store: Store, clock: FakeClock) -> None:
    first = store.acquire("engine", "one", 10.0)
    clock.now += 9.0
    again = store.acquire("engine", "one", 10.0)
    assert (first.epoch, again.epoch, again.until) == (1, 1, clock.now + 10.0)
    assert store.lease("engine") == again
    assert store.lease("other") is None


def test_a_lease_that_is_held_is_refused_to_others(store: Store, clock: FakeClock) -> None:
    store.acquire("engine", "one", 10.0)
    with pytest.raises(StoreLocked, match="held by one"):
        store.acquire("engine", "two", 10.0)


def test_the_epoch_grows_with_each_change_of_holder_and_when_a_lease_ran_out(store: Store, clock: FakeClock) -> None:
    epochs = [store.acquire("engine", "one", 10.0).epoch]
    clock.now += 10.0
    epochs.append(store.acquire("engine", "one", 10.0).epoch)
    clock.now += 11.0
    lease = store.acquire("engine", "two", 10.0)
    epochs.append(lease.epoch)
    store.release(lease)
    assert store.lease("engine") is None
    epochs.append(store.acquire("engine", "two", 10.0).epoch)
    assert epochs == sorted(set(epochs))


def test_a_commit_of_an_epoch_that_is_over_is_fenced(store: Store, clock: FakeClock) -> None:
    old = Writer(store)
    old.run()
    clock.now += 3601.0
    new = store.acquire("engine", "another", 10.0)
    with pytest.raises(Fenced):
        old(started("load"))
    with pytest.raises(Fenced):
        store.commit([RunCommit("run-a", 2, 2.0, (started("load"),))], epoch=new.epoch + 1)
    assert store.attempts("run-a") == []
    store.commit([RunCommit("run-a", 2, 2.0, (started("load"),))], epoch=new.epoch)
    assert len(store.attempts("run-a")) == 1


def test_a_commit_after_the_lease_was_given_back_is_fenced(store: Store, commit: Writer) -> None:
    lease = store.lease("engine")
    assert lease is not None
    store.release(lease)
    with pytest.raises(Fenced):
        commit(created())


def test_giving_back_a_lease_that_another_took_changes_nothing(store: Store, clock: FakeClock) -> None:
    old = store.acquire("engine", "one", 10.0)
    clock.now += 11.0
    new = store.acquire("engine", "two", 10.0)
    store.release(old)
    assert store.lease("engine") == new


# --- graphs, manifests, assets, checks ----------------------------------------------------------------------------


def test_a_graph_is_kept_by_its_version(store: Store) -> None:
    store.put_graph("v1", b"one")
    store.put_graph("v1", b"two")
    assert store.graph("v1") == b"one"
    assert store.graph("v2") is None


def test_the_newest_manifest_of_a_project_is_kept(store: Store) -> None:
    store.put_manifest(Manifest("shop", assets=(AssetSpec("old"),)))
    store.put_manifest(Manifest("shop", assets=(AssetSpec("new", deps=("old",)),)))
    assert store.manifest("shop") == Manifest("shop", assets=(AssetSpec("new", deps=("old",)),))
    assert store.manifest("other") is None


def materialized(step: str, asset: str, partition: str = "", attempt: int = 1, at: float = 3.0) -> Materialized:
    return Materialized(
        at,
        step,
        "",
        attempt,
        asset,
        partition,
        data_version=f"v{at}",
        code_version="c",
        metadata=(Meta("rows", "number", b"\x07"),),
        value=value(),
        began_at=1.0,
        ended_at=2.0,
    )


def test_a_materialization_is_found_by_asset_by_partition_and_by_run(store: Store, commit: Writer) -> None:
    for number, partition in enumerate(["mon", "tue", "mon"], start=1):
        commit.run(f"run-{number}")
        commit(started("make"), run=f"run-{number}")
        commit(ended("make"), materialized("make", "flights", partition, at=float(number)), run=f"run-{number}")
    newest = store.materialization("flights", "mon")
    assert newest is not None
    assert (newest.run, newest.data_version, newest.value) == ("run-3", "v3.0", value())
    assert (newest.metadata, newest.began_at, newest.ended_at) == ((Meta("rows", "number", b"\x07"),), 1.0, 2.0)
    assert store.materialization("flights") is None
    assert [m.run for m in store.materializations("flights")] == ["run-3", "run-2", "run-1"]
    assert [m.run for m in store.materializations("flights", limit=1)] == ["run-3"]
    assert [m.run for m in store.materializations("flights", partition="mon")] == ["run-3", "run-1"]
    assert [m.partition for m in store.materialized_in("run-2")] == ["tue"]


def test_only_an_accepted_success_publishes(store: Store, commit: Writer) -> None:
    commit.run()
    commit(started("make"))
    commit(ended("make", epoch=9), materialized("make", "flights"))
    commit(ended("make", state="failed"), materialized("make", "flights"))
    assert store.materializations("flights") == []
    assert store.materialization("flights") is None


def test_checks_are_listed_newest_first(store: Store, commit: Writer) -> None:
    commit.run("run-a")
    commit.run("run-b")
    for run, asset in (("run-a", "flights"), ("run-b", "flights"), ("run-b", "planes")):
        commit(
            CheckEvaluated(3.0, "test", "", 1, asset, "fresh", "mon", asset == "planes", "warn", "too old",
                           (Meta("age", "text", b"\xa11"),)),
            run=run,
        )  # fmt: skip
    assert [(c.run, c.report.asset) for c in store.checks()] == [
        ("run-b", "planes"),
        ("run-b", "flights"),
        ("run-a", "flights"),
    ]
    assert [c.run for c in store.checks(asset="flights")] == ["run-b", "run-a"]
    assert [c.report.asset for c in store.checks(run="run-b")] == ["planes", "flights"]
    (row,) = store.checks(run="run-b", asset="planes")
    assert (row.report.passed, row.report.severity, row.report.check, row.report.partition) == (
        True,
        "warn",
        "fresh",
        "mon",
    )
    assert (row.report.message, row.report.metadata) == ("too old", (Meta("age", "text", b"\xa11"),))
    assert len(store.checks(limit=2)) == 2


def test_the_usual_duration_is_that_of_the_last_successful_runs(store: Store, commit: Writer) -> None:
    for number in range(1, 7):
        run = f"run-{number}"
        commit.run(run, pipeline="other" if number == 6 else "daily")
        commit(started("load", at=10.0), started("copied", at=10.0), started("broken", at=10.0), run=run)
        commit(
            ended("load", at=100.0, began_at=20.0, ended_at=20.0 + number),
            ended("copied", at=11.0, detail=Detail(cached_from="run-0/copied//1")),
            ended("broken", state="failed"),
            run=run,
        )
        commit(RunEnded(200.0, "failed" if number == 5 else "succeeded"), run=run)
    assert store.usual("daily", runs=3) == {"load": (3.0, pytest.approx(3.8), 3)}
    assert store.usual("daily", runs=1) == {"load": (4.0, 4.0, 1)}
    assert store.usual("daily", runs=1, before_no=3) == {"load": (2.0, 2.0, 1)}
    assert store.usual("daily", before_no=1) == {}
    assert store.usual("none") == {}


def test_the_usual_duration_of_a_step_whose_worker_told_no_times_is_that_of_its_attempts(
    store: Store, commit: Writer
) -> None:
    commit.run()
    commit(started("load", "0", at=10.0), started("load", "1", at=10.0))
    commit(ended("load", "0", at=12.0), ended("load", "1", at=14.0), RunEnded(15.0, "succeeded"))
    assert store.usual("daily") == {"load": (3.0, pytest.approx(3.8), 2)}
