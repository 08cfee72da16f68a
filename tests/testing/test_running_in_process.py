"""`partita.testing`: what users write their tests with, used as they would."""

from __future__ import annotations

import pytest

import partita as pt
from partita.errors import DefinitionError, PartitaError
from partita.testing import fails, lost, returns, run, takes, times_out


@pt.task(retries=2, retry_delay=["5m", "1h"])
def extract(source: str) -> list[int]:
    return [len(source), 1]


@pt.task
def total(parts: list[list[int]]) -> int:
    return sum(sum(p) for p in parts)


@pt.task(when="any_failed")
def alert() -> str:
    return "told somebody"


@pt.pipeline
def nightly(sources: list[str] = ["a", "bb", "ccc"]):  # noqa: B006 - a default of a run, never changed
    total(extract.map(sources)) >> alert()


def test_a_pipeline_runs_for_real_where_nothing_is_scripted():
    result = run(nightly)
    assert result.state == "succeeded"
    assert result.value("total") == 9
    assert result.value("extract") == [[1, 1], [2, 1], [3, 1]]
    assert result["alert"].state == "skipped"


def test_parameters_are_checked_and_given():
    assert run(nightly, {"sources": ["dddd"]}).value("total") == 5
    with pytest.raises(PartitaError, match="source"):
        run(nightly, {"source": ["x"]})


def test_retries_wait_by_the_fake_clock_only():
    result = run(nightly, script={"extract[1]": [fails(TimeoutError("no answer")), fails(TimeoutError("no answer"))]})
    assert (result.state, result["extract[1]"].attempts, result["extract[0]"].attempts) == ("succeeded", 3, 1)
    assert result.elapsed_s == 300 + 3600
    assert result["extract[1]"].errors == ["no answer", "no answer"] or "no answer" in result["extract[1]"].errors[0]


def test_a_failure_is_one_cause_whatever_is_behind_it():
    result = run(nightly, script={"extract[2]": [fails(ValueError("bad column"))] * 3})
    assert result.state == "failed"
    (cause,) = result.causes
    assert (cause.step, cause.indexes, cause.blocks) == ("extract", ("2",), ("total",))
    assert result["total"].state == "upstream_failed"
    assert result["alert"].state == "succeeded"
    with pytest.raises(PartitaError, match="bad column"):
        result.raise_for_state()


def test_a_lost_attempt_does_not_spend_the_retries_of_the_user():
    result = run(nightly, script={"extract[0]": [lost(), lost(), *[fails(OSError("x"))] * 2]})
    assert result.state == "succeeded"
    assert result["extract[0]"].attempts == 5


def test_a_mapped_step_is_scripted_as_a_whole_instance_by_instance():
    result = run(nightly, script={"extract": [fails(OSError("first try"))]})
    assert [result[f"extract[{i}]"].attempts for i in range(3)] == [2, 2, 2]


@pt.task(timeout="10m")
def slow() -> int:
    return 1


@pt.pipeline
def patient():
    slow()


def test_a_timeout_strikes_by_the_fake_clock():
    assert run(patient, script={"slow": takes(599)}).state == "succeeded"
    result = run(patient, script={"slow": takes(601)})
    assert (result.state, result.elapsed_s) == ("failed", 600.0)
    assert run(patient, script={"slow": times_out()}).state == "failed"


@pt.task
async def answer(x: int) -> int:
    return x + 1


@pt.pipeline
def asynchronous():
    total([answer.map([1, 2])])


def test_async_tasks_run_and_can_be_scripted():
    assert run(asynchronous).value("total") == 5
    assert run(asynchronous, script={"answer[0]": returns(10)}).value("total") == 13


def test_a_script_for_a_step_that_is_not_there_is_refused():
    with pytest.raises(DefinitionError, match="extrat"):
        run(nightly, script={"extrat": returns(1)})


def test_pipelines_offer_the_same_by_run():
    assert nightly.run(sources=["zz"]).value("total") == 3


def test_why_is_answered_in_words():
    result = run(nightly, script={"extract[2]": [fails(ValueError("bad column"))] * 3})
    told = " ".join(r.text for r in result.why("total").reasons)
    assert "extract" in told
    assert "bad column" in told


def test_pools_hold_steps_back():
    @pt.task(pool="db")
    def query(n: int) -> int:
        return n

    @pt.pipeline
    def queries():
        query.map([1, 2, 3, 4])

    result = run(queries, pools={"db": 1}, script={"query": takes(10)})
    assert result.elapsed_s == 40.0
    assert run(queries, pools={"db": 2}, script={"query": takes(10)}).elapsed_s == 20.0


berlin = pt.daily(start="2024-01-01", tz="Europe/Berlin")


@pt.asset(partitions=berlin)
def sales(ctx: pt.Context) -> list[str]:
    assert ctx.data_interval is not None
    return [ctx.partition, *(moment.isoformat() for moment in ctx.data_interval)]


of_assets = pt.pipeline("of_assets", assets="sales")


def test_a_partition_has_its_bounds_in_time_as_in_a_real_run():
    made = run(of_assets, partition="2024-06-13").value("sales")
    assert made == ["2024-06-13", "2024-06-12T22:00:00+00:00", "2024-06-13T22:00:00+00:00"]


def test_a_partition_that_there_is_not_or_that_is_missing_is_refused():
    with pytest.raises(PartitaError, match="2023-12-31"):
        run(of_assets, partition="2023-12-31")
    with pytest.raises(PartitaError, match="say which one"):
        run(of_assets)
    with pytest.raises(PartitaError, match="not partitioned"):
        run(patient, partition="2024-06-13")
