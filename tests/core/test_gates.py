"""Steps that wait: who may answer, when it suffices, what becomes of deadlines, silence, early reports, crashes."""

from __future__ import annotations

import msgspec
import pytest

from partita.core import plain
from partita.core.commands import Offer, WakeAt
from partita.core.events import (
    AttemptStarted,
    GateAnswered,
    GateHeard,
    GateOpened,
    GateReported,
    GateVoted,
    RunEnded,
    StepEnded,
)
from partita.core.explain import explain
from partita.core.gates import duration, instant_of, may_not, seconds_of, who_may
from partita.core.graph import Binding, Const, GateSpec, Graph, Guard, Output, Param, Step, Token
from partita.core.inputs import Inputs
from partita.core.values import Whole

from .driving import Run, graph, mapped, packed

ASK = GateSpec("approval", text="deploy?", choices=("approve", "reject"), rejecting=("reject",))
CALL = GateSpec("external", text="the job")


def asking(**changes: object) -> GateSpec:
    return msgspec.structs.replace(ASK, **changes)


def gate(key: str, spec: GateSpec = ASK, /, **fields: object) -> Step:
    return Step(key, kind="gate", gate=spec, **fields)  # type: ignore[arg-type]


def sleeping(key: str, seconds: float, **fields: object) -> Step:
    return gate(key, GateSpec("timer"), args=(("for", Const(plain.pack(seconds))),), **fields)


def deploy(spec: GateSpec = ASK) -> Graph:
    return graph(Step("build"), gate("go", spec, needs=("build",)), Step("deploy", needs=("go",)))


def waiting(spec: GateSpec = ASK, **run: object) -> Run:
    """A run whose gate has opened at 10."""
    made = Run(deploy(spec), **run).start()
    made.begin("build")
    made.at = 10.0
    made.end("build")
    return made


def vote(run: Run, choice: str = "approve", by: str = "ana", step: str = "go", index: str = "", **more: object) -> None:
    run.apply(GateVoted(run.at, step, index, by, choice, **more))  # type: ignore[arg-type]


def report(run: Run, state: str = "succeeded", step: str = "go", index: str = "", **more: object) -> None:
    run.apply(GateReported(run.at, step, index, state, **more))  # type: ignore[arg-type]


def value_of(run: Run, step: str, index: str = "") -> object:
    value = run.instance(step, index).value
    return plain.unpack(value.data) if value is not None and value.data is not None else None


class TestApproval:
    def test_it_opens_when_its_needs_have_ended_and_asks_for_no_slot(self) -> None:
        run = waiting()
        assert run.told(GateOpened) == [GateOpened(10.0, "go", "", "approval")]
        assert run.state("go") == "waiting"
        assert run.offered() == []

    def test_an_answer_is_its_result_and_lets_its_users_run(self) -> None:
        run = waiting()
        vote(run, comment="fine", answer=None)
        wanted = {"choice": "approve", "approved": True, "by": ["ana"], "comment": "fine", "answer": None}
        assert (run.state("go"), value_of(run, "go")) == ("succeeded", wanted)
        assert run.offered() == ["deploy"]

    @pytest.mark.parametrize(
        ("on_reject", "go", "deploy", "whole"),
        [
            ("fail", "failed", "upstream_failed", "failed"),
            ("skip", "skipped", "skipped", "succeeded"),
        ],
    )
    def test_a_rejection_fails_or_skips(self, on_reject: str, go: str, deploy: str, whole: str) -> None:
        run = waiting(asking(on_reject=on_reject))
        vote(run, "reject", comment="no")
        assert run.ends() == {"build": "succeeded", "go": go, "deploy": deploy}
        assert run.machine.state == whole
        assert run.instance("go").reason == "reject by ana: no"
        answered = run.told(GateAnswered)
        assert [(e.how, e.accepted, e.choice) for e in answered] == [("people", False, "reject")]  # type: ignore[attr-defined]

    def test_a_rejection_may_be_a_result_as_any(self) -> None:
        run = waiting(asking(on_reject="continue"))
        vote(run, "reject")
        assert run.state("go") == "succeeded"
        assert value_of(run, "go")["approved"] is False  # type: ignore[index]

    def test_a_branch_goes_by_its_choice(self) -> None:
        arms = [Step(c, needs=("go",), guards=(Guard("go", (plain.pack(c),)),)) for c in ("canary", "full")]
        spec = asking(choices=("canary", "full"), rejecting=())
        run = Run(graph(gate("go", spec), *arms)).start()
        vote(run, "full")
        assert run.offered() == ["full"]
        assert run.state("canary") == "skipped"

    def test_a_quorum_needs_so_many_people_who_say_the_same(self) -> None:
        run = waiting(asking(quorum=2))
        vote(run, by="ana")
        vote(run, by="ana")
        assert run.state("go") == "waiting"
        assert "1 more needed" in str(explain(run.machine, "go"))
        vote(run, by="bo")
        assert value_of(run, "go")["by"] == ["ana", "bo"]  # type: ignore[index]

    def test_one_rejection_is_enough_whatever_the_quorum(self) -> None:
        run = waiting(asking(quorum=3))
        vote(run, by="ana")
        vote(run, "reject", by="bo")
        assert run.state("go") == "failed"

    def test_a_second_answer_of_a_person_takes_the_place_of_the_first(self) -> None:
        spec = asking(choices=("a", "b"), rejecting=(), quorum=2)
        run = waiting(spec)
        vote(run, "a", by="ana")
        vote(run, "b", by="ana")
        vote(run, "a", by="bo")
        assert run.state("go") == "waiting"
        vote(run, "b", by="cy")
        assert value_of(run, "go")["choice"] == "b"  # type: ignore[index]

    def test_who_may_not_answer_is_not_heard(self) -> None:
        run = waiting(asking(by=("role:operator", "ana"), four_eyes=True), by="ana")
        vote(run, by="ana")  # started the run
        vote(run, by="bo", roles=("viewer",))
        vote(run, "sideways", by="cy", roles=("operator",))
        assert (run.state("go"), run.told(GateVoted), run.machine.ignored) == ("waiting", [], 3)
        vote(run, by="cy", roles=("admin",))
        assert run.state("go") == "succeeded"

    def test_a_typed_answer_is_checked_against_its_schema(self) -> None:
        schema = '{"type": "object", "required": ["percent"], "properties": {"percent": {"type": "integer"}}}'
        run = waiting(asking(schema=schema))
        vote(run)
        vote(run, answer=plain.pack({"percent": "ten"}))
        assert run.state("go") == "waiting"
        vote(run, answer=plain.pack({"percent": 10}))
        assert value_of(run, "go")["answer"] == {"percent": 10}  # type: ignore[index]

    def test_an_answer_after_the_end_changes_nothing(self) -> None:
        run = waiting()
        vote(run)
        before = len(run.events)
        vote(run, "reject", by="bo")
        assert (len(run.events), run.state("go")) == (before, "succeeded")


class TestDeadline:
    def test_nobody_answers_and_it_fails_with_that_reason(self) -> None:
        run = waiting(asking(timeout_s=60.0))
        assert run.wakes == [70.0]
        run.ring(69.0)
        assert run.state("go") == "waiting"
        run.ring(70.0)
        assert (run.state("go"), run.instance("go").reason) == ("failed", "nobody answered within 1 min")

    def test_it_is_skipped_or_takes_its_default(self) -> None:
        run = waiting(asking(timeout_s=60.0, on_timeout="skip"))
        run.ring(70.0)
        assert run.state("go") == "skipped"
        run = waiting(asking(timeout_s=60.0, on_timeout="default", default="approve"))
        run.ring(70.0)
        assert value_of(run, "go")["choice"] == "approve"  # type: ignore[index]
        assert run.told(GateAnswered)[0].how == "deadline"  # type: ignore[attr-defined]

    def test_a_default_that_rejects_is_a_rejection(self) -> None:
        run = waiting(asking(timeout_s=60.0, on_timeout="default", default="reject"))
        run.ring(70.0)
        assert run.state("go") == "failed"

    def test_an_answer_in_time_needs_no_deadline(self) -> None:
        run = waiting(asking(timeout_s=60.0))
        vote(run)
        run.ring(70.0)
        assert run.state("go") == "succeeded"

    def test_one_wake_up_is_asked_for_however_many_wait(self) -> None:
        step, axis = mapped("nap", 1000, args=(("for", Const(plain.pack(5.0))),), kind="gate", gate=GateSpec("timer"))
        run = Run(graph(step, axes=[axis])).start()
        assert run.wakes == [5.0]
        run.ring(5.0)
        assert run.machine.state == "succeeded"

    def test_a_shorter_wait_that_opens_later_is_asked_for_too(self) -> None:
        run = Run(graph(sleeping("long", 100.0), Step("a"), sleeping("short", 5.0, needs=("a",)))).start()
        run.at = 10.0
        run.do("a")
        assert run.wakes == [100.0, 15.0]
        run.ring(15.0)
        assert run.wakes == [100.0, 15.0, 100.0]
        run.ring(100.0)
        assert run.machine.state == "succeeded"

    def test_gates_that_open_when_all_others_have_ended_are_woken_too(self) -> None:
        run = Run(graph(sleeping("one", 50.0), gate("two", asking(timeout_s=100.0)))).start()
        vote(run, step="two")
        run.ring(50.0)
        assert run.machine.state == "succeeded"


class TestTimer:
    def test_it_takes_its_time_and_has_no_result(self) -> None:
        run = Run(graph(sleeping("nap", 30.0))).start()
        assert run.told(GateOpened) == [GateOpened(0.0, "nap", "", "timer", 30.0)]
        run.ring(30.0)
        assert (run.machine.state, value_of(run, "nap")) == ("succeeded", None)

    @pytest.mark.parametrize("given", [90, "1m30s", 90.0])
    def test_its_time_may_be_a_parameter(self, given: object) -> None:
        nap = gate("nap", GateSpec("timer"), args=(("for", Param("pause")),))
        run = Run(graph(nap), params={"pause": plain.pack(given)}).start()
        assert run.wakes == [90.0]

    def test_an_instant_may_be_the_result_of_a_step(self) -> None:
        nap = gate("nap", GateSpec("timer"), args=(("until", Output("when", ("at",))),), needs=("when",))
        run = Run(graph(Step("when"), nap)).start()
        run.do("when", value={"at": "1970-01-01T00:02:00+00:00"})
        assert run.wakes == [120.0]

    @pytest.mark.parametrize("given", ["soon", -5, None, [1], float("nan")])
    def test_a_time_that_is_none_fails_it(self, given: object) -> None:
        nap = gate("nap", GateSpec("timer"), args=(("for", Param("pause")),))
        run = Run(graph(nap), params={"pause": plain.pack(given)}).start()
        assert run.state("nap") == "failed"
        assert "not a duration" in run.instance("nap").reason

    def test_an_instant_that_has_passed_is_over_at_once(self) -> None:
        nap = gate("nap", GateSpec("timer"), args=(("until", Const(plain.pack(5.0))),), needs=("a",))
        run = Run(graph(Step("a"), nap)).start()
        run.at = 10.0
        run.do("a")
        assert run.wakes == [5.0]
        run.ring(10.0)
        assert run.machine.state == "succeeded"


class TestExternal:
    def test_what_is_reported_is_the_result(self) -> None:
        run = waiting(CALL)
        report(run, value=packed({"rows": 3}), message="done", by="ci")
        assert value_of(run, "go") == {"rows": 3}
        assert run.offered() == ["deploy"]

    def test_a_reported_failure_fails_it_with_its_words(self) -> None:
        run = waiting(CALL)
        report(run, "failed", message="disk full")
        assert (run.state("go"), run.instance("go").reason) == ("failed", "disk full")

    def test_a_report_before_the_gate_has_opened_is_kept(self) -> None:
        run = Run(deploy(CALL)).start()
        run.begin("build")
        report(run, value=packed(7))
        assert run.told(GateReported) != []
        assert run.state("go") == "waiting"
        report(run, "failed")  # the first one counts
        run.end("build")
        assert value_of(run, "go") == 7

    def test_a_report_that_is_kept_survives_a_crash(self) -> None:
        run = Run(deploy(CALL)).start()
        run.begin("build")
        report(run, value=packed(7))
        again = run.crashed()
        again.end("build")
        assert value_of(again, "go") == 7

    def test_a_missed_heartbeat_fails_it_and_says_so(self) -> None:
        run = waiting(msgspec.structs.replace(CALL, heartbeat_s=60.0))
        run.at = 60.0
        run.apply(GateHeard(60.0, "go", "", "50 %"))
        run.ring(70.0)
        assert run.state("go") == "waiting"
        run.ring(120.0)
        assert run.state("go") == "failed"
        assert run.instance("go").reason == (
            "no heartbeat for 1 min: the other system was last heard of at 1970-01-01 00:01:00 UTC, saying '50 %'"
        )

    def test_heartbeats_do_not_put_off_its_deadline(self) -> None:
        run = waiting(msgspec.structs.replace(CALL, heartbeat_s=60.0, timeout_s=100.0))
        for at in (50.0, 100.0):
            run.at = at
            run.apply(GateHeard(at, "go", ""))
        run.ring(110.0)
        assert run.instance("go").reason == "no callback came within 1 min 40 s"

    def test_its_token_is_handed_to_a_step_before(self) -> None:
        start = Step("start", args=(("token", Token("go")),))
        run = Run(graph(start, gate("go", CALL, needs=("start",)))).start()
        inputs = Inputs(run.machine, lambda asset: None, lambda step, index: f"token of {step}{index}")
        own = inputs.one(run.instance("start"), Token("go"))
        assert isinstance(own, Whole)
        assert own.value.data == plain.pack("token of go")
        assert run.offered() == ["start"]


class TestRun:
    def test_a_cancel_ends_open_gates(self) -> None:
        run = waiting(asking(timeout_s=60.0))
        run.cancel()
        assert run.machine.state == "cancelled"
        assert [e.how for e in run.told(GateAnswered)] == ["withdrawn"]  # type: ignore[attr-defined]
        vote(run)
        run.ring(70.0)
        assert run.state("go") == "cancelled"

    def test_failing_fast_ends_open_gates(self) -> None:
        run = Run(graph(Step("a"), gate("go")), fail_fast=True).start()
        run.do("a", state="failed")
        assert run.ends() == {"a": "failed", "go": "cancelled"}

    def test_a_rejection_fails_fast(self) -> None:
        run = Run(graph(Step("a"), gate("go")), fail_fast=True).start()
        vote(run, "reject")
        assert run.machine.ending
        assert run.ends() == {"a": "cancelled", "go": "failed"}

    def test_the_runs_own_timeout_ends_open_gates(self) -> None:
        run = Run(graph(gate("go")), timeout_s=100.0).start()
        run.ring(100.0)
        assert (run.state("go"), run.machine.state) == ("cancelled", "failed")

    def test_a_pause_holds_back_what_comes_after_and_not_the_answer(self) -> None:
        run = waiting()
        run.pause()
        vote(run)
        assert (run.state("go"), run.offered()) == ("succeeded", [])
        run.resume()
        assert run.offered() == ["deploy"]

    def test_a_run_of_gates_alone_comes_to_its_end(self) -> None:
        run = Run(graph(sleeping("a", 1.0), sleeping("b", 1.0, needs=("a",)))).start()
        run.ring(1.0)
        run.ring(2.0)
        assert run.told(RunEnded) == [RunEnded(2.0, "succeeded")]

    def test_a_gate_with_an_eager_rule_opens_once(self) -> None:
        go = gate("go", ASK, needs=("a", "b"), when="any_succeeded")
        run = Run(graph(Step("a"), Step("b"), go)).start()
        run.do("a")
        assert len(run.told(GateOpened)) == 1
        run.do("b")
        assert len(run.told(GateOpened)) == 1
        vote(run)
        assert run.machine.state == "succeeded"

    def test_a_gate_that_cleans_up_opens_in_a_cancelled_run(self) -> None:
        steps = (Step("up"), sleeping("cool", 5.0, needs=("up",), teardown_of=("up",), when="all_done_setup_succeeded"))
        run = Run(graph(*steps, Step("use", needs=("up",)))).start()
        run.do("up")
        run.cancel()
        assert run.state("cool") == "waiting"
        run.ring(5.0)
        assert run.machine.state == "cancelled"

    def test_each_instance_of_a_map_is_a_gate_of_its_own(self) -> None:
        ask, axis = mapped("ask", 3, kind="gate", gate=ASK)
        use = Step("use", axes=("ask",), needs=("ask",))
        run = Run(graph(ask, use, axes=[axis])).start()
        vote(run, step="ask", index="1")
        vote(run, "reject", step="ask", index="2")
        assert run.states() == {
            "ask[0]": "waiting",
            "ask[1]": "succeeded",
            "ask[2]": "failed",
            "use[0]": "waiting",
            "use[1]": "ready",
            "use[2]": "upstream_failed",
        }

    def test_no_attempt_of_a_gate_can_start(self) -> None:
        run = waiting()
        run.machine.apply(AttemptStarted(11.0, "go", "", 1, 1, "w"))
        assert run.machine.take_journal() == []


class TestCrash:
    def test_an_open_gate_is_taken_over_with_its_deadline_and_its_votes(self) -> None:
        run = waiting(asking(quorum=2, timeout_s=60.0))
        vote(run, by="ana")
        again = run.crashed()
        assert (again.state("go"), again.wakes, again.told(GateOpened)) == ("waiting", [70.0], run.told(GateOpened))
        vote(again, by="bo")
        assert value_of(again, "go")["by"] == ["ana", "bo"]  # type: ignore[index]

    def test_a_deadline_that_passed_meanwhile_is_seen_at_the_first_wake_up(self) -> None:
        run = waiting(asking(timeout_s=60.0)).crashed()
        run.ring(500.0)
        assert run.state("go") == "failed"

    def test_a_heartbeat_is_remembered(self) -> None:
        run = waiting(msgspec.structs.replace(CALL, heartbeat_s=60.0))
        run.apply(GateHeard(65.0, "go", ""))
        again = run.crashed()
        assert again.wakes == [125.0]

    def test_what_was_answered_stays_answered(self) -> None:
        run = waiting()
        vote(run)
        again = run.crashed()
        assert again.offered() == ["deploy"]
        assert again.told(StepEnded) == []

    @pytest.mark.parametrize("spec", [ASK, CALL, GateSpec("condition", condition="file")])
    def test_a_cancel_after_a_crash_ends_it(self, spec: GateSpec) -> None:
        run = waiting(spec).crashed()
        run.cancel()
        assert run.machine.state == "cancelled"


class TestExplain:
    def test_it_says_what_it_waits_for_who_may_answer_and_until_when(self) -> None:
        run = waiting(asking(by=("role:operator", "ana"), timeout_s=60.0))
        found = explain(run.machine, "go")
        assert found is not None
        assert [(r.code, r.text, r.at) for r in found.reasons] == [
            ("approval", "waits for an answer to 'deploy?' (approve or reject) of ana and whoever is operator", 10.0),
            ("deadline", "at its deadline it fails", 70.0),
        ]
        assert found.change == "ana and whoever is operator answers"

    def test_before_it_opens_it_waits_for_its_needs(self) -> None:
        run = Run(deploy()).start()
        found = explain(run.machine, "go")
        assert found is not None
        assert [r.code for r in found.reasons] == ["need"]

    def test_a_timer_says_when_it_is_over(self) -> None:
        found = explain(Run(graph(sleeping("nap", 30.0))).start().machine, "nap")
        assert found is not None
        assert [(r.code, r.at) for r in found.reasons] == [("timer", 0.0), ("due", 30.0)]


class TestRules:
    @pytest.mark.parametrize(
        ("by", "person", "roles", "may"),
        [
            ((), "ana", (), True),
            (("ana",), "ana", (), True),
            (("ana",), "bo", ("admin",), False),
            (("role:operator",), "bo", ("operator",), True),
            (("role:operator",), "bo", ("author",), True),
            (("role:operator",), "bo", ("viewer",), False),
            (("role:dba",), "bo", ("admin",), False),
            (("role:dba",), "bo", ("dba",), True),
        ],
    )
    def test_names_and_roles(self, by: tuple[str, ...], person: str, roles: tuple[str, ...], may: bool) -> None:
        assert (may_not(asking(by=by), by=person, roles=roles, starter="x") == "") is may

    def test_in_words(self) -> None:
        assert who_may(asking()) == "anybody"
        assert who_may(asking(quorum=2)) == "2 people"
        assert who_may(asking(by=("ana", "bo"), four_eyes=True)) == "ana and bo, but not who started the run"
        assert duration(93784) == "1 d 2 h"

    def test_times_that_steps_give(self) -> None:
        assert seconds_of("1h 30m") == 5400.0
        assert seconds_of(True) is None
        assert seconds_of("1h30") is None
        assert instant_of("1970-01-02") == 86400.0
        assert instant_of("1970-01-01T01:00:00+01:00") == 0.0
        assert instant_of("never") is None


def test_a_gate_costs_its_neighbours_and_not_the_run() -> None:
    from .driving import lines_run

    def cost(count: int) -> int:
        ask, axis = mapped("ask", count, kind="gate", gate=asking(timeout_s=60.0))
        run = Run(graph(ask, axes=[axis]), watched=False).start()
        return lines_run(lambda: run.machine.apply(GateVoted(1.0, "ask", str(count // 2), "ana", "approve")))

    assert cost(10_000) < 1.3 * cost(100)


def test_an_offer_is_never_made_for_a_gate() -> None:
    binding: Binding = Const(plain.pack(5.0))
    run = Run(graph(gate("nap", GateSpec("timer"), args=(("for", binding),))))
    from partita.core.events import RunStarted

    commands = run.machine.apply(RunStarted(0.0))
    assert commands == [WakeAt(5.0)]
    assert not any(isinstance(c, Offer) for c in commands)
