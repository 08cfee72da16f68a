"""What the page of a run is made of: its instances as columns, its timeline, its history; and ends by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from .test_runs import V1, ended, started


def get(api: httpx2.Client, path: str, **query: Any) -> dict[str, Any]:
    answer = api.get(f"{V1}{path}", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.fixture
def ladder(api: httpx2.Client) -> dict[str, Any]:
    return ended(api, started(api, {"pipeline": "ladder"})["id"])


def step_of(answer: dict[str, Any], step: str) -> dict[str, Any]:
    return next(s for s in answer["steps"] if s["step"] == step)


def test_all_instances_are_told_as_columns(api: httpx2.Client, ladder: dict[str, Any]) -> None:
    answer = get(api, f"/runs/{ladder['no']}/instances")
    assert answer["zero"] == ladder["started_at"]
    assert answer["counts"] == {"succeeded": 5, "failed": 1}
    rungs = step_of(answer, "rung")
    assert rungs["indexes"] == ["0", "1", "2", "3"]
    assert [answer["letters"][letter] for letter in rungs["states"]] == [
        "succeeded",
        "succeeded",
        "failed",
        "succeeded",
    ]
    assert rungs["mapped"]
    assert rungs["needs"] == ["shaky"]
    # One that its worker had not begun when it was needed elsewhere is begun again.
    assert all(attempts >= 1 for attempts in rungs["attempts"])
    assert all(ms >= 0 for ms in [*rungs["began"], *rungs["took"]])
    assert step_of(answer, "shaky")["attempts"] == [2]


def test_while_a_run_goes_on_its_waiting_steps_are_there_too(api: httpx2.Client, tmp_path: Path) -> None:
    run = started(api, {"pipeline": "held", "params": {"file": str(tmp_path / "go")}})
    try:
        answer = get(api, f"/runs/{run['id']}/instances")
        while answer["counts"] != {"running": 1, "waiting": 1}:
            answer = get(api, f"/runs/{run['id']}/instances")
        assert step_of(answer, "holds")["took"] == [None]
        assert step_of(answer, "ends")["began"] == [None]
    finally:
        (tmp_path / "go").touch()
    ended(api, run["id"])


def test_an_approval_that_waits_for_people_says_so(api: httpx2.Client) -> None:
    run = started(api, {"pipeline": "deploy"})
    while get(api, f"/runs/{run['id']}/instances")["counts"].get("awaiting") != 1:
        pass
    api.post(f"{V1}/runs/{run['id']}/steps/go/answer", json={"choice": "approve"})
    assert ended(api, run["id"])["state"] == "succeeded"


def test_the_timeline_tells_attempts_waits_and_the_longest_way(api: httpx2.Client, ladder: dict[str, Any]) -> None:
    answer = get(api, f"/runs/{ladder['id']}/timeline")
    rows = {(r["step"], r["index"]): r for r in answer["rows"]}
    shaky = rows["shaky", ""]
    assert [(w["attempt"], w["state"]) for w in shaky["work"]] == [(1, "failed"), (2, "succeeded")]
    assert "not yet" in shaky["work"][0]["reason"]
    assert shaky["work"][0]["to"] <= shaky["work"][1]["from"]
    assert shaky["critical"]
    assert rows["top", ""]["critical"]
    assert [w["of"] for w in rows["rung", "0"]["waits"] if w["reason"] == "upstreams"] == [["shaky"]]
    assert answer["end"] >= max(w["to"] for r in answer["rows"] for w in r["work"])
    assert answer["folded"] == []


def test_a_timeline_shows_the_failed_instances_and_counts_the_others(
    api: httpx2.Client, ladder: dict[str, Any]
) -> None:
    answer = get(api, f"/runs/{ladder['id']}/timeline", most=1, step="rung")
    shown = [(r["step"], r["index"]) for r in answer["rows"]]
    assert len(shown) == 1
    [folded] = answer["folded"]
    assert folded["step"] == "rung"
    assert sum(folded["counts"].values()) == 3
    assert 0 <= folded["from"] <= folded["to"] <= answer["end"]


def test_an_open_wait_has_no_end_and_names_what_it_waits_for(api: httpx2.Client, tmp_path: Path) -> None:
    run = started(api, {"pipeline": "held", "params": {"file": str(tmp_path / "go")}})
    rows = {r["step"]: r for r in get(api, f"/runs/{run['id']}/timeline")["rows"]}
    assert [(w["reason"], w["to"], w["of"]) for w in rows["ends"]["waits"]] == [("upstreams", None, ["holds"])]
    (tmp_path / "go").touch()
    ended(api, run["id"])


def test_the_history_of_a_run_is_its_own_and_goes_on_by_its_cursor(api: httpx2.Client, ladder: dict[str, Any]) -> None:
    seen: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = get(api, f"/runs/{ladder['id']}/events", limit=2, cursor=cursor)
        seen += page["items"]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert [c["seq"] for c in seen] == sorted({c["seq"] for c in seen})
    kinds = [event["kind"] for committed in seen for event in committed["events"]]
    assert kinds[0] == "run_created"
    assert kinds[-1] == "run_ended"
    assert kinds.count("step_retried") == 1


def test_a_waiting_step_is_marked_and_the_record_says_by_whom(api: httpx2.Client, tmp_path: Path) -> None:
    run = started(api, {"pipeline": "held", "params": {"file": str(tmp_path / "go")}})
    path = f"{V1}/runs/{run['id']}/steps"
    while get(api, f"/runs/{run['id']}/instances")["counts"].get("running") != 1:
        pass
    marked = api.post(f"{path}/ends/mark", json={"state": "skipped", "reason": "not today"})
    assert marked.status_code == 200, marked.text
    [reason] = marked.json()["reasons"]
    assert (marked.json()["state"], reason["code"]) == ("skipped", "marked")
    assert reason["text"].endswith(": not today")
    running = api.post(f"{path}/holds/mark", json={"state": "failed"})
    (tmp_path / "go").touch()
    assert ended(api, run["id"])["state"] == "succeeded"
    states = {s["step"]: s["state"] for s in get(api, f"/runs/{run['id']}/steps")["items"]}
    assert states == {"holds": "succeeded", "ends": "skipped"}
    assert running.status_code == 409
    assert "it is running" in running.json()["detail"]
    entries = get(api, "/audit", limit=50)["items"]
    assert any(e["object"] == f"run:{run['id']}/ends" and e["action"].endswith("mark") for e in entries)


def test_what_cannot_be_marked_is_refused_with_its_reason(api: httpx2.Client, ladder: dict[str, Any]) -> None:
    over = api.post(f"{V1}/runs/{ladder['id']}/steps/top/mark", json={"state": "failed"})
    assert over.status_code == 409
    assert "has ended" in over.json()["detail"]
    run = started(api, {"pipeline": "deploy"})
    unknown = api.post(f"{V1}/runs/{run['id']}/steps/nothing/mark", json={"state": "failed"})
    assert unknown.status_code == 404
    wrong = api.post(f"{V1}/runs/{run['id']}/steps/go/mark", json={"state": "running"})
    assert wrong.status_code == 422
    gate = api.post(f"{V1}/runs/{run['id']}/steps/go/mark", json={"state": "succeeded"})
    assert gate.status_code == 409
    assert "waits for an answer" in gate.json()["detail"]
    api.post(f"{V1}/runs/{run['id']}/cancel", json={})
    ended(api, run["id"])


@pytest.mark.parametrize("path", ["instances", "timeline", "events"])
def test_a_run_that_is_not_there_is_said_to_be_none(api: httpx2.Client, path: str) -> None:
    assert api.get(f"{V1}/runs/99999999/{path}").status_code == 404
