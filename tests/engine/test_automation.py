"""Automation as a service carries it out: which runs assets ask for by themselves, and that none is asked for twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import partita as pt
from partita.engine.automation import AssetAnswer, WhyAsset
from partita.engine.reporting import AddPartitions, RemovePartitions, ReportAsset, ReportCheck
from partita.errors import DefinitionError, ParamError
from partita.store import assets as rows

from .automating import NOON, Bench, texts

DAY = pt.daily("2026-03-08")


def chain(**more: Any) -> list[Any]:
    """A source that others report, an asset that reads it, and one that reads that."""
    source = pt.external_asset("source")

    @pt.asset(deps=["source"], automation=pt.auto.on_upstream(), **more)
    def clean() -> int:
        return 1

    @pt.asset(automation=pt.auto.on_upstream(), **more)
    def report(clean: int) -> int:
        return clean + 1

    return [source, clean, report]


def test_a_report_from_outside_wakes_what_reads_it_and_so_on_downstream(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *chain())
    # What is missing together is made together, in one run.
    assert bench.told() == ["clean+report"]
    assert bench.told() == []
    bench.report(ReportAsset("source", "airbyte", data_version="v2"))
    # `clean` gives the same value again: `report` is not woken.
    assert bench.told() == ["clean"]
    assert bench.is_sound()


def test_an_upstream_with_other_data_wakes_its_readers(tmp_path: Path) -> None:
    count = iter(range(100))

    @pt.asset
    def raw() -> int:
        return next(count)

    @pt.asset(automation=pt.auto.on_upstream())
    def total(raw: int) -> int:
        return raw

    bench = Bench(tmp_path, raw, total)
    assert bench.told() == []  # what it reads is not there yet
    bench.run("raw")
    assert bench.told() == ["total"]
    bench.run("raw")
    assert bench.told() == ["total"]
    [newest, *_] = rows.automated(bench.store, "total")
    assert newest.run == bench.store.runs()[0].id
    assert "+ raw has data that it was not made from" in texts(newest.trees[0][1])


def test_decisions_of_two_engines_at_one_reading_of_the_clock_make_two_runs(tmp_path: Path) -> None:
    # Origins were made of the time and of a count that began anew: the second one was taken, and automation failed.
    count = iter(range(100))

    @pt.asset
    def raw() -> int:
        return next(count)

    @pt.asset(automation=pt.auto.on_upstream())
    def total(raw: int) -> int:
        return raw

    bench = Bench(tmp_path, raw, total)
    bench.run("raw")
    assert bench.told() == ["total"]
    bench = bench.again()
    bench.clock.set(NOON)
    bench.run("raw")
    assert bench.told() == ["total"]
    assert bench.is_sound()


def test_a_report_under_a_key_counts_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *chain())
    bench.settle()
    report = ReportAsset("source", "airbyte", data_version="v2", key="sync-17")
    assert not bench.report(report).repeated
    assert bench.told() == ["clean"]
    assert bench.report(report).repeated
    assert bench.told() == []
    assert len(rows.history(bench.store, "source")) == 1
    assert bench.is_sound()


def test_the_same_data_version_reported_again_wakes_nobody(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *chain())
    bench.settle()
    for expected in (["clean"], [], []):
        bench.report(ReportAsset("source", "airbyte", data_version="v2"))
        assert bench.told() == expected


def test_a_run_that_failed_is_not_asked_for_again_until_something_changes(tmp_path: Path) -> None:
    source = pt.external_asset("source")
    broken = [True]

    @pt.asset(deps=["source"], automation=pt.auto.on_upstream())
    def clean() -> int:
        if broken[0]:
            raise ValueError("boom")
        return 1

    bench = Bench(tmp_path, source, clean)
    assert bench.told() == ["clean"]
    assert bench.told() == []
    assert bench.again().told() == []  # nor by the next engine
    assert any("it was asked for at" in text for text in texts(bench.again().why("clean")))
    broken[0] = False
    later = bench.again()
    later.report(ReportAsset("source", "airbyte", data_version="v2"))
    assert later.told() == ["clean"]


def test_what_a_run_is_making_is_not_asked_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *chain())
    bench.run('"clean" | "report"')
    assert len(bench.settle()) == 0
    assert len(bench.store.runs()) == 1


def test_the_last_partition_is_made_when_it_has_ended(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *chain_of_days())
    assert bench.told() == ["raw+daily 2026-03-09"]
    assert bench.told(at="2026-03-10T23:59") == []
    assert bench.told(at="2026-03-11T00:00") == ["raw+daily 2026-03-10"]
    assert bench.is_sound()


def chain_of_days() -> list[Any]:
    @pt.asset(partitions=DAY, automation=pt.auto.on_missing())
    def raw(ctx: pt.Context) -> str:
        return ctx.partition

    @pt.asset(partitions=DAY, automation=pt.auto.on_upstream())
    def daily(raw: str) -> str:
        return raw

    return [raw, daily]


def test_a_day_is_rolled_up_once_all_its_hours_are_there(tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []

    @pt.asset(partitions=pt.hourly("2026-03-09T00:00"))
    def hours(ctx: pt.Context) -> str:
        return ctx.partition[-5:]

    @pt.asset(partitions=DAY, automation=pt.auto.on_upstream())
    def day(hours: dict[str, str]) -> int:
        seen.append(hours)
        return len(hours)

    bench = Bench(tmp_path, hours, day)
    for hour in range(24):
        assert bench.told() == []
        bench.run("hours", f"2026-03-09T{hour:02}:00")
        bench.clock.advance(1.0)
    assert bench.told() == ["day 2026-03-09"]
    assert len(seen[0]) == 24
    assert seen[0]["2026-03-09T05:00"] == "05:00"


def test_a_window_and_the_last_partition_are_read_from_the_store(tmp_path: Path) -> None:
    read: dict[str, Any] = {}

    @pt.asset(partitions=DAY)
    def raw(ctx: pt.Context) -> str:
        return ctx.partition

    @pt.asset(partitions=DAY, deps={"raw": pt.dep("raw", mapping=pt.window(-1))})
    def trailing(raw: dict[str, str]) -> None:
        read["window"] = raw

    @pt.asset(deps={"days": pt.dep("raw", mapping="last")})
    def newest(days: str) -> None:
        read["last"] = days

    @pt.asset(deps={"days": pt.dep("raw", mapping="all")})
    def everything(days: dict[str, str]) -> None:
        read["all"] = days

    bench = Bench(tmp_path, raw, trailing, newest, everything)
    for day in ("2026-03-08", "2026-03-09"):
        bench.run("raw", day)
    bench.settle()
    bench.run("trailing", "2026-03-09")
    bench.run("newest")
    bench.run("everything")
    bench.settle()
    both = {day: day for day in ("2026-03-08", "2026-03-09")}
    assert read == {"window": both, "last": "2026-03-09", "all": both}
    with pytest.raises(DefinitionError, match="raw of 2026-03-10"):
        bench.run("trailing", "2026-03-10")
    # What the same run makes before is read from the store as well.
    bench.run('"raw" | "trailing"', "2026-03-10")
    bench.settle()
    assert read["window"] == {day: day for day in ("2026-03-09", "2026-03-10")}


def test_an_asset_without_partitions_is_kept_without_one_in_a_partitioned_run(tmp_path: Path) -> None:
    @pt.asset(partitions=DAY)
    def raw(ctx: pt.Context) -> str:
        return ctx.partition

    @pt.asset
    def board(raw: str) -> str:
        return raw

    bench = Bench(tmp_path, raw, board)
    bench.run("*", "2026-03-09")
    bench.settle()
    assert rows.made_keys(bench.store, "board") == [""]
    assert bench.is_sound()
    bench.run("board")
    assert [r.state for r in bench.settle()] == []
    assert bench.store.runs()[0].state == "succeeded"


def test_a_failing_blocking_check_holds_up_what_reads_it(tmp_path: Path) -> None:
    @pt.asset
    def raw() -> int:
        return 1

    @pt.check(raw, blocking=True)
    def sane(raw: int) -> bool:
        return good[0]

    @pt.asset(automation=pt.auto.on_upstream())
    def total(raw: int) -> int:
        return raw

    good = [False]
    bench = Bench(tmp_path, raw, sane, total)
    bench.run("raw")
    assert bench.told() == []
    assert "+ blocking check sane of raw failed" in texts(bench.why("total"))
    bench.report(ReportCheck("raw", "sane", True, "ann"))
    assert bench.told() == ["total"]


def test_a_cron_condition_asks_once_a_tick_also_over_restarts(tmp_path: Path) -> None:
    @pt.asset(automation=pt.auto.on_cron("0 6 * * *"))
    def board() -> int:
        return 1

    bench = Bench(tmp_path, board)
    assert bench.told() == []  # no tick since it was declared
    assert bench.told(at="2026-03-11T05:59") == []
    assert bench.told(at="2026-03-11T06:00") == ["board"]
    assert bench.told(at="2026-03-11T12:00") == []
    assert bench.again(after=86400.0).told() == ["board"]  # it was due while no engine was there


def test_a_late_asset_is_brought_back_by_its_freshness(tmp_path: Path) -> None:
    @pt.asset(freshness=pt.freshness("24h", warn="20h"), automation=pt.auto.freshness())
    def board() -> int:
        return 1

    bench = Bench(tmp_path, board)
    bench.run("board")
    bench.settle()
    assert rows.freshness(bench.store, "board").state == "fresh"  # type: ignore[union-attr]
    assert bench.told(at="2026-03-11T07:59") == []
    assert bench.told(at="2026-03-11T08:00") == ["board"]
    row = rows.freshness(bench.store, "board")
    assert row is not None
    assert row.state == "fresh"


def test_an_asset_of_one_project_wakes_its_reader_in_another(tmp_path: Path) -> None:
    count = iter(range(100))

    @pt.asset
    def orders() -> int:
        return next(count)

    known = pt.external_asset("orders")

    @pt.asset(deps=["orders"], automation=pt.auto.on_upstream())
    def forecast() -> int:
        return 1

    bench = Bench(tmp_path, orders, more={"science": [known, forecast]})
    assert bench.told() == []
    bench.run("orders")
    assert bench.told() == ["forecast"]
    assert [m.project for m, spec in bench.service.catalog.assets() if spec.name == "orders"] == ["shop"]
    assert bench.store.runs()[0].project == "science"


def test_keys_that_are_added_are_made_and_those_taken_away_are_not(tmp_path: Path) -> None:
    @pt.asset(partitions=pt.dynamic("customers"), automation=pt.auto.missing())
    def invoice(ctx: pt.Context) -> str:
        return ctx.partition

    bench = Bench(tmp_path, invoice)
    assert bench.told() == []
    assert bench.report(AddPartitions("customers", ("acme", "bell"), "ann")).count == 2
    assert bench.told() == ["invoice acme", "invoice bell"]
    assert bench.report(AddPartitions("customers", ("acme",), "ann")).repeated
    bench.report(RemovePartitions("customers", ("acme",), "ann"))
    with pytest.raises(ParamError, match="no partition 'acme'"):
        bench.run("invoice", "acme")
    assert bench.told() == []


def test_what_cannot_be_reported_is_refused_with_a_hint(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *chain(), *chain_of_days())
    bench.settle()
    for report, said in (
        (ReportAsset("sorce", "me"), "no project declares an asset 'sorce'"),
        (ReportAsset("source", ""), "who says it"),
        (ReportAsset("source", "me", partition="2026-03-08"), "not partitioned"),
        (ReportAsset("raw", "me"), "say which one was made"),
        (ReportAsset("raw", "me", partition="soon"), "no daily partition"),
        (AddPartitions("customers", ("a",), "me"), "no dynamic partitions"),
    ):
        with pytest.raises(DefinitionError, match=said):
            bench.report(report)


def test_an_edit_of_the_code_is_seen_after_a_load(tmp_path: Path) -> None:
    def board(version: str) -> Any:
        @pt.asset(automation=pt.auto.code_changed(), version=version, name="board")
        def made() -> int:
            return 1

        return made

    bench = Bench(tmp_path, board("1"))
    bench.run("board")
    bench.settle()
    bench.load("shop", board("2"))
    assert bench.told() == ["board"]
    bench.load("shop", board("2"))
    assert bench.told() == []


def test_an_asset_without_a_condition_is_explained_by_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *chain())
    assert bench.ask(WhyAsset("source"), AssetAnswer) == AssetAnswer()


def test_a_run_that_an_earlier_engine_left_open_is_not_asked_for_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *chain())
    bench.run('"clean" | "report"')  # and then the engine dies, before anything ran
    later = bench.again()
    assert later.told() == []
    assert [run.state for run in later.store.runs()] == ["succeeded"]
