"""The report of the day, the picture of all runs, the search: over a real service with real runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from .serving import Serving
from .test_runs import V1, ended
from .test_why import until

PIPELINES = """
import time
from pathlib import Path

import partita as pt

HERE = Path(__file__).parent


@pt.asset(owner="flights", group="raw")
def planes() -> int:
    if not (HERE / "mended").exists():
        raise ValueError(f"column 'dep_delay' is missing in {time.time_ns()} rows\\nsecond line")
    return 1


@pt.asset(kinds=["dashboard"], owner="bi")
def board(planes: int) -> int:
    return planes


night = pt.pipeline("night", assets="planes+", owner="ops", deadline=pt.deadline(by="23:59"),
                    schedule=pt.cron("0 3 29 2 *"))


@pt.task
def numbers(count: int) -> list[int]:
    return list(range(count))


@pt.task
def hold(number: int) -> int:
    while not (HERE / "go").exists():
        time.sleep(0.005)
    return number


@pt.pipeline(owner="ops")
def slow(count: int = 3):
    hold.map(numbers(count))


@pt.task
def one(region: str) -> str:
    return region


@pt.pipeline(tags=["quick"])
def quick(region: str = "eu"):
    one(region)


@pt.pipeline(owner="ops", deadline=pt.deadline("500ms"))
def tardy(count: int = 1):
    hold.map(numbers(count))


@pt.pipeline(timeout="300ms")
def hasty(count: int = 1):
    hold.map(numbers(count))


@pt.task(owner="twins")
def left():
    raise ValueError("no left half")


@pt.task(owner="twins")
def right():
    raise ValueError("no right half")


@pt.task
def whole(*halves):
    pass


@pt.task
def told(one):
    pass


@pt.pipeline
def twins():
    # Two causes, and two steps behind both of them.
    told(whole(left(), right()))


@pt.pipeline
def release():
    pt.approval("deploy?", name="go")
"""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    service = Serving(tmp_path_factory.mktemp("today"), PIPELINES)
    yield service
    (service.folder / "go").touch()
    assert service.end() == (0, 0)


@pytest.fixture(scope="module")
def api(serving: Serving) -> Iterator[httpx2.Client]:
    with serving.client() as client:
        yield client


def run(api: httpx2.Client, pipeline: str, **more: Any) -> dict[str, Any]:
    answer = api.post(f"{V1}/runs", json={"pipeline": pipeline, **more})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def today(api: httpx2.Client, **query: Any) -> dict[str, Any]:
    answer = api.get(f"{V1}/today", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def when(api: httpx2.Client, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The report as soon as it fits."""

    def look() -> dict[str, Any] | None:
        found = today(api)
        return found if fits(found) else None

    return dict(until(look))


@pytest.fixture(scope="module")
def broken(api: httpx2.Client) -> list[dict[str, Any]]:
    """Two runs of the night that broke in the same way, but for a figure in the error."""
    return [ended(api, run(api, "night")["id"]) for _ in range(2)]


def test_what_broke_is_told_once_with_its_owner_and_what_it_holds_up(
    api: httpx2.Client, broken: list[dict[str, Any]]
) -> None:
    found = today(api)
    causes = [cause for cause in found["causes"] if cause["pipeline"] == "night"]
    assert len(causes) == 1
    (cause,) = causes
    assert cause["step"] == "planes"
    assert cause["error"].startswith("ValueError: column 'dep_delay' is missing")
    assert "second line" not in cause["error"]
    assert cause["owner"] == "flights"
    assert cause["no"] == broken[1]["no"]
    assert cause["runs"] == cause["left"] == [broken[1]["no"], broken[0]["no"]]
    assert cause["blocked"] == [{"noun": "dashboard", "count": 1}]
    assert [missed["asset"] for missed in cause["missed"]] == ["board"]
    assert cause["missed"][0]["due_at"][11:16] == "23:59"
    assert cause["history"][-1] == "failed"
    assert cause["nth"] == 2
    assert found["level"] == "broken"
    assert found["sums"]["failed"] >= 2
    assert {"bi", "flights", "ops"} <= set(found["owners"])
    assert [tick["pipeline"] for tick in found["next"]] == ["night"]


def test_the_report_is_of_one_owner_of_a_time_of_a_namespace(api: httpx2.Client, broken: list[dict[str, Any]]) -> None:
    assert any(cause["step"] == "planes" for cause in today(api, owner="flights")["causes"])
    assert today(api, owner="nobody")["causes"] == []
    assert today(api, namespace="elsewhere")["causes"] == []
    later = dt.datetime.now(dt.UTC).isoformat()
    assert today(api, since=later)["causes"] == []
    assert today(api, since=later)["sums"]["runs"] == 0
    refused = api.get(f"{V1}/today", params={"since": "yesterday"})
    assert refused.status_code == 422
    assert "`since` is no instant" in refused.text


def test_what_runs_waits_and_is_late_is_told(api: httpx2.Client) -> None:
    slow, tardy, release = run(api, "slow"), run(api, "tardy"), run(api, "release")
    found = when(api, lambda r: len(r["running"]) == 3 and bool(r["waits"]) and bool(r["late"]))
    going = {each["run"]["id"]: each for each in found["running"]}
    assert going.keys() == {slow["id"], tardy["id"], release["id"]}
    assert going[slow["id"]]["total"] >= 2
    assert going[slow["id"]]["ends_at"] is None
    (wait,) = found["waits"]
    assert (wait["pipeline"], wait["question"], wait["run_no"]) == ("release", "deploy?", release["no"])
    (late,) = found["late"]
    assert late["pipeline"] == "tardy"
    assert late["run"] == tardy["id"]
    assert late["is_missed"]
    assert late["owner"] == "ops"
    badges = api.get(f"{V1}/waiting").json()
    assert badges["approvals"] == 1
    assert badges["late"] == 1
    for made in (slow, tardy, release):
        api.post(f"{V1}/runs/{made['id']}/cancel", json={})
        ended(api, made["id"])


def test_a_cause_is_mended_by_a_later_run_that_does_the_step(
    api: httpx2.Client, serving: Serving, broken: list[dict[str, Any]]
) -> None:
    before = api.get(f"{V1}/waiting").json()["causes"]
    (serving.folder / "mended").touch()
    bulk = {"action": "retry", "runs": [broken[1]["id"]], "version": "same"}
    made = api.post(f"{V1}/runs/bulk", json=bulk).json()["items"][0]["made"]
    again = ended(api, made)
    assert again["state"] == "succeeded"
    assert again["code"] == broken[1]["code"]
    (cause,) = (cause for cause in today(api)["causes"] if cause["pipeline"] == "night")
    assert cause["left"] == []
    assert cause["mended_in"] == again["no"]
    assert api.get(f"{V1}/waiting").json()["causes"] == before - 1


def test_a_step_that_two_causes_hold_up_is_one_step_in_the_report_as_on_the_page_of_the_run(
    api: httpx2.Client,
) -> None:
    made = ended(api, run(api, "twins")["id"])
    causes = api.get(f"{V1}/runs/{made['id']}/why").json()["causes"]
    assert [cause["step"] for cause in causes] == ["left", "right"]
    assert [sorted(cause["blocks"]) for cause in causes] == [["told", "whole"]] * 2
    assert today(api, owner="twins")["line"] == "2 causes, 2 steps behind them"


def test_a_run_that_was_repeated_and_broke_again_is_left_to_be_retried_once(api: httpx2.Client) -> None:
    made = ended(api, run(api, "twins")["id"])
    bulk = {"action": "retry", "runs": [made["id"]]}
    again = ended(api, api.post(f"{V1}/runs/bulk", json=bulk).json()["items"][0]["made"])
    assert again["state"] == "failed"
    found = today(api, owner="twins")
    for cause in found["causes"]:
        assert {made["no"], again["no"]} <= set(cause["runs"])
        assert again["no"] in cause["left"]
        assert made["no"] not in cause["left"]
    assert found["line"] == "2 causes, 2 steps behind them"


def test_a_run_that_failed_as_a_whole_is_told_as_well(api: httpx2.Client) -> None:
    made = ended(api, run(api, "hasty")["id"])
    assert made["state"] == "failed"
    cause = next(cause for cause in today(api)["causes"] if cause["pipeline"] == "hasty")
    assert cause["no"] == made["no"]
    assert cause["error"]
    assert cause["left"] == [made["no"]]


def test_the_floor_has_a_lane_for_each_pipeline_and_joins_what_cannot_be_told_apart(
    api: httpx2.Client, broken: list[dict[str, Any]]
) -> None:
    for _ in range(4):
        ended(api, run(api, "quick")["id"])
    week = {"since": (dt.datetime.now(dt.UTC) - dt.timedelta(days=7)).isoformat()}
    lanes = {lane["pipeline"]: lane for lane in api.get(f"{V1}/floor", params=week).json()["lanes"]}
    assert lanes["quick"]["counts"]["succeeded"] >= 4
    assert [bar["count"] for bar in lanes["quick"]["bars"]] == [sum(lanes["quick"]["counts"].values())]
    assert lanes["night"]["bars"][0]["state"] == "failed"
    only = api.get(f"{V1}/floor", params={**week, "pipeline": "night"}).json()["lanes"]
    assert [lane["pipeline"] for lane in only] == ["night"]
    past = {"since": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z"}
    assert api.get(f"{V1}/floor", params=past).json()["lanes"] == []
    wrong = {"since": "2020-01-02T00:00:00Z", "until": "2020-01-01T00:00:00Z"}
    assert api.get(f"{V1}/floor", params=wrong).status_code == 422


def test_a_window_that_is_nearer_shows_the_runs_one_by_one(api: httpx2.Client) -> None:
    first = ended(api, run(api, "quick")["id"])
    second = ended(api, run(api, "quick")["id"])
    begin = dt.datetime.fromisoformat(first["created_at"]) - dt.timedelta(milliseconds=5)
    end = dt.datetime.fromisoformat(second["finished_at"]) + dt.timedelta(milliseconds=5)
    params = {"since": begin.isoformat(), "until": end.isoformat(), "pipeline": "quick"}
    (lane,) = api.get(f"{V1}/floor", params=params).json()["lanes"]
    assert [bar["no"] for bar in lane["bars"]] == [first["no"], second["no"]]
    assert 0 <= lane["bars"][0]["from"] <= lane["bars"][0]["began"] <= lane["bars"][0]["to"]


def test_runs_are_found_by_words_in_what_people_know_of_them(api: httpx2.Client) -> None:
    made = ended(api, run(api, "quick", params={"region": "Antarctica"})["id"])
    ended(api, run(api, "quick", params={"region": "asia"})["id"])

    def found(q: str, **more: Any) -> list[str]:
        return [each["id"] for each in api.get(f"{V1}/runs", params={"q": q, **more}).json()["items"]]

    assert found("region=antarctica") == [made["id"]]
    assert found("quick antarctica") == [made["id"]]
    assert found(f"#{made['no']}") == [made["id"]]
    assert found(made["id"][:20]) != []
    assert found("antarctica", state="failed") == []
    assert found("antarctica nobody") == []
    assert found("   ", limit=1) != []


def test_how_long_runs_usually_take_is_told_of_many_pipelines_at_once(api: httpx2.Client) -> None:
    ended(api, run(api, "quick")["id"])
    items = api.get(f"{V1}/durations", params={"pipeline": ["quick", "never_run"]}).json()["items"]
    assert [item["pipeline"] for item in items] == ["quick", "never_run"]
    assert 0 < items[0]["p10_s"] <= items[0]["median_s"] <= items[0]["p90_s"]
    assert items[1]["median_s"] is None
    assert items[1]["count"] == 0
