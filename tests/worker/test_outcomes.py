"""Whatever a step does, its worker answers with one outcome that says what happened, and goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from partita.core.policies import Cache
from partita.core.values import Value, Whole
from partita.worker.wire import MemberBegan, MemberEnded, Outcome

from .engine import Engine


def _failure(outcome: Outcome, state: str = "failed") -> Any:
    assert outcome.state == state
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    assert outcome.value is None
    return outcome.detail.failure


def test_a_step_gets_its_inputs_and_gives_its_result(warm: Engine) -> None:
    outcome = warm.run("add", brief={"inputs": {"b": warm.input(2)}}, a=40)
    assert warm.value(outcome) == 42
    assert outcome.detail is None
    assert 0 < outcome.began_at <= outcome.ended_at


def test_large_results_travel_as_blobs(warm: Engine) -> None:
    outcome = warm.run("echo", value=list(range(10_000)))
    assert outcome.value is not None
    assert outcome.value.ref is not None
    assert outcome.value.length == 10_000
    assert warm.value(outcome) == list(range(10_000))


def test_an_exception_becomes_a_failure_with_its_ancestry_and_the_users_frames_only(warm: Engine) -> None:
    failure = _failure(warm.run("raises", kind="value"))
    assert failure.message == "no such flight"
    assert failure.types == ("builtins.ValueError", "builtins.Exception", "builtins.BaseException")
    assert failure.cause == "exception"
    assert failure.retryable is None
    assert "steps.py" in failure.traceback
    assert "run_step.py" not in failure.traceback


@pytest.mark.parametrize(
    ("kind", "cause", "message"),
    [
        ("str", "exception", "__str__ raised RuntimeError"),
        ("exit", "exit", "sys.exit(3)"),
        ("interrupt", "exception", "KeyboardInterrupt"),
        ("memory", "out_of_memory", "asked for too much"),
        ("skip", "skipped", "no new files"),
        ("surrogate", "exception", "\\ud800 and \\x00"),
        ("group", "exception", "two (2 sub-exceptions)"),
    ],
)
def test_exceptions_of_every_kind_are_told(kind: str, cause: str, message: str, warm: Engine) -> None:
    failure = _failure(warm.run("raises", kind=kind))
    assert failure.cause == cause
    assert message in failure.message
    assert failure.exit_code == (3 if kind == "exit" else None)


def test_a_group_of_exceptions_shows_all_of_them(warm: Engine) -> None:
    trace = _failure(warm.run("raises", kind="group")).traceback
    assert "ValueError: one" in trace
    assert "KeyError: 'deep'" in trace


def test_the_cause_of_an_exception_is_in_the_traceback(warm: Engine) -> None:
    trace = _failure(warm.run("chained")).traceback
    assert trace.index("cause of it") < trace.index("what it led to")


def test_messages_and_tracebacks_are_bounded(warm: Engine) -> None:
    long = _failure(warm.run("raises", kind="long"))
    assert len(long.message) == 2000
    assert len(long.traceback) <= 16 << 10
    endless = _failure(warm.run("deep"))
    assert "RecursionError" in endless.types[0]
    assert len(endless.traceback) <= 16 << 10


def test_user_code_says_whether_and_when_to_retry(warm: Engine) -> None:
    assert _failure(warm.run("raises", kind="fail")).retryable is False
    assert _failure(warm.run("raises", kind="later")).retry_after_s == 30.0
    assert _failure(warm.run("retried", kind="value")).retryable is True
    assert _failure(warm.run("retried", kind="interrupt")).retryable is False
    assert _failure(warm.run("predicate_raises", kind="value")).retryable is True


def test_a_result_that_cannot_be_stored_says_what_and_where(warm: Engine) -> None:
    failure = _failure(warm.run("unstorable"))
    assert failure.cause == "not_storable"
    assert "['lock']" in failure.message
    assert "hint" in failure.message


def test_an_input_that_cannot_be_loaded_names_the_argument(warm: Engine) -> None:
    missing = Whole(Value("pickle", 3, None, "ab/abc", "abc"))
    failure = _failure(warm.run("add", a=missing))
    assert failure.cause == "input"
    assert "ab/abc" in failure.message
    assert "argument 'a' of step 'the add'" in failure.traceback


def test_a_call_that_is_not_in_the_project_fails_its_step(warm: Engine) -> None:
    failure = _failure(warm.run("renamed"))
    assert "'renamed'" in failure.message
    assert "hint" in failure.message


def test_metadata_that_cannot_be_sent_fails_the_step_and_not_the_worker(warm: Engine) -> None:
    assert _failure(warm.run("surrogate_metadata")).cause == "not_storable"
    assert warm.run("noop").state == "succeeded"


def test_memory_over_the_limit_is_named_and_the_worker_lives_on(warm: Engine) -> None:
    limit = {"memory_bytes": 64 << 20}
    failure = _failure(warm.run("eats", brief=limit, megabytes=200))
    assert failure.cause == "out_of_memory"
    assert "64 MB" in failure.message
    assert warm.value(warm.run("eats", brief=limit, megabytes=20)) == 20
    assert warm.value(warm.run("eats", megabytes=200)) == 200


def test_the_peak_of_a_greedy_step_is_not_blamed_on_the_next(warm: Engine) -> None:
    greedy = warm.run("eats", megabytes=150).detail
    modest = warm.run("eats", megabytes=70).detail
    assert greedy is not None
    assert greedy.usage is not None
    assert greedy.usage.peak_rss_bytes > 150 << 20
    if modest is not None and modest.usage is not None:
        assert modest.usage.peak_rss_bytes < 150 << 20


def test_a_chdir_ends_with_its_step(warm: Engine, tmp_path: Path) -> None:
    before = warm.value(warm.run("folder"))
    assert warm.value(warm.run("changes_folder", to=str(tmp_path))) == "changed"
    assert warm.value(warm.run("folder")) == before


def test_coroutines_run_in_a_worker_without_a_loop_too(warm: Engine) -> None:
    assert warm.value(warm.run("async_add", a=1)) == 2
    assert _failure(warm.run("async_raises")).message == "no such flight"


def test_a_branch_says_what_it_chose(warm: Engine) -> None:
    chosen = warm.run("echo", brief={"reports_choice": True}, value="eu").detail
    assert chosen is not None
    assert chosen.choice == b"\xa2eu"
    failure = _failure(warm.run("echo", brief={"reports_choice": True}, value=[1]))
    assert "decides a branch" in failure.message


def test_a_loop_says_whether_it_goes_on(warm: Engine) -> None:
    again = [warm.run("until_ten", brief={"reports_again": True}, a=a).detail.again for a in (1, 9)]  # type: ignore[union-attr]
    assert again == [True, False]


def test_checks_report_what_they_found(warm: Engine) -> None:
    failed = warm.run("is_positive", brief={"kind": "check", "partition": "2013-01-01"}, value=-1)
    assert failed.state == "succeeded"
    (report,) = failed.detail.checks  # type: ignore[union-attr]
    assert (report.asset, report.check, report.passed, report.severity) == ("flights", "positive", False, "warn")
    assert report.partition == "2013-01-01"
    (report,) = warm.run("judged", brief={"kind": "check"}, value=5).detail.checks  # type: ignore[union-attr]
    assert (report.passed, report.severity, report.message) == (True, "error", "5 is what there is")
    assert [meta.name for meta in report.metadata] == ["seen"]


def test_a_check_that_answers_nonsense_fails(warm: Engine) -> None:
    failure = _failure(warm.run("echo", brief={"kind": "check", "asset": "flights", "check": "odd"}, value="yes"))
    assert "check 'odd' on 'flights' returned a str" in failure.message


def test_an_asset_is_reported_with_a_version_of_its_content(warm: Engine) -> None:
    brief = {"kind": "asset", "asset": "flights", "partition": "2013-01-01"}
    versions = []
    for value in ("same", "same", "other", None, None):
        (report,) = warm.run("echo", brief={**brief, "run": f"run-{len(versions)}"}, value=value).detail.assets  # type: ignore[union-attr]
        assert (report.asset, report.partition) == ("flights", "2013-01-01")
        versions.append(report.data_version)
    assert versions[0] == versions[1]
    # Of None nothing is known: each attempt counts as new data.
    assert len(set(versions)) == 4


def test_an_asset_may_be_kept_elsewhere(warm: Engine) -> None:
    outcome = warm.run("stores_itself", brief={"kind": "asset", "asset": "x", "partition": "p1"}, value="abc")
    assert outcome.value is not None
    assert outcome.value.data == b"\xc0"
    assert outcome.value.preview == "'abc'"
    assert warm.value(warm.run("loads_itself")) == "p1:abc"


def test_of_data_that_lies_elsewhere_the_version_is_known(warm: Engine) -> None:
    def digest(call: str, run: str, value: Any) -> str:
        outcome = warm.run(call, brief={"kind": "asset", "asset": "x", "run": run}, value=value)
        assert outcome.value is not None
        assert outcome.value.data == b"\xc0"
        return outcome.value.digest

    assert digest("stores_itself", "run-a", "abc") == digest("stores_itself", "run-b", "abc")
    assert digest("stores_itself", "run-a", "abd") != digest("stores_itself", "run-a", "abc")
    # What cannot be compared, or was written by the function itself, counts as new.
    assert digest("echo", "run-a", None) != digest("echo", "run-b", None)


def test_a_cached_reader_of_data_elsewhere_sees_a_new_version_of_it(warm: Engine) -> None:
    brief = {"cache": Cache(), "kind": "asset", "asset": "reader"}

    def is_cached(written: str) -> bool:
        value = warm.run("stores_itself", brief={"kind": "asset", "asset": "x", "partition": "p1"}, value=written).value
        assert value is not None
        detail = warm.run("loads_itself", brief=brief, ticket={"inputs": {"value": Whole(value)}}).detail
        return detail is not None and bool(detail.cached_from)

    assert [is_cached(written) for written in ("abc", "abc", "abd", "abd")] == [False, True, False, True]


def test_a_cached_result_whose_file_was_removed_is_made_again(warm: Engine) -> None:
    brief = {"cache": Cache(), "kind": "asset", "asset": "kept elsewhere", "step": "x"}
    path = warm.home.root / "kept"
    seen = []
    for removed in (False, False, True, False):
        if removed:
            path.unlink()
        detail = warm.run("stores_itself", brief=brief, value="abc").detail
        seen.append(detail is not None and bool(detail.cached_from))
    assert seen == [False, True, False, True]


def test_an_external_asset_counts_in_the_key_by_what_was_read(warm: Engine) -> None:
    brief = {"cache": Cache(), "kind": "asset", "asset": "reader of one outside"}
    seen = []
    for written in ("abc", "abc", "abd"):
        warm.run("stores_itself", brief={"kind": "asset", "asset": "x", "partition": "p1"}, value=written)
        detail = warm.run("loads_itself", brief=brief, value=None).detail
        seen.append(detail is not None and bool(detail.cached_from))
    assert seen == [False, True, False]


def test_a_multi_asset_reports_each_asset_as_a_member(warm: Engine) -> None:
    warm.messages.clear()
    outcome = warm.run("two_assets", brief={"kind": "bundle"}, ticket={"members": ("a", "b")})
    assert (outcome.state, outcome.value) == ("succeeded", None)
    began = [m.member for m in warm.messages if isinstance(m, MemberBegan)]
    ended = [m for m in warm.messages if isinstance(m, MemberEnded)]
    assert began == ["a", "b"]
    assert [(m.member, m.state, m.value.length if m.value else None) for m in ended] == [
        ("a", "succeeded", 2),
        ("b", "succeeded", None),
    ]
    assert [meta.name for meta in ended[0].assets[0].metadata] == ["rows"]
    assert all(m.assets[0].data_version for m in ended)


def test_members_that_were_not_asked_for_are_not_reported(warm: Engine) -> None:
    warm.messages.clear()
    warm.run("two_assets", brief={"kind": "bundle"}, ticket={"members": ("b",)})
    assert [m.member for m in warm.messages if isinstance(m, MemberEnded)] == ["b"]


def test_a_member_that_user_code_reported_is_not_reported_again(warm: Engine) -> None:
    warm.messages.clear()
    warm.run("one_by_hand", brief={"kind": "bundle"}, ticket={"members": ("a", "b")})
    ended = [m for m in warm.messages if isinstance(m, MemberEnded)]
    assert [(m.member, m.value and m.value.data) for m in ended] == [("a", b"\xa7by hand"), ("b", b"\xa1b")]


def test_user_code_performs_members_itself(warm: Engine) -> None:
    warm.messages.clear()
    warm.run("member_fails", brief={"kind": "bundle"}, ticket={"members": ("a", "b")})
    ended = [m for m in warm.messages if isinstance(m, MemberEnded)]
    assert [(m.member, m.state) for m in ended] == [("a", "succeeded"), ("b", "failed")]
    assert ended[1].detail is not None
    assert ended[1].detail.failure is not None
    assert ended[1].detail.failure.message == "no b"


def test_a_result_is_taken_from_the_cache_and_says_from_where(warm: Engine) -> None:
    brief = {"cache": Cache(), "code_version": "v1"}
    first = warm.run("add", brief={**brief, "run": "run-a"}, ticket={"index": "4"}, a=1)
    second = warm.run("add", brief={**brief, "run": "run-b"}, a=1)
    assert first.detail is None or not first.detail.cached_from
    assert second.detail is not None
    assert second.detail.cached_from == "run-a/the add/4/1"
    assert warm.value(second) == 2
    for changed in ({"code_version": "v2"}, {"cache": Cache(salt="s")}):
        third = warm.run("add", brief={**brief, **changed}, a=1)
        assert third.detail is None or not third.detail.cached_from


def test_what_was_reported_with_a_cached_result_is_reported_again(warm: Engine) -> None:
    brief = {"cache": Cache(), "kind": "asset", "asset": "rows", "step": "rows"}
    first, second = (warm.run("reports", brief={**brief, "run": run}).detail for run in ("run-a", "run-b"))
    assert first is not None
    assert second is not None
    assert second.cached_from == "run-a/rows//1"
    assert [meta.name for meta in second.metadata] == ["rows", "note"]
    assert (second.metadata, second.assets) == (first.metadata, first.assets)


def test_a_check_that_failed_is_made_again_and_one_that_passed_is_not(warm: Engine) -> None:
    brief = {"cache": Cache(), "kind": "check"}
    for value, cached in ((-5, False), (-5, False), (5, False), (5, True)):
        detail = warm.run("judged", brief=brief, value=value).detail
        assert detail is not None
        assert bool(detail.cached_from) is cached
        assert [report.passed for report in detail.checks] == [value > 0]


def test_the_users_key_decides_what_is_the_same(warm: Engine) -> None:
    brief = {"cache": Cache(key="own")}
    assert warm.value(warm.run("own_key", brief=brief, a=100, b=1)) == 101
    assert warm.value(warm.run("own_key", brief=brief, a=100, b=2)) == 101
    assert warm.value(warm.run("own_key", brief=brief, a=200, b=2)) == 202


def test_secrets_are_masked_in_what_is_reported(warm: Engine) -> None:
    failure = _failure(warm.run("tells_secret"))
    assert failure.message == "*** was refused"
    assert "hunter2" not in failure.traceback
    detail = warm.run("reports").detail
    assert detail is not None
    assert b"hunter2" not in b"".join(meta.data for meta in detail.metadata)


def test_a_member_that_needed_no_making_names_the_attempt_that_made_it(warm: Engine) -> None:
    warm.messages.clear()
    warm.run("members_take_turns", brief={"kind": "bundle"}, ticket={"members": ("a", "b")})
    ended = [m for m in warm.messages if isinstance(m, MemberEnded)]
    assert [m.detail and m.detail.cached_from for m in ended] == ["run-0/x//1", "run-0/x//1"]
