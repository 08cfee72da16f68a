"""Why, for everything; and what else the service is asked about itself: queue, limits, days to come, storage, metrics."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from .serving import Serving
from .test_runs import V1, ended, started

ROOT = Path(__file__).parents[2]


def until(look: Callable[[], Any]) -> Any:
    """What `look` gives, as soon as that is something."""
    end = time.monotonic() + 20
    while not (found := look()):
        assert time.monotonic() < end, "it does not come"
    return found


@pytest.fixture
def at_rest(api: httpx2.Client) -> None:
    """What other tests have left open would stand in line before ours."""
    query: dict[str, Any] = {"state": ["queued", "running"], "limit": 500}
    runs = [run["id"] for run in api.get(f"{V1}/runs", params=query).json()["items"]]
    if runs:
        api.post(f"{V1}/runs/bulk", json={"action": "cancel", "runs": runs})
    for run in runs:
        ended(api, run)


@pytest.mark.usefixtures("at_rest")
def test_a_run_that_waits_in_line_says_for_what_and_how_many_come_before(api: httpx2.Client, tmp_path: Path) -> None:
    first, *others = [started(api, {"pipeline": "narrow", "params": {"file": str(tmp_path / "go")}}) for _ in range(3)]
    queue = api.get(f"{V1}/queue", params={"pipeline": "narrow"}).json()["items"]
    assert [(q["run"]["id"], q["line"]["before"]) for q in queue] == [(others[1]["id"], 1), (others[0]["id"], 0)]
    why = api.get(f"{V1}/runs/{others[0]['id']}/why").json()
    assert "limit of runs of pipeline narrow: 1 of 1" in why["line"]["refusal"]
    assert why["engine"] is True
    (tmp_path / "go").touch()
    assert {ended(api, run["id"])["state"] for run in (first, *others)} == {"succeeded"}
    assert api.get(f"{V1}/runs/{others[0]['id']}/why").json()["line"] is None


@pytest.mark.usefixtures("at_rest")
def test_a_step_that_is_ready_says_which_pool_is_full(api: httpx2.Client, tmp_path: Path) -> None:
    first, second = [started(api, {"pipeline": "wide", "params": {"file": str(tmp_path / "go")}}) for _ in range(2)]
    found = until(lambda: [e for e in api.get(f"{V1}/runs/{second['id']}/why").json()["open"] if e["state"] == "ready"])
    assert "line" in " ".join(reason["text"] for reason in found[0]["reasons"])
    limits = api.get(f"{V1}/limits", params={"of": "pool"}).json()["items"]
    assert [(row["name"], row["slots"], row["used"], row["waiting"]) for row in limits] == [("line", 1, 1, 1)]
    (tmp_path / "go").touch()
    assert {ended(api, run["id"])["state"] for run in (first, second)} == {"succeeded"}


def test_a_schedule_says_what_it_is_and_what_comes_next_and_that_it_is_paused(api: httpx2.Client) -> None:
    path = f"{V1}/schedules/default/narrow"
    why = api.get(f"{path}/why").json()
    assert why["next"][0].endswith("-02-29T03:00:00.000Z")
    assert why["reasons"] == []
    assert "03:00" in why["words"]
    api.post(f"{path}/pause", json={"reason": "leap year"})
    why = api.get(f"{path}/why").json()
    assert why["next"] == []
    assert [(r["code"], r["text"]) for r in why["reasons"]] == [("paused", "it is paused: leap year")]
    assert api.post(f"{path}/resume", json={}).json()["paused"] is False


def test_a_sensor_says_why_it_asks_for_nothing(api: httpx2.Client) -> None:
    path = f"{V1}/sensors/default/orders"
    assert api.post(f"{path}/look", json={}).status_code == 200
    why = until(lambda: (w := api.get(f"{path}/why").json())["next_at"] and w)
    assert why["engine"] is True
    assert {r["code"] for r in why["reasons"]} <= {"skipped", "quiet"}
    assert any("no new order" in r["text"] for r in why["reasons"]), why


def test_a_backfill_and_its_parts_say_why_they_failed_or_wait(api: httpx2.Client) -> None:
    made = api.post(f"{V1}/backfills", json={"target": "words", "cascade": "upstreams", "max_runs": 1})
    assert made.status_code == 201, made.text
    id = made.json()["id"]
    why = api.get(f"{V1}/backfills/{id}/why").json()
    assert why["reasons"]
    waiting = api.get(f"{V1}/backfills/{id}/parts/0/2/why").json()
    assert waiting["reasons"][0]["code"] in {"max_runs", "turn", "needs", "running", "succeeded", "failed"}
    until(lambda: api.get(f"{V1}/backfills/{id}").json()["state"] != "running")
    why = api.get(f"{V1}/backfills/{id}/why").json()
    assert why["backfill"]["state"] == "failed"
    assert why["reasons"][0]["code"] == "ended"
    part = why["failed"][0]
    told = api.get(f"{V1}/backfills/{id}/parts/{part['stage']}/{part['part']}/why").json()
    assert (told["reasons"][0]["code"], told["partitions"]) == ("failed", ["b"])
    assert api.get(f"{V1}/backfills/{id}/parts/9/9/why").status_code == 404


def test_an_asset_is_stale_by_the_partition_that_its_mapping_names(api: httpx2.Client) -> None:
    for _ in range(2):
        assert ended(api, started(api, {"assets": "letters", "partition": "a"})["id"])["state"] == "succeeded"
        if not api.get(f"{V1}/assets/words/why", params={"partition": "a"}).json()["made"]:
            assert ended(api, started(api, {"assets": "words", "partition": "a"})["id"])["state"] == "succeeded"
    why = api.get(f"{V1}/assets/words/why", params={"partition": "a"}).json()
    assert why["health"]["partitions"] == 3
    assert {cause["asset"] for cause in why["stale"]} <= {"letters"}
    assert api.get(f"{V1}/assets/words/health").json()["state"] in {"missing", "stale", "current"}
    names = [row["asset"] for row in api.get(f"{V1}/asset-health").json()["items"]]
    assert names == sorted(names)
    assert {"words", "flights"} <= set(names)


def test_an_approval_shows_its_question_and_is_answered(api: httpx2.Client) -> None:
    run = started(api, {"pipeline": "deploy"})
    found = until(lambda: [a for a in api.get(f"{V1}/approvals").json()["items"] if a["run"] == run["id"]])[0]
    assert (found["question"], found["step"], found["missing"], found["may_not"]) == ("deploy?", "go", 1, "")
    assert set(found["choices"]) >= {"approve", "reject"}
    path = f"{V1}/runs/{run['id']}/steps/go"
    assert api.post(f"{path}/answer", json={"choice": "approve", "comment": "fine"}).json()["state"] == "answered"
    assert ended(api, run["id"])["state"] == "succeeded"
    told = api.get(f"{path}/approval").json()
    assert [(v["choice"], v["comment"]) for v in told["votes"]] == [("approve", "fine")]
    assert api.get(f"{V1}/runs/{run['id']}/steps/load/approval").status_code == 404


def test_runs_are_found_by_who_asked_tag_origin_project_and_time(api: httpx2.Client) -> None:
    run = started(api, {"pipeline": "nightly", "tags": ["for-this-test"]})
    found = lambda **query: [r["id"] for r in api.get(f"{V1}/runs", params=query).json()["items"]]  # noqa: E731
    assert found(tag="for-this-test") == [run["id"]]
    assert run["id"] in found(by=run["by"], project=run["project"], namespace="default", limit=500)
    assert found(by="nobody") == found(project="nowhere") == found(namespace="nowhere") == []
    assert found(tag="for-this-test", since=run["created_at"]) == [run["id"]]
    assert found(tag="for-this-test", until=run["created_at"]) == []
    triggered = api.post(f"{V1}/schedules/default/narrow/trigger", json={}).json()
    assert triggered["id"] in found(origin=triggered["origin"].partition(":")[0] + ":", limit=500)
    assert found(origin="backfill:no-such") == []
    api.post(f"{V1}/runs/{triggered['id']}/cancel", json={})
    for wrong in ("since=yesterday", "until=", "origin="):
        assert api.get(f"{V1}/runs?{wrong}").status_code == 422


def test_a_list_by_origin_goes_on_by_its_cursor(api: httpx2.Client) -> None:
    made = [started(api, {"pipeline": "nightly"})["id"] for _ in range(3)]
    origin = api.get(f"{V1}/runs/{made[0]}").json()["origin"].partition(":")[0]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None and not set(made) <= set(seen):
        more = {"cursor": cursor} if cursor else {}
        page = api.get(f"{V1}/runs", params={"origin": origin, "limit": 2, **more}).json()
        seen += [run["id"] for run in page["items"]]
        cursor = page["next"]
    assert len(seen) == len(set(seen))
    assert [run for run in seen if run in made] == made[::-1]


def test_the_days_to_come_are_played_and_go_on_by_their_cursor(api: httpx2.Client) -> None:
    query: dict[str, Any] = {"days": 366, "begin": "2028-01-01T00:00:00Z"}
    ahead = api.get(f"{V1}/simulate", params=query).json()
    assert [(t["schedule"], t["instant"], t["decision"]) for t in ahead["items"]] == [
        ("narrow", "2028-02-29T03:00:00.000Z", "run")
    ]
    assert (ahead["missed"], ahead["next"]) == (0, None)
    assert api.get(f"{V1}/simulate", params={"days": 367}).status_code == 422


def test_the_store_is_copied_measured_tidied_and_shrunk(api: httpx2.Client, serving: Serving) -> None:
    from partita.store.sqlite import open_reader

    storage = api.get(f"{V1}/storage").json()
    assert {space["name"] for space in storage["spaces"]} >= {"database", "logs"}
    made = api.post(f"{V1}/storage/backup", json={"name": "a-copy.db"})
    assert made.status_code == 201, made.text
    reader = open_reader(serving.home / "backups" / "a-copy.db")
    assert reader.runs(limit=1)
    reader.close()
    again = api.post(f"{V1}/storage/backup", json={"name": "a-copy.db"})
    assert (again.status_code, str(serving.home) in again.text) == (409, False)
    for wrong in ("../a.db", "/etc/a.db", "a/b.db", ".hidden", "", "a" * 101, "a\u0000b"):
        assert api.post(f"{V1}/storage/backup", json={"name": wrong}).status_code == 422, wrong
    assert api.post(f"{V1}/storage/tidy").json()["counts"] is not None
    assert api.post(f"{V1}/storage/vacuum").json()["bytes"] >= 0
    findings = api.get(f"{V1}/doctor").json()["items"]
    assert {"partita", "disk", "storage", "engine"} <= {f["what"] for f in findings}
    assert not [f for f in findings if f["level"] == "fail"], findings


@pytest.fixture(scope="module")
def exposed(serving: Serving) -> str:
    with serving.client() as api:
        return api.get("/metrics").text


def test_metrics_count_what_there_is(api: httpx2.Client, exposed: str) -> None:
    values = dict(line.rsplit(" ", 1) for line in exposed.splitlines() if not line.startswith("#"))
    assert float(values["partita_engine_turns_total"]) > 0
    assert float(values["partita_engine_turn_seconds_total"]) > 0
    assert values["partita_schedules"] == "1"
    assert values["partita_sensors"] == "1"
    assert float(values["partita_store_bytes"]) > 4096
    assert values['partita_limit_slots{of="pool"}'] == "1"
    states = [key for key in values if key.startswith("partita_runs{")]
    assert len(states) == 5


def test_every_metric_is_in_the_guide_and_the_guide_names_no_other(exposed: str) -> None:
    told = set(re.findall(r"^# TYPE (\w+) ", exposed, re.MULTILINE))
    page = (ROOT / "docs/guide/api.md").read_text()
    assert told == set(re.findall(r"`(partita_\w+)`", page))
