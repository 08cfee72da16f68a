"""The catalog, lineage, states of partitions, series, staleness and progress of backfills, over a real service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from partita.server.routes.backfills import rate

from .serving import Serving
from .test_runs import V1, ended
from .test_why import until

PIPELINES = '''
import time
from pathlib import Path

import partita as pt

day = pt.daily(start="2024-01-01", end="2024-01-10")
region = pt.static(["eu", "us"])

orders = pt.external_asset("orders", group="sources", owner="mia", columns={"amount": "decimal"})


@pt.asset(partitions=day, group="raw", owner="flights", tags=["daily"], columns={"dep_delay": "float"})
def flights(ctx: pt.Context) -> int:
    """All flights of a day.

    The second line.
    """
    if ctx.partition == "2024-01-03":
        raise ValueError("column dep_delay is missing")
    ctx.add_metadata(rows=int(ctx.partition[-2:]), note="fine")
    return 1


@pt.asset(
    partitions=day, group="marts", owner="ann", lineage={"delay": ["flights.dep_delay"]}, columns={"delay": "float"}
)
def delays(ctx: pt.Context, flights: int) -> int:
    ctx.add_metadata(mean=float(ctx.partition[-2:]) / 2)
    return flights + 1


@pt.check(delays, blocking=True)
def plausible(ctx: pt.Context, delays: int) -> bool:
    """Not too long."""
    return ctx.partition != "2024-01-02"


@pt.asset(deps=[delays, orders], group="marts", lineage={"worst": "delays.delay"})
def wall() -> int:
    return 1


@pt.asset(partitions=pt.product(day=day, region=region), group="raw")
def sales(ctx: pt.Context) -> int:
    return 1


@pt.asset(partitions=pt.static(["held"]))
def held(ctx: pt.Context) -> int:
    while not Path("go").exists():
        time.sleep(0.005)
    return 1


board = pt.pipeline("board", assets="wall", schedule=pt.cron("0 3 29 2 *", tz="UTC"))
'''


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    service = Serving(tmp_path_factory.mktemp("catalog"), PIPELINES)
    yield service
    assert service.end() == (0, 0)


@pytest.fixture(scope="module")
def made(serving: Serving) -> None:
    """Four days of flights and delays: the 3rd fails, of the 2nd a check fails; then the wall, then flights of the 4th."""
    with serving.client() as api:
        for target, partitions in (("flights, delays", "2024-01-01..2024-01-04"), ("flights", "2024-01-04")):
            finish(api, {"target": target, "partitions": partitions})
        finish(api, {"target": "sales", "partitions": "2024-01-01..2024-01-02|us"})


def finish(api: httpx2.Client, wanted: dict[str, Any]) -> dict[str, Any]:
    asked = api.post(f"{V1}/backfills", json=wanted)
    assert asked.status_code == 201, asked.text
    path = f"{V1}/backfills/{asked.json()['id']}"
    found: dict[str, Any] = until(lambda: (b := api.get(path).json())["state"] != "running" and b)
    return found


Get = Callable[..., Any]


@pytest.fixture
def get(api: httpx2.Client, made: None) -> Get:
    def ask(path: str, **query: Any) -> Any:
        answer = api.get(f"{V1}{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


def test_the_catalog_has_health_checks_and_the_last_materialization_in_one_answer(get: Get) -> None:
    found = get("/catalog")
    by_name = {entry["name"]: entry for entry in found["items"]}
    assert (found["total"], found["all"], found["next"]) == (6, 6, None)
    delays = by_name["delays"]
    assert (delays["state"], delays["partitions"], delays["made"], delays["failing"]) == ("failing", 10, 3, 1)
    assert delays["reason"] == "check plausible failed of 2024-01-02"
    assert (delays["checks"], delays["checks_failed"]) == (1, ["plausible"])
    assert by_name["flights"]["last_partition"] == "2024-01-04"
    assert by_name["flights"]["description"] == "All flights of a day."
    assert by_name["flights"]["reason"] == "7 of its partitions were never made"
    assert by_name["wall"]["reason"] == "it was never made"
    assert (by_name["orders"]["state"], by_name["orders"]["readers"]) == ("external", 1)
    raw = next(group for group in found["facets"]["groups"] if group["value"] == "raw")
    assert raw == {"value": "raw", "count": 2, "healths": [{"value": "partial", "count": 2}]}
    assert by_name["flights"]["health"] == "partial"
    assert by_name["wall"]["health"] == "missing"
    assert {"value": "failing", "count": 1} in found["facets"]["states"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"q": "dep_delay"}, ["flights"]),
        ({"q": "flights day"}, ["flights"]),
        ({"q": "mia"}, ["orders"]),
        ({"q": "no such thing"}, []),
        ({"group": "marts"}, ["delays", "wall"]),
        ({"name": "wall"}, ["wall"]),
        ({"name": "wal"}, []),
        ({"tag": "daily"}, ["flights"]),
        ({"owner": "ann"}, ["delays"]),
        ({"state": "failing"}, ["delays"]),
        ({"state": "running"}, []),
        ({"state": "partial"}, ["flights", "sales"]),
        ({"state": "missing"}, ["wall", "held"]),
        ({"order": "name", "limit": 2}, ["delays", "flights"]),
    ],
)
def test_the_catalog_is_searched_and_filtered(get: Get, query: dict[str, Any], names: list[str]) -> None:
    assert [entry["name"] for entry in get("/catalog", **query)["items"]] == names


def test_the_catalog_goes_on_by_its_cursor(get: Get) -> None:
    first = get("/catalog", order="name", limit=4)
    second = get("/catalog", order="name", limit=4, cursor=first["next"])
    names = [entry["name"] for page in (first, second) for entry in page["items"]]
    assert names == sorted(names)
    assert len(names) == 6
    assert second["next"] is None


def test_what_is_made_is_seen_in_the_catalog_at_once(api: httpx2.Client, get: Get) -> None:
    assert get("/catalog", q="orders")["items"][0]["last_at"] is None
    api.post(f"{V1}/materializations", json={"asset": "orders", "data_version": "a"})
    assert get("/catalog", q="orders")["items"][0]["state"] == "current"


def test_lineage_reaches_so_far_both_ways_and_says_what_lies_beyond(get: Get) -> None:
    found = get("/lineage", asset="delays", up=1, down=0)
    nodes = {node["name"]: node for node in found["nodes"]}
    assert {name: node["level"] for name, node in nodes.items()} == {"delays": 0, "flights": -1}
    assert [[found["nodes"][a]["name"], found["nodes"][b]["name"]] for a, b in found["edges"]] == [
        ["flights", "delays"]
    ]
    assert nodes["delays"]["more_down"] == 1
    everything = get("/lineage")
    assert len(everything["nodes"]) == 6
    assert {node["name"] for node in get("/lineage", group="marts")["nodes"]} == {"delays", "wall"}


def test_columns_say_what_they_are_made_from_and_what_is_made_from_them(get: Get) -> None:
    [column] = get("/assets/delays/columns")["columns"]
    assert column == {
        "name": "delay",
        "type": "float",
        "reads": [{"asset": "flights", "column": "dep_delay"}],
        "readers": [{"asset": "wall", "column": "worst"}],
    }


def test_each_partition_has_a_letter(get: Get) -> None:
    found = get("/assets/delays/partition-states")
    assert [d["kind"] for d in found["dimensions"]] == ["daily"]
    assert found["dimensions"][0]["keys"][:2] == ["2024-01-01", "2024-01-02"]
    # Made; a check failed; never made, for its upstream failed; made.
    assert found["states"] == "mf.m......"
    assert get("/assets/flights/partition-states")["states"] == "mmfm......"
    assert found["counts"] == {"made": 2, "stale": 0, "failed": 1, "running": 0, "missing": 7}


def test_partitions_of_two_dimensions_have_their_letters_row_by_row(get: Get) -> None:
    found = get("/assets/sales/partition-states")
    assert [(d["name"], len(d["keys"])) for d in found["dimensions"]] == [("day", 10), ("region", 2)]
    assert found["states"] == ".m.m" + "." * 16


def test_a_partition_that_is_being_made_is_running(api: httpx2.Client, serving: Serving, get: Get) -> None:
    run = api.post(f"{V1}/runs", json={"assets": "held", "partition": "held"})
    assert run.status_code == 201, run.text
    try:
        until(lambda: get("/assets/held/partition-states")["states"] == "r")
        assert [entry["name"] for entry in get("/catalog", state="running")["items"]] == ["held"]
    finally:
        (serving.folder / "go").touch()
    ended(api, run.json()["id"])
    assert get("/assets/held/partition-states")["states"] == "m"


def test_numbers_are_columns_over_materializations_and_those_with_a_failed_check_are_marked(get: Get) -> None:
    found = get("/assets/delays/series")
    rows = dict(zip(found["partitions"], zip(found["failed"], found["numbers"][0]["values"], strict=True), strict=True))
    assert [n["name"] for n in found["numbers"]] == ["mean"]
    assert rows == {"2024-01-01": (False, 0.5), "2024-01-02": (True, 1.0), "2024-01-04": (False, 2.0)}
    assert found["at"] == sorted(found["at"])
    assert all(took >= 0 for took in found["took_s"])
    assert get("/assets/delays/series", partition="2024-01-01")["partitions"] == ["2024-01-01"]


def test_staleness_is_followed_to_the_first_cause(get: Get) -> None:
    tree = get("/assets/wall/staleness")
    assert tree["code"] == "missing"
    assert tree["text"] == "wall is missing"
    tree = get("/assets/delays/staleness")
    assert [child["partition"] for child in tree["children"]] == ["2024-01-02"]
    assert tree["children"][0]["children"][0]["text"].startswith("check plausible failed")
    tree = get("/assets/delays/staleness", partition="2024-01-03")
    missing = [child for child in tree["children"] if child["code"] == "upstream_missing"]
    assert [(child["asset"], child["partition"]) for child in missing] == [("flights", "2024-01-03")]
    tree = get("/assets/flights/staleness", partition="2024-01-03")
    assert tree["children"][0]["code"] == "run_failed"
    assert "column dep_delay is missing" in tree["children"][0]["text"]
    assert tree["children"][0]["run"]
    # What was made since the failure has not failed.
    assert get("/assets/flights/staleness", partition="2024-01-04")["children"] == []


def test_who_uses_an_asset(get: Get) -> None:
    found = get("/assets/delays/uses")
    assert [node["name"] for node in found["reads"]] == ["flights"]
    assert [node["name"] for node in found["readers"]] == ["wall"]
    assert [(c["name"], c["blocking"], c["description"], c["failed"]) for c in found["checks"]] == [
        ("plausible", True, "Not too long.", 1)
    ]
    assert [(p["name"], p["how"]) for p in found["pipelines"]] == [("board", "reads")]
    assert [(p["name"], p["how"], p["schedules"]) for p in get("/assets/wall/uses")["pipelines"]] == [
        ("board", "makes", ["board"])
    ]


def test_the_progress_of_a_backfill_has_a_letter_for_each_part(api: httpx2.Client, get: Get) -> None:
    done = finish(api, {"target": "flights", "partitions": "2024-01-01..2024-01-05", "batch": 2})
    found = get(f"/backfills/{done['id']}/progress")
    [stage] = found["stages"]
    assert stage["parts"] == ["2024-01-01..2024-01-02", "2024-01-03..2024-01-04", "2024-01-05"]
    assert stage["states"] == "sss"
    assert found["backfill"]["counts"] == {"succeeded": 3}
    assert found["left_s"] is None
    failed = finish(api, {"target": "flights", "partitions": "2024-01-03"})
    why = get(f"/backfills/{failed['id']}/why")
    assert why["failed"][0]["reason"].startswith("flights: column dep_delay is missing")
    part = get(f"/backfills/{failed['id']}/parts/0/0/why")
    assert "column dep_delay is missing" in part["reasons"][0]["text"]
    listed = get("/backfills", limit=2)["items"][1]
    assert listed["counts"] == found["backfill"]["counts"]


@pytest.mark.parametrize(
    ("ends", "per_s"),
    [
        ([], None),
        ([100.0], None),
        ([100.0, 98.0, 96.0], 0.5),
        # The next one takes its time, and so will the rest.
        ([0.0, -10.0], 2 / 110),
    ],
)
def test_how_fast_a_backfill_goes_is_told_by_its_newest_ends(ends: list[float], per_s: float | None) -> None:
    assert rate(ends, 100.0) == (None if per_s is None else pytest.approx(per_s))


def test_the_code_of_an_asset_is_its_file_with_its_lines(get: Get) -> None:
    found = get("/assets/flights/code")
    lines = found["text"].split("\n")[found["first"] - 1 : found["last"]]
    assert found["file"] == "pipelines.py"
    assert any("def flights" in line for line in lines)
    assert not any("def delays" in line for line in lines)


def test_what_is_not_there_is_not_found(api: httpx2.Client) -> None:
    for path in ("code", "columns", "uses", "series", "staleness", "partition-states"):
        assert api.get(f"{V1}/assets/nothing/{path}").status_code == 404
    assert api.get(f"{V1}/lineage", params={"asset": "nothing"}).status_code == 404
    assert api.get(f"{V1}/backfills/999/progress").status_code == 404


def test_routes_say_when_a_partition_is_none(api: httpx2.Client) -> None:
    answer = api.get(f"{V1}/assets/delays/staleness", params={"partition": "2031-13-45"})
    assert answer.status_code == 422, answer.text
