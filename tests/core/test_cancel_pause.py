"""Requests of people: cancel, pause, resume."""

from __future__ import annotations

from partita.core.commands import Finished, Kill, Offer, Withdraw
from partita.core.events import CancelRequested, PauseRequested, ResumeRequested, RunEnded, RunStarted
from partita.core.graph import Step
from partita.core.policies import Policies, Retry

from .driving import Run, graph, mapped

THREE = graph(Step("a"), Step("b"), Step("c", needs=("a",)))


class TestCancel:
    def test_a_queued_run_is_cancelled_at_once(self) -> None:
        run = Run(THREE)
        assert run.apply(CancelRequested(1.0, "ann")) == [Finished()]
        assert (run.machine.state, run.machine.reason) == ("cancelled", "cancelled by ann")
        assert run.apply(RunStarted(2.0)) == []

    def test_what_has_not_begun_ends_and_what_runs_is_asked_to(self) -> None:
        run = Run(THREE).start()
        run.begin("a")
        commands = run.apply(CancelRequested(1.0, "ann", "wrong day"))
        assert commands == [Kill("a", "", 1, "cancelled by ann: wrong day"), Withdraw("b", "")]
        assert run.ends() == {"b": "cancelled", "c": "cancelled"}
        assert run.instance("c").reason == "cancelled by ann: wrong day"
        assert not run.machine.is_finished

        run.end("a", state="cancelled")
        assert run.told(RunEnded) == [RunEnded(0.0, "cancelled", "cancelled by ann: wrong day")]

    def test_an_attempt_that_was_quicker_than_its_kill_has_succeeded_in_a_cancelled_run(self) -> None:
        run = Run(THREE).start()
        run.begin("a")
        run.cancel()
        run.end("a")
        assert run.state("a") == "succeeded"
        assert run.state("c") == "cancelled"
        assert run.machine.state == "cancelled"

    def test_an_attempt_that_fails_or_is_lost_after_a_cancel_is_not_tried_again(self) -> None:
        for state, end, whole in (
            ("failed", "failed", "failed"),
            ("timed_out", "failed", "failed"),
            ("lost", "cancelled", "cancelled"),
            ("refused", "cancelled", "cancelled"),
        ):
            run = Run(graph(Step("a", policies=Policies(retry=Retry(limit=9))))).start()
            run.begin("a")
            run.cancel()
            run.end("a", state=state)  # type: ignore[arg-type]
            assert (run.state("a"), run.machine.state) == (end, whole)

    def test_a_step_that_waits_for_its_next_attempt_is_cancelled(self) -> None:
        run = Run(graph(Step("a", policies=Policies(retry=Retry(limit=1, delays_s=(60.0,)))))).start()
        run.do("a", state="failed")
        run.cancel()
        assert run.ends() == {"a": "cancelled"}
        assert run.offers == {}

    def test_a_map_that_is_not_known_yet_is_cancelled(self) -> None:
        from partita.core.graph import Output

        step, axis = mapped("m", Output("src"))
        run = Run(graph(Step("src"), step, axes=[axis])).start()
        run.begin("src")
        run.cancel()
        run.end("src", value=[1, 2])
        assert run.ends() == {"src": "succeeded", "m": "cancelled"}
        assert run.machine.is_finished

    def test_a_second_cancel_and_one_after_the_end_change_nothing(self) -> None:
        run = Run(THREE).start()
        run.begin("a")
        run.cancel()
        before = len(run.events)
        run.cancel()
        assert len(run.events) == before
        run.end("a")
        run.cancel()
        assert len(run.told(CancelRequested)) == 1
        assert run.machine.ignored == 2

    def test_a_run_that_had_a_failure_before_its_cancel_has_failed(self) -> None:
        run = Run(THREE).start()
        run.do("b", state="failed")
        run.cancel()
        assert run.machine.state == "failed"


class TestPause:
    def test_nothing_new_starts_and_what_runs_goes_on(self) -> None:
        run = Run(THREE).start()
        run.begin("a")
        assert run.apply(PauseRequested(1.0, "ann")) == [Withdraw("b", "")]
        run.end("a")
        assert run.state("c") == "ready"
        assert run.offered() == []
        assert run.kills == []

    def test_resume_offers_what_is_ready(self) -> None:
        run = Run(THREE).start()
        run.do("a")
        run.pause()
        assert run.apply(ResumeRequested(2.0, "ann")) == [Offer("b", ""), Offer("c", "")]
        run.play()
        assert run.machine.state == "succeeded"

    def test_a_run_may_be_paused_before_it_starts(self) -> None:
        run = Run(THREE)
        run.pause()
        run.start()
        assert run.offered() == []
        run.resume()
        assert run.offered() == ["a", "b"]

    def test_a_retry_keeps_its_time_over_a_pause(self) -> None:
        run = Run(graph(Step("a", policies=Policies(retry=Retry(limit=1, delays_s=(60.0,)))))).start()
        run.do("a", state="failed")
        assert run.offers == {("a", ""): 60.0}
        run.pause()
        run.resume()
        assert run.offers == {("a", ""): 60.0}

    def test_a_failure_during_a_pause_is_offered_again_only_after_it(self) -> None:
        run = Run(graph(Step("a", policies=Policies(retry=Retry(limit=1))))).start()
        run.begin("a")
        run.pause()
        run.end("a", state="failed")
        assert (run.state("a"), run.offered()) == ("ready", [])
        run.resume()
        assert run.offered() == ["a"]

    def test_a_second_pause_or_resume_changes_nothing(self) -> None:
        run = Run(THREE).start()
        run.resume()
        run.pause()
        run.pause()
        run.resume()
        run.resume()
        assert [type(e) for e in run.told(PauseRequested) + run.told(ResumeRequested)] == [
            PauseRequested,
            ResumeRequested,
        ]
        assert run.machine.ignored == 3

    def test_a_paused_run_can_end_by_itself_and_by_a_cancel(self) -> None:
        run = Run(graph(Step("a"))).start()
        run.begin("a")
        run.pause()
        run.end("a")
        assert run.machine.state == "succeeded"

        run = Run(THREE).start()
        run.pause()
        run.cancel()
        assert run.machine.state == "cancelled"

    def test_a_pause_leaves_the_members_of_an_open_bundle_to_it(self) -> None:
        run = Run(graph(Step("b", kind="bundle"), Step("x", kind="member", bundle="b"))).start()
        run.begin("b")
        run.pause()
        run.resume()
        assert run.offered() == []
        run.begin("x")
        run.end("x")
        run.end("b")
        assert run.machine.state == "succeeded"
