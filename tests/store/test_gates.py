"""Gates and votes in every store: what events make of them; and what only stores over SQL keep beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from partita.core.events import (
    GateAnswered,
    GateHeard,
    GateOpened,
    GateReported,
    GateVoted,
    Meta,
    RunEnded,
    StepEnded,
)
from partita.core.facts.gates import GateReminded, GateShown, Shown
from partita.core.graph import Const, GateSpec, Graph, Step, encode
from partita.core.plain import pack
from partita.core.values import Value
from partita.store import gates, numbers
from partita.store.contract import GateRow, RunCommit, Store, VoteRow
from partita.store.sqlite import open_in_memory

from .stores import FakeClock, Writer, created, value

NOTE = Meta("n", "number", b"\x03")


def opened(step: str = "go", index: str = "", at: float = 2.0, due_at: float | None = 60.0) -> GateOpened:
    return GateOpened(at, step, index, "approval", due_at)


def answered(accepted: bool = True, step: str = "go", index: str = "", **more: object) -> GateAnswered:
    fields: dict[str, object] = {"choice": "approve", "by": ("ana",), "value": value() if accepted else None}
    fields |= {"decision": b"\xa7approve" if accepted else None, **more}
    return GateAnswered(9.0, step, index, "people", accepted, **fields)  # type: ignore[arg-type]


def test_an_open_gate_has_a_row_and_its_step_has_none(store: Store, commit: Writer) -> None:
    commit.run()
    commit(opened())
    assert store.gates("run-a") == [GateRow("go", "", "approval", 2.0, 60.0)]
    assert store.gates("run-a", open_only=True) == store.gates("run-a")
    assert store.steps("run-a") == []


def test_an_accepted_answer_ends_its_step_with_a_value(store: Store, commit: Writer) -> None:
    commit.run()
    commit(opened(), answered(comment="fine", metadata=(NOTE,)))
    gate = store.gates("run-a")[0]
    assert (gate.answered_at, gate.how, gate.accepted, gate.choice, gate.by) == (
        9.0,
        "people",
        True,
        "approve",
        ("ana",),
    )
    assert (gate.comment, gate.metadata) == ("fine", (NOTE,))
    step = store.steps("run-a")[0]
    assert (step.state, step.value, step.choice, step.attempt, step.finished_at) == (
        "succeeded",
        value(),
        b"\xa7approve",
        0,
        9.0,
    )
    assert store.gates("run-a", open_only=True) == []


def test_a_rejection_leaves_the_end_to_the_event_that_follows(store: Store, commit: Writer) -> None:
    commit.run()
    commit(opened())
    commit(answered(False, choice="reject"), StepEnded(9.0, "go", "", "failed", "reject by ana"))
    assert [(s.state, s.reason, s.value) for s in store.steps("run-a")] == [("failed", "reject by ana", None)]


def test_a_second_answer_changes_nothing(store: Store, commit: Writer) -> None:
    commit.run()
    commit(opened(), answered())
    before = (store.gates("run-a"), store.steps("run-a"))
    commit(answered(choice="reject", value=Value("plain", 1, b"\x01")))
    commit(GateHeard(10.0, "go", "", "late"), GateVoted(10.0, "go", "", "bo", "reject"), opened(at=11.0))
    assert (store.gates("run-a"), store.steps("run-a")) == before
    assert store.votes("run-a") == []


def test_an_answer_to_what_never_opened_changes_nothing(store: Store, commit: Writer) -> None:
    commit.run()
    commit(answered(), GateHeard(3.0, "go", ""), GateVoted(3.0, "go", "", "bo", "reject"))
    assert (store.gates("run-a"), store.steps("run-a"), store.votes("run-a")) == ([], [], [])


def test_votes_are_one_for_each_person(store: Store, commit: Writer) -> None:
    commit.run()
    commit(opened())
    commit(GateVoted(3.0, "go", "", "bo", "approve", ("operator",), "ok", b"\x01"))
    commit(GateVoted(4.0, "go", "", "ana", "approve"), GateVoted(5.0, "go", "", "bo", "reject", (), "no"))
    assert store.votes("run-a") == [
        VoteRow("go", "", "ana", 4.0, "approve"),
        VoteRow("go", "", "bo", 5.0, "reject", (), "no"),
    ]


def test_a_report_before_it_opens_is_kept(store: Store, commit: Writer) -> None:
    early = GateReported(1.0, "go", "", "succeeded", "ci", value(), "done", (NOTE,))
    commit.run()
    commit(early, GateReported(1.5, "go", "", "failed"))
    assert store.gates("run-a") == [GateRow("go", "", "", None, report=early)]
    commit(opened())
    gate = store.gates("run-a")[0]
    assert (gate.of, gate.opened_at, gate.report) == ("approval", 2.0, early)
    commit(answered())
    assert store.steps("run-a")[0].state == "succeeded"


def test_heartbeats_are_the_last_one(store: Store, commit: Writer) -> None:
    commit.run()
    commit(opened())
    commit(GateHeard(3.0, "go", "", "1 %"), GateHeard(4.0, "go", "", "2 %"))
    assert [(g.heard_at, g.message) for g in store.gates("run-a")] == [(4.0, "2 %")]


def test_instances_are_in_the_order_of_their_numbers(store: Store, commit: Writer) -> None:
    commit.run()
    commit(*(opened(index=str(i)) for i in (10, 9, 2)))
    assert [g.index for g in store.gates("run-a")] == ["2", "9", "10"]


WAITING = Graph("g", (Step("go", kind="gate", gate=GateSpec("timer"), args=(("for", Const(pack(5.0))),)),))


def test_a_sound_history_has_no_findings(store: Store, commit: Writer) -> None:
    store.put_graph("g1", encode(WAITING))
    commit.run()
    commit(opened())
    assert list(store.audit()) == []
    commit(answered(), RunEnded(9.0, "succeeded"))
    assert list(store.audit()) == []


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ((opened(), RunEnded(9.0, "failed")), "gate go is open in a run that is failed"),
        ((opened(), StepEnded(9.0, "go", "", "failed", "so")), "gate go is open, and its step has ended"),
        ((GateOpened(2.0, "go", "", "timer"),), "gate go waits for a time, and has none"),
        ((opened(), RunEnded(9.0, "failed"), answered()), "GateAnswered after the run had ended failed"),
    ],
)
def test_the_audit_finds_gates_that_nothing_can_end(
    store: Store, commit: Writer, events: tuple[object, ...], says: str
) -> None:
    store.put_graph("g1", encode(WAITING))
    commit.run()
    commit(*events)  # type: ignore[arg-type]
    assert any(says in finding.message for finding in store.audit())


# --- over SQL -----------------------------------------------------------------------------------------------------


def test_facts_add_material_tokens_and_reminders() -> None:
    store = open_in_memory(clock=FakeClock())
    epoch = store.acquire("engine", "test", 3600.0).epoch
    events = (created(by="bo"), opened(), GateVoted(3.0, "go", "", "ana", "approve"))
    material = (Shown("plan", "text", b"\xa1x", "build"),)
    shown = GateShown(2.0, "run-a", "go", "", material, b"digest", 30.0)
    store.commit([RunCommit("run-a", 1, 2.0, events)], epoch=epoch)
    store.commit([], epoch=epoch, facts=[shown, GateReminded(30.0, "run-a", "go", "", 1, 60.0)])
    row = gates.gate(store, "run-a", "go")
    assert row is not None
    assert (row.material, row.reminded, row.remind_at, row.started_by, row.run_no) == (material, 1, 60.0, "bo", 1)
    assert gates.by_token(store, b"digest") == ("run-a", "go", "")
    assert gates.by_token(store, b"other") is None
    assert [v.by for v in gates.votes_of(store, "run-a", "go")] == ["ana"]
    assert gates.open_gates(store) == [row]
    assert gates.open_gates(store, "external") == []
    assert numbers.open_gates(store, "approval") == 1


def test_lists_and_tokens_are_found_by_an_index(tmp_path: Path) -> None:
    from partita.store import queries

    store = open_in_memory(clock=FakeClock())
    for name, index in (("open_gates", "gates_open"), ("gate_of_token", "gates_by_token")):
        sql = queries.statements()[name]
        plan = [str(row[3]) for row in store._db.fetch(f"EXPLAIN QUERY PLAN {sql}", [1] * sql.count("?"))]
        assert any(f"INDEX {index}" in step for step in plan), plan
        assert not any("TEMP B-TREE" in step for step in plan), plan
