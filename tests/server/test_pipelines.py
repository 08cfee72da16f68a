"""Pipelines at a glance, and the history of one: last runs by steps, days, durations, partitions, over a real service."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from partita.server import objects

from .serving import Serving
from .test_runs import V1, ended, started

PIPELINES = '''
import datetime as dt

import partita as pt


@pt.task
def extract(region: str) -> int:
    return 5


@pt.task
def load(rows: int, works: bool) -> int:
    if not works:
        raise ValueError("the disk is on fire")
    return rows


@pt.task
def tell(rows: int) -> None: ...


@pt.pipeline(
    tags=["daily"], owner="ann", max_runs=3, deadline="2h", priority=7, schedule=pt.cron("0 3 29 2 *", tz="UTC")
)
def nightly(region: str = "eu", works: bool = True):
    """Everything that people look at in the *morning*.

    And more.
    """
    tell(load(extract(region), works))


@pt.task
def numbers(count: int) -> list[int]:
    return list(range(count))


@pt.task
def check(number: int) -> int:
    if number == 3:
        raise ValueError("three is not liked")
    return number


@pt.group
def inner(count: int):
    return check.map(numbers(count))


@pt.pipeline(tags=["wide"], schedule=pt.cron("0 4 29 2 *", tz="UTC", paused=True))
def fan(count: int = 3):
    inner(count)


@pt.pipeline(partitions=pt.daily("2026-01-01", end="2026-01-10"), owner="bob")
def by_day():
    extract("eu")


@pt.pipeline(partitions=pt.dynamic("customers"))
def by_customer(slack: dt.timedelta = dt.timedelta(minutes=15)):
    extract("eu")


@pt.task
def waits() -> None:
    import time
    from pathlib import Path

    while not Path("go").exists():
        time.sleep(0.005)


@pt.pipeline
def patient():
    tell(waits())
'''


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    service = Serving(tmp_path_factory.mktemp("pipelines"), PIPELINES)
    yield service
    assert service.end() == (0, 0)


@pytest.fixture
def api(serving: Serving) -> Iterator[httpx2.Client]:
    with serving.client() as client:
        yield client


@pytest.fixture(scope="module")
def made(serving: Serving) -> dict[str, list[dict[str, Any]]]:
    """Three nightly runs, of which the second failed; a fan of three, and one of five in which one fails; a day."""
    found: dict[str, list[dict[str, Any]]] = {"nightly": [], "fan": [], "by_day": []}
    with serving.client() as api:
        for params in ({}, {"works": False}, {}):
            found["nightly"].append(ran(api, pipeline="nightly", params=params))
        for count in (3, 5):
            found["fan"].append(ran(api, pipeline="fan", params={"count": count}))
        found["by_day"].append(ran(api, pipeline="by_day", partition="2026-01-02"))
    return found


def ran(api: httpx2.Client, **body: Any) -> dict[str, Any]:
    """A run that has ended."""
    return ended(api, started(api, body)["id"])


Get = Callable[..., Any]


@pytest.fixture
def get(api: httpx2.Client, made: object) -> Get:
    def ask(path: str, **query: Any) -> Any:
        answer = api.get(f"{V1}{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


def test_the_overview_has_last_runs_next_start_and_usual_duration_in_one_answer(get: Get, made: Any) -> None:
    found = get("/pipelines-overview")
    lines = {line["name"]: line for line in found["items"]}
    assert (found["total"], found["all"], found["next"]) == (5, 5, None)
    nightly = lines["nightly"]
    assert [run["no"] for run in nightly["runs"]] == [run["no"] for run in reversed(made["nightly"])]
    assert [run["state"] for run in nightly["runs"]] == ["succeeded", "failed", "succeeded"]
    assert (nightly["state"], nightly["owner"], nightly["steps"], nightly["tags"]) == ("succeeded", "ann", 3, ["daily"])
    assert nightly["description"] == "Everything that people look at in the *morning*."
    assert nightly["next_at"].endswith("-02-29T03:00:00.000Z")
    assert nightly["schedules"][0]["words"]
    assert nightly["usual"]["count"] == 2
    assert nightly["usual"]["p10"] <= nightly["usual"]["median"] <= nightly["usual"]["p90"]
    assert (lines["fan"]["paused"], lines["fan"]["next_at"], lines["fan"]["state"]) == (True, None, "failed")
    assert (lines["patient"]["state"], lines["patient"]["runs"], lines["patient"]["usual"]) == ("never", [], None)
    assert lines["by_day"]["partitioned"] == "daily"
    assert lines["by_day"]["runs"][0]["partition"] == "2026-01-02"
    assert {"value": "failed", "count": 1} in found["facets"]["states"]
    assert {"value": "ann", "count": 1} in found["facets"]["owners"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"q": "morning"}, ["nightly"]),
        ({"q": "BOB"}, ["by_day"]),
        ({"q": "morning nothing"}, []),
        ({"state": "failed"}, ["fan"]),
        ({"state": "never"}, ["by_customer", "patient"]),
        ({"tag": "wide"}, ["fan"]),
        ({"owner": "ann"}, ["nightly"]),
        ({"project": "other"}, []),
        ({"limit": 2}, ["by_customer", "by_day"]),
    ],
)
def test_the_overview_is_searched_and_filtered(get: Get, query: dict[str, Any], names: list[str]) -> None:
    assert [line["name"] for line in get("/pipelines-overview", **query)["items"]] == names


def test_the_overview_goes_on_by_its_cursor_with_so_many_runs_of_each(get: Get) -> None:
    first = get("/pipelines-overview", limit=4, runs=2)
    second = get("/pipelines-overview", limit=4, runs=2, cursor=first["next"])
    lines = first["items"] + second["items"]
    assert [line["name"] for line in lines] == ["by_customer", "by_day", "fan", "nightly", "patient"]
    assert [len(line["runs"]) for line in lines] == [0, 1, 2, 2, 0]
    assert second["next"] is None


def test_the_grid_has_a_column_for_each_run_and_a_letter_for_each_step(get: Get, made: Any) -> None:
    grid = get("/pipelines/nightly/grid")
    assert [run["no"] for run in grid["runs"]] == [run["no"] for run in made["nightly"]]
    assert [step["step"] for step in grid["steps"]] == ["extract", "load", "tell"]
    assert grid["states"] == ["sss", "sfu", "sss"]
    assert grid["counts"] == []
    assert [run["no"] for run in get("/pipelines/nightly/grid", runs=1)["runs"]] == [made["nightly"][-1]["no"]]
    older = get("/pipelines/nightly/grid", before=made["nightly"][-1]["no"])
    assert older["states"] == ["sss", "sfu"]


def test_a_mapped_step_of_the_grid_is_its_worst_instance_and_all_of_them_counted(get: Get) -> None:
    grid = get("/pipelines/fan/grid")
    place = next(at for at, step in enumerate(grid["steps"]) if step["mapped"])
    assert grid["steps"][place]["group"] == ["inner"]
    assert [states[place] for states in grid["states"]] == ["s", "f"]
    assert [one["counts"] for one in grid["counts"] if one["step"] == place] == [
        {"succeeded": 3},
        {"succeeded": 4, "failed": 1},
    ]


def test_the_grid_shows_what_runs_and_what_has_not_begun(serving: Serving, api: httpx2.Client, get: Get) -> None:
    run = api.post(f"{V1}/runs", json={"pipeline": "patient"}).json()
    states: list[str] = []
    while states != ["o."]:
        states = get("/pipelines/patient/grid")["states"]
    (serving.folder / "go").touch()
    assert api.get(f"{V1}/runs/{run['id']}", params={"wait": "30s"}).json()["state"] == "succeeded"
    assert get("/pipelines/patient/grid")["states"] == ["ss"]


def test_the_calendar_counts_the_runs_of_each_day_by_state(get: Get, made: Any) -> None:
    calendar = get("/pipelines/nightly/calendar")
    today = made["nightly"][0]["created_at"][:10]
    assert [day["day"] for day in calendar["days"]] == [today]
    assert calendar["days"][0]["counts"] == {"succeeded": 2, "failed": 1}
    assert calendar["whole_since"] == calendar["first"]
    first, last = (dt.date.fromisoformat(calendar[name]) for name in ("first", "last"))
    assert (last - first).days == 365
    assert get("/pipelines/by_customer/calendar", days=7)["days"] == []


def test_a_day_of_the_calendar_is_that_of_the_zone(get: Get, made: Any) -> None:
    at = dt.datetime.fromisoformat(made["by_day"][0]["created_at"])
    for tz, hours in (("Pacific/Kiritimati", 14), ("Etc/GMT+12", -12)):
        [day] = get("/pipelines/by_day/calendar", tz=tz)["days"]
        assert day["day"] == (at + dt.timedelta(hours=hours)).date().isoformat()


def test_durations_stand_beside_what_was_usual_before_them(get: Get, made: Any) -> None:
    found = get("/pipelines/nightly/durations")
    assert [one["run"]["no"] for one in found["items"]] == [run["no"] for run in made["nightly"]]
    assert [one["usual"] and one["usual"]["count"] for one in found["items"]] == [None, 1, 1]
    assert all(one["took_s"] >= 0 and one["queued_s"] >= 0 for one in found["items"])
    assert found["items"][1]["usual"]["median"] == found["items"][0]["took_s"]
    assert found["usual"]["count"] == 2
    assert len(get("/pipelines/nightly/durations", runs=1)["items"]) == 1


def test_partition_keys_are_the_newest_first(get: Get, api: httpx2.Client) -> None:
    found = get("/pipelines/by_day/partition-keys", limit=2)
    assert (found["kind"], found["count"]) == ("daily", 10)
    assert found["keys"] == ["2026-01-10", "2026-01-09"]
    assert get("/pipelines/nightly/partition-keys")["kind"] == ""
    added = api.post(f"{V1}/partitions/default/customers/add", json={"keys": ["a", "b"]})
    assert added.status_code == 200, added.text
    assert get("/pipelines/by_customer/partition-keys")["keys"] == ["b", "a"]


def test_a_pipeline_says_its_limits_and_deadlines(get: Get) -> None:
    pipeline = get("/pipelines/nightly")
    assert (pipeline["max_runs"], pipeline["priority"]) == (3, 7)
    assert [one["after_s"] for one in pipeline["deadlines"]] == [7200.0]
    assert pipeline["concurrency"] == []


def test_a_default_is_written_as_the_schema_of_its_parameter_says(get: Get) -> None:
    [param] = get("/pipelines/by_customer")["params"]
    assert (param["schema"]["format"], param["default"]) == ("duration", "PT15M")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "PT0S"),
        (900.0, "PT15M"),
        (86_400.0, "P1D"),
        (90_061.5, "P1DT1H1M1.5S"),
        (-60.0, "-PT1M"),
        (0.25, "PT0.25S"),
    ],
)
def test_a_duration_is_written_as_iso_8601(seconds: float, text: str) -> None:
    assert objects.iso_duration(seconds) == text


def test_a_graph_is_shown_as_a_version_has_it(serving: Serving, get: Get, api: httpx2.Client) -> None:
    project = get("/projects")["items"][0]
    before = project["code"]
    graph = get("/pipelines/patient/graph", version=before)
    assert [step["step"] for step in graph["steps"]] == ["waits", "tell"]
    assert api.get(f"{V1}/pipelines/patient/graph", params={"version": "none"}).status_code == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/pipelines/nothing/grid", 404),
        ("/pipelines/nothing/calendar", 404),
        ("/pipelines/nothing/durations", 404),
        ("/pipelines/nothing/partition-keys", 404),
        ("/pipelines/nightly/calendar?tz=Mars/Olympus", 422),
        ("/pipelines/nightly/calendar?days=0", 422),
        ("/pipelines/nightly/grid?runs=1000", 422),
        ("/pipelines-overview?state=odd", 422),
        ("/pipelines-overview?cursor=!", 422),
    ],
)
def test_what_cannot_be_answered_is_refused(api: httpx2.Client, path: str, status: int) -> None:
    answer = api.get(f"{V1}{path}")
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]
