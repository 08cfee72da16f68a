"""Retries: the user's budget, ours, and the waits between attempts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partita.core import retry
from partita.core.events import AttemptStarted, Failure, StepRetried
from partita.core.graph import Step
from partita.core.policies import Policies, Retry
from partita.core.retry import Again, Enough

from .driving import Run, graph

BOOM = Failure("boom", ("app.errors.Flaky", "builtins.OSError", "builtins.Exception"))
NOT_BEGUN = Failure("handed back", cause="not_begun")


def after(
    state: str = "failed", failure: Failure | None = BOOM, *, failures: int = 1, losses: int = 0, **policies: object
) -> Again | Enough:
    return retry.after(
        Policies(**policies),  # type: ignore[arg-type]
        state,  # type: ignore[arg-type]
        failure,
        failures=failures,
        losses=losses,
        seed="r/s/",
    )


def one_step(**policies: object) -> Run:
    return Run(graph(Step("a", policies=Policies(**policies)))).start()  # type: ignore[arg-type]


class TestTheUsersBudget:
    def test_without_retries_the_first_failure_is_the_last(self) -> None:
        assert after() == Enough("failed, no retries")
        assert after("timed_out") == Enough("timed out, no retries")

    def test_as_many_failures_as_the_limit_are_tried_again(self) -> None:
        limit = Retry(limit=2)
        assert isinstance(after(failures=2, retry=limit), Again)
        assert after(failures=3, retry=limit) == Enough("failed, all 2 retries used")

    @pytest.mark.parametrize("name", ["Flaky", "app.errors.Flaky", "OSError", "builtins.OSError"])
    def test_on_names_a_class_of_the_errors_ancestry_bare_or_dotted(self, name: str) -> None:
        assert isinstance(after(retry=Retry(limit=1, on=(name,))), Again)
        assert "never retried" in after(retry=Retry(limit=1, never_on=(name,))).reason

    @pytest.mark.parametrize("name", ["ValueError", "other.errors.Flaky", "errors.Flaky"])
    def test_on_does_not_match_another_class(self, name: str) -> None:
        assert "not retried" in after(retry=Retry(limit=1, on=(name,))).reason
        assert isinstance(after(retry=Retry(limit=1, never_on=(name,))), Again)

    def test_never_on_is_stronger_than_on(self) -> None:
        assert isinstance(after(retry=Retry(limit=1, on=("OSError",), never_on=("Flaky",))), Enough)

    def test_the_users_predicate_has_the_last_word(self) -> None:
        no = Failure("boom", retryable=False)
        assert after(failure=no, retry=Retry(limit=5)) == Enough("failed, and not to be retried by its own word")
        yes = Failure("boom", retryable=True)
        assert isinstance(after(failure=yes, retry=Retry(limit=5)), Again)

    def test_user_code_may_ask_for_a_wait_of_its_own(self) -> None:
        asked = Failure("busy", retry_after_s=90.0)
        assert after(failure=asked, retry=Retry(limit=1, delays_s=(5.0,))) == Again(90.0, "failed, retry 1 of 1")


class TestOurBudget:
    def test_lost_attempts_come_back_at_once_then_a_little_later(self) -> None:
        waits = [after("lost", None, failures=0, losses=n) for n in (1, 2, 3)]
        assert [w.delay_s for w in waits if isinstance(w, Again)] == [0.0, 1.0, 5.0]
        assert after("lost", None, failures=0, losses=4) == Enough("lost 4 times")

    def test_a_lost_attempt_spends_it_also_when_the_cause_of_death_is_known(self) -> None:
        killed = Failure("killed by SIGKILL", cause="signal", signal=9)
        assert after("lost", killed, failures=0, losses=2) == Again(1.0, "lost, taken up again (2 of 3)")
        assert after("lost", killed, failures=0, losses=4) == Enough("lost 4 times")

    def test_an_at_most_once_step_is_not_tried_again_when_it_is_lost(self) -> None:
        assert not after("lost", None, losses=1, on_lost="fail").ask  # type: ignore[union-attr]
        assert after("lost", None, losses=1, on_lost="ask").ask  # type: ignore[union-attr]

    def test_an_at_most_once_step_is_tried_again_when_it_never_began(self) -> None:
        assert isinstance(after("refused", None, losses=1, on_lost="fail"), Again)

    def test_neither_budget_spends_the_others(self) -> None:
        run = one_step(retry=Retry(limit=1), lost_limit=2)
        for state in ("lost", "failed", "lost"):
            run.at += 100
            run.do("a", state=state)  # type: ignore[arg-type]
            assert run.state("a") == "ready"

        run.at += 100
        run.do("a", state="failed")

        assert run.state("a") == "failed"
        assert run.instance("a").reason == "boom (failed, all 1 retries used)"

    def test_tickets_that_come_back_unbegun_spend_no_budget(self) -> None:
        run = one_step(lost_limit=1)
        for _ in range(50):
            run.do("a", state="refused", failure=NOT_BEGUN)
        assert run.state("a") == "ready"
        assert run.instance("a").losses == 0

        run.do("a", state="lost")
        assert run.state("a") == "ready"

    def test_workers_that_never_begin_anything_are_noticed_in_the_end(self) -> None:
        run = one_step()
        run.play(lambda instance: {"state": "refused", "failure": NOT_BEGUN}, limit=2000)
        assert run.state("a") == "failed"
        assert run.instance("a").reason == "handed back (never begun)"
        assert run.instance("a").attempt == 1000


class TestWaits:
    def test_listed_delays_are_taken_in_turn_and_the_last_repeats(self) -> None:
        listed = Retry(limit=9, delays_s=(1.0, 5.0, 25.0))
        assert [retry.delay(listed, n, "") for n in (1, 2, 3, 4, 5)] == [1.0, 5.0, 25.0, 25.0, 25.0]

    def test_backoff_multiplies_the_last_delay_up_to_the_cap(self) -> None:
        growing = Retry(limit=99, delays_s=(2.0,), backoff=3.0, cap_s=50.0)
        assert [retry.delay(growing, n, "") for n in (1, 2, 3, 4, 5)] == [2.0, 6.0, 18.0, 50.0, 50.0]

    def test_a_backoff_beyond_all_numbers_is_still_a_wait(self) -> None:
        assert retry.delay(Retry(delays_s=(1.0,), backoff=10.0, cap_s=60.0), 5000, "") == 60.0
        assert retry.delay(Retry(delays_s=(1.0,), backoff=10.0), 5000, "") == 10.0**9

    @given(failures=st.integers(1, 50), seed=st.text(max_size=20))
    def test_full_jitter_stays_between_nothing_and_the_delay_and_repeats_for_the_same_ids(
        self, failures: int, seed: str
    ) -> None:
        plain = Retry(limit=99, delays_s=(3.0,), backoff=2.0, cap_s=500.0)
        jittered = Retry(limit=99, delays_s=(3.0,), backoff=2.0, cap_s=500.0, jitter="full")
        wait = retry.delay(jittered, failures, seed)
        assert 0.0 <= wait < retry.delay(plain, failures, seed)
        assert wait == retry.delay(jittered, failures, seed)

    def test_full_jitter_spreads_steps_that_fail_together(self) -> None:
        jittered = Retry(limit=1, delays_s=(100.0,), jitter="full")
        waits = [retry.delay(jittered, 1, f"r/s/{i}") for i in range(1000)]
        assert len(set(waits)) == 1000
        assert 45.0 < sum(waits) / 1000 < 55.0


def test_a_failed_step_is_ready_again_but_not_before_its_delay_has_passed() -> None:
    run = one_step(retry=Retry(limit=1, delays_s=(10.0,)))
    run.at = 5.0

    run.do("a", state="failed")

    assert run.offers == {("a", ""): 15.0}
    assert run.told(StepRetried) == [StepRetried(5.0, "a", "", 2, 15.0, "failed, retry 1 of 1")]
    assert run.instance("a").past == [(1, "failed", "ValueError: boom")]


def test_a_retry_makes_a_new_attempt_with_the_next_number() -> None:
    run = one_step(retry=Retry(limit=3)).play(lambda i: {"state": "failed"} if i.attempt < 3 else {})
    assert [e.attempt for e in run.told(AttemptStarted)] == [1, 2, 3]  # type: ignore[attr-defined]
    assert run.machine.state == "succeeded"


def test_only_the_instance_that_failed_is_retried() -> None:
    from .driving import mapped

    step, axis = mapped("m", 3, policies=Policies(retry=Retry(limit=1)))
    run = Run(graph(step, axes=[axis])).start()

    run.play(lambda i: {"state": "failed"} if i.index == "1" and i.attempt == 1 else {})

    assert {i.index: i.attempt for i in run.machine.instances()} == {"0": 1, "1": 2, "2": 1}
    assert run.machine.state == "succeeded"
