"""Bundles: one attempt that makes many steps."""

from __future__ import annotations

from partita.core.events import AttemptEnded, AttemptStarted, Failure, StepEnded, StepRetried
from partita.core.graph import Graph, Step
from partita.core.policies import Policies, Retry

from .driving import SKIP, Run, graph

MEMBERS_FAILED = Failure("members failed", cause="members")


def bundle(retries: int = 0, **fields: object) -> Graph:
    """`b` makes x, then y (which needs x and `src`), and z; `end` needs y."""
    policies = Policies(retry=Retry(limit=retries))
    return graph(
        Step("src"),
        Step("b", kind="bundle", policies=policies, **fields),  # type: ignore[arg-type]
        Step("x", kind="member", bundle="b"),
        Step("y", kind="member", bundle="b", needs=("x", "src")),
        Step("z", kind="member", bundle="b"),
        Step("end", needs=("y",)),
    )


def opened(retries: int = 0) -> Run:
    """The bundle's first attempt is open."""
    run = Run(bundle(retries)).start()
    run.do("src")
    run.begin("b")
    return run


def begin_member(run: Run, member: str) -> None:
    run.begin(member, attempt=run.instance("b").attempt)


def make(run: Run, member: str, state: str = "succeeded") -> None:
    begin_member(run, member)
    run.end(member, state=state)  # type: ignore[arg-type]


def test_a_bundle_waits_for_what_its_members_need_from_outside() -> None:
    run = Run(bundle()).start()
    assert run.offered() == ["src"]
    run.do("src")
    assert run.offered() == ["b"]
    assert {run.state(m) for m in "xyz"} == {"ready"}


def test_members_are_never_offered_themselves() -> None:
    run = opened()
    assert run.offered() == []
    assert run.machine.granted_members(run.instance("b")) == ("x", "y", "z")


def test_a_member_has_its_own_start_and_end_and_tells_those_that_need_it_at_once() -> None:
    run = opened()
    make(run, "x")
    make(run, "y")
    assert run.offered() == ["end"]
    assert run.state("b") == "running"
    make(run, "z")
    run.end("b")
    run.do("end")
    assert set(run.ends().values()) == {"succeeded"}
    assert run.machine.state == "succeeded"


def test_a_member_whose_need_outside_failed_is_not_granted_and_the_rest_is() -> None:
    run = Run(bundle()).start()
    run.do("src", state="failed")
    assert run.state("y") == "upstream_failed"
    assert run.machine.granted_members(run.instance("b")) == ("x", "z")
    assert run.offered() == ["b"]


def test_a_member_that_needs_a_member_that_is_not_granted_is_not_granted() -> None:
    run = Run(
        graph(
            Step("src"),
            Step("b", kind="bundle"),
            Step("x", kind="member", bundle="b", needs=("src",)),
            Step("y", kind="member", bundle="b", needs=("x",)),
        )
    ).start()
    run.do("src", state="failed")
    assert run.ends() == {"src": "failed", "b": "upstream_failed", "x": "upstream_failed", "y": "upstream_failed"}
    assert run.instance("b").reason == "none of its members can be made"


def test_a_bundle_whose_members_are_all_skipped_is_skipped() -> None:
    run = Run(
        graph(Step("src"), Step("b", kind="bundle"), Step("x", kind="member", bundle="b", needs=("src",)))
    ).start()
    run.do("src", state="cancelled", failure=SKIP)
    assert run.ends() == dict.fromkeys(("src", "b", "x"), "skipped")
    assert run.machine.state == "succeeded"


def test_the_bundles_own_rule_ends_it_with_all_its_members() -> None:
    run = Run(bundle(needs=("src",))).start()
    run.do("src", state="failed")
    assert {run.state(m) for m in "bxyz"} == {"upstream_failed"}


def test_an_eager_rule_does_not_open_a_bundle_before_what_its_members_need() -> None:
    for when in ("any_succeeded", "any_done", "always"):
        run = Run(
            graph(
                Step("a"),
                Step("src"),
                Step("b", kind="bundle", needs=("a",), when=when),  # type: ignore[arg-type]
                Step("x", kind="member", bundle="b", needs=("src",)),
            )
        ).start()
        run.do("a")
        assert run.offered() == ["src"]
        run.do("src")
        assert run.machine.granted_members(run.instance("b")) == ("x",)


def test_a_bundle_without_members_is_an_ordinary_step() -> None:
    run = Run(graph(Step("b", kind="bundle"))).start().play()
    assert run.ends() == {"b": "succeeded"}


def test_a_member_that_names_its_bundle_among_its_needs_does_not_wait_for_it() -> None:
    run = Run(graph(Step("b", kind="bundle"), Step("x", kind="member", bundle="b", needs=("b",)))).start()
    assert run.offered() == ["b"]
    run.begin("b")
    make(run, "x")
    run.end("b")
    assert run.ends() == {"b": "succeeded", "x": "succeeded"}


def test_a_member_that_the_attempt_passes_over_ends_without_an_attempt() -> None:
    run = opened()
    run.apply(StepEnded(1.0, "z", "", "skipped", "switched off"))
    assert (run.state("z"), run.instance("z").reason) == ("skipped", "switched off")
    assert run.machine.granted_members(run.instance("b")) == ("x", "y")


def test_only_a_granted_member_can_be_passed_over() -> None:
    run = opened()
    run.apply(StepEnded(1.0, "src", "", "skipped", "x"))
    run.apply(StepEnded(1.0, "end", "", "skipped", "x"))
    run.apply(StepEnded(1.0, "nobody", "", "skipped", "x"))
    begin_member(run, "x")
    run.apply(StepEnded(1.0, "x", "", "skipped", "x"))
    assert run.machine.ignored == 4
    assert run.state("x") == "running"


def test_members_that_are_left_when_the_bundle_succeeds_are_blocked() -> None:
    run = opened()
    make(run, "x")
    run.end("b")
    assert run.ends()["y"] == "upstream_failed"
    assert run.instance("y").reason == "b ended without making it"
    assert run.instance("y").because == ("b",)


def test_members_of_an_attempt_that_says_there_is_nothing_to_do_are_skipped() -> None:
    run = opened()
    make(run, "x")
    run.end("b", state="cancelled", failure=SKIP)
    assert run.ends() == {
        "src": "succeeded",
        "b": "skipped",
        "x": "succeeded",
        "y": "skipped",
        "z": "skipped",
        "end": "skipped",
    }


def test_a_member_that_is_open_when_the_bundle_ends_is_lost_with_it() -> None:
    run = opened()
    begin_member(run, "x")
    run.end("b", state="failed")
    assert [(e.step, e.state) for e in run.told(AttemptEnded)] == [("src", "succeeded"), ("b", "failed"), ("x", "lost")]  # type: ignore[attr-defined]
    assert run.ends()["x"] == "failed"
    assert run.ends()["y"] == "upstream_failed"


class TestRetries:
    def test_a_member_that_failed_is_made_again_with_the_next_attempt_of_its_bundle(self) -> None:
        run = opened(retries=1)
        make(run, "x", "failed")
        make(run, "z")
        assert run.state("x") == "ready"
        run.end("b", state="failed", failure=MEMBERS_FAILED)

        assert run.machine.granted_members(run.instance("b")) == ("x", "y")
        run.begin("b")
        make(run, "x")
        make(run, "y")
        run.end("b")

        assert {run.state(m) for m in "bxyz"} == {"succeeded"}
        assert [(e.step, e.attempt) for e in run.told(AttemptStarted)] == [  # type: ignore[attr-defined]
            ("src", 1),
            ("b", 1),
            ("x", 1),
            ("z", 1),
            ("b", 2),
            ("x", 2),
            ("y", 2),
        ]

    def test_a_member_fails_for_good_when_its_bundle_has_no_retry_left(self) -> None:
        run = opened()
        make(run, "x", "failed")
        assert run.state("x") == "failed"
        make(run, "z")
        run.end("b", state="failed", failure=MEMBERS_FAILED)
        assert run.ends()["y"] == "upstream_failed"
        assert run.told(StepRetried) == []

    def test_a_member_that_waits_for_the_next_attempt_fails_when_there_is_none(self) -> None:
        run = opened(retries=1)
        make(run, "x", "failed")
        run.end("b")
        assert (run.state("x"), run.instance("x").reason) == ("failed", "ValueError: boom")
        assert run.state("b") == "succeeded"

    def test_open_members_of_a_lost_attempt_are_made_again(self) -> None:
        run = opened()
        make(run, "z")
        begin_member(run, "x")
        run.end("b", state="lost")
        assert run.machine.granted_members(run.instance("b")) == ("x", "y")
        run.begin("b")
        make(run, "x")
        make(run, "y")
        run.end("b")
        assert {run.state(m) for m in "bxyz"} == {"succeeded"}

    def test_an_attempt_that_is_lost_after_all_its_members_were_made_is_made_again_without_them(self) -> None:
        run = opened()
        for member in "xyz":
            make(run, member)
        run.end("b", state="lost")
        assert (run.state("b"), run.machine.granted_members(run.instance("b"))) == ("ready", ())
        run.do("b")
        run.play()
        assert run.machine.state == "succeeded"

    def test_a_member_that_began_only_in_a_later_attempt_has_that_attempts_number(self) -> None:
        run = opened()
        run.end("b", state="lost")
        run.begin("b")
        begin_member(run, "z")
        assert run.instance("z").attempt == 2


class TestEndingEarly:
    def test_a_cancel_kills_the_bundle_and_lets_its_attempt_say_what_became_of_the_members(self) -> None:
        run = opened()
        make(run, "x")
        begin_member(run, "y")
        run.cancel()
        assert run.kills == [("b", "")]
        assert (run.state("y"), run.state("z")) == ("running", "ready")

        run.end("b", state="cancelled")

        assert run.ends() == {
            "src": "succeeded",
            "b": "cancelled",
            "x": "succeeded",
            "y": "cancelled",
            "z": "cancelled",
            "end": "cancelled",
        }
        assert run.machine.state == "cancelled"

    def test_a_cancel_before_the_bundle_has_begun_ends_its_members(self) -> None:
        run = Run(bundle()).start()
        run.do("src")
        run.cancel()
        assert {run.state(m) for m in "bxyz"} == {"cancelled"}
        assert run.kills == []

    def test_a_member_that_failed_while_the_run_ends_is_not_kept_for_a_retry(self) -> None:
        run = opened(retries=3)
        begin_member(run, "x")
        run.cancel()
        run.end("x", state="failed")
        assert run.state("x") == "failed"
        run.end("b", state="cancelled")
        assert run.machine.state == "failed"

    def test_a_bundle_that_is_cancelled_alone_says_so_of_its_members(self) -> None:
        run = opened()
        begin_member(run, "x")
        run.end("b", state="cancelled")
        assert {run.state(m) for m in "bxyz"} == {"cancelled"}
        assert all(run.instance(m).reason for m in "bxyz")


def test_a_bundle_stands_in_a_map_with_its_members() -> None:
    from .driving import mapped

    step, axis = mapped("m", 2)
    run = Run(
        graph(
            step,
            Step("b", kind="bundle", axes=("m",)),
            Step("x", kind="member", bundle="b", axes=("m",), needs=("m",)),
            Step("all", needs=("x",)),
            axes=[axis],
        )
    ).start()
    run.do("m", "1")
    assert run.offered() == ["m[0]", "b[1]"]
    run.begin("b", "1")
    run.begin("x", "1")
    run.end("x", "1")
    run.end("b", "1")
    run.do("m", "0", state="failed")
    assert run.ends() == {
        "m[0]": "failed",
        "m[1]": "succeeded",
        "b[0]": "upstream_failed",
        "b[1]": "succeeded",
        "x[0]": "upstream_failed",
        "x[1]": "succeeded",
        "all": "upstream_failed",
    }
