"""Runs over HTTP, against a real service."""

from __future__ import annotations

import threading
import time
import uuid
from pathlib import Path
from typing import Any

import httpx2

from .serving import Serving

V1 = "/api/v1"


def started(api: httpx2.Client, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = api.post(f"{V1}/runs", json=body, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())


def ended(api: httpx2.Client, run: str) -> dict[str, Any]:
    return dict(api.get(f"{V1}/runs/{run}", params={"wait": "30s"}).json())


def whole_log(api: httpx2.Client, run: str, step: str) -> dict[str, Any]:
    """A log when it is closed: its lines come through a pipe, a moment after the outcome."""
    until = time.monotonic() + 20
    while True:
        log = dict(api.get(f"{V1}/runs/{run}/steps/{step}/log").json())
        if log["state"] is not None or time.monotonic() > until:
            return log


def test_a_run_is_started_waited_for_and_has_done_its_steps(api: httpx2.Client) -> None:
    run = started(api, {"pipeline": "nightly", "params": {"region": "us", "days": 3}})
    assert run["params"] == {"region": "us", "days": 3}
    assert ended(api, run["id"])["state"] == "succeeded"
    steps = api.get(f"{V1}/runs/{run['id']}/steps").json()["items"]
    assert [(s["step"], s["state"], s["value"]["content"]) for s in steps] == [
        ("extract", "succeeded", 5),
        ("load", "succeeded", 5),
    ]
    log = whole_log(api, run["id"], "extract")
    assert [line["text"] for line in log["lines"]] == ["extracting us"]
    assert api.get(f"{V1}/runs/{run['no']}/steps/extract/log/text").text == "extracting us\n"


def test_a_wait_answers_as_soon_as_the_run_has_ended_and_not_later(api: httpx2.Client, tmp_path: Path) -> None:
    run = started(api, {"pipeline": "patient", "params": {"file": str(tmp_path / "go")}})
    begun = time.monotonic()
    waited = api.get(f"{V1}/runs/{run['id']}", params={"wait": "100ms"}).json()
    assert waited["state"] == "running"
    assert time.monotonic() - begun < 5
    found: list[dict[str, Any]] = []
    waiter = threading.Thread(target=lambda: found.append(ended(api, run["id"])))
    waiter.start()
    (tmp_path / "go").touch()
    waiter.join(20)
    assert found[0]["state"] == "succeeded"


def test_two_hundred_waits_hold_no_thread(api: httpx2.Client, serving: Serving, tmp_path: Path) -> None:
    import asyncio

    run = started(api, {"pipeline": "patient", "params": {"file": str(tmp_path / "go")}})

    async def all_of_them() -> list[str]:
        headers = {"Authorization": f"Bearer {serving.token}"}
        limits = httpx2.Limits(max_connections=300)
        async with httpx2.AsyncClient(base_url=serving.address, headers=headers, timeout=30, limits=limits) as many:
            waits = [
                asyncio.create_task(many.get(f"{V1}/runs/{run['id']}", params={"wait": "30s"})) for _ in range(200)
            ]
            # All of them wait, and others are still answered at once.
            while (await many.get(f"{V1}/health")).json()["listeners"] < 200:
                await asyncio.sleep(0)
            (tmp_path / "go").touch()
            return [answer.json()["state"] for answer in await asyncio.gather(*waits)]

    assert set(asyncio.run(all_of_them())) == {"succeeded"}


def test_the_same_request_under_one_key_is_one_run(api: httpx2.Client) -> None:
    key = str(uuid.uuid4())
    first = api.post(f"{V1}/runs", json={"pipeline": "nightly"}, headers={"Idempotency-Key": key})
    again = api.post(f"{V1}/runs", json={"pipeline": "nightly"}, headers={"Idempotency-Key": key})
    assert first.status_code == 201
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    other = api.post(f"{V1}/runs", json={"pipeline": "broken"}, headers={"Idempotency-Key": key})
    assert other.status_code == 422
    assert "another request" in other.json()["detail"]


def test_a_failed_run_says_why_and_is_run_again_from_what_failed(api: httpx2.Client) -> None:
    run = started(api, {"pipeline": "broken"})
    assert ended(api, run["id"])["state"] == "failed"
    why = api.get(f"{V1}/runs/{run['id']}/why").json()
    assert [(c["step"], c["blocks"]) for c in why["causes"]] == [("breaks", ["after"])]
    assert "disk is on fire" in why["causes"][0]["message"]
    step = api.get(f"{V1}/runs/{run['id']}/steps/after/why").json()
    assert step["state"] == "upstream_failed"
    again = api.post(f"{V1}/runs/{run['id']}/retry", json={})
    assert again.status_code == 201
    assert again.json()["rerun_of"] == run["id"]
    newest = api.post(f"{V1}/runs/{run['id']}/retry", json={"version": "same"})
    made = api.get(f"{V1}/runs/{run['id']}/reruns").json()["items"]
    assert [row["id"] for row in made] == [newest.json()["id"], again.json()["id"]]
    assert api.get(f"{V1}/runs/{again.json()['id']}/reruns").json()["items"] == []


def test_a_run_is_paused_resumed_and_cancelled(api: httpx2.Client, tmp_path: Path) -> None:
    run = started(api, {"pipeline": "patient", "params": {"file": str(tmp_path / "never")}})
    assert api.post(f"{V1}/runs/{run['id']}/pause", json={"reason": "wait"}).json()["paused"] is True
    assert api.post(f"{V1}/runs/{run['id']}/resume", json={}).json()["paused"] is False
    assert api.post(f"{V1}/runs/{run['id']}/cancel", json={"reason": "enough"}).json()["cancel_requested"] is True
    assert ended(api, run["id"])["state"] == "cancelled"
    late = api.post(f"{V1}/runs/{run['id']}/cancel", json={})
    assert late.status_code == 409


def test_of_many_runs_each_is_answered_for(api: httpx2.Client, tmp_path: Path) -> None:
    runs = [started(api, {"pipeline": "patient", "params": {"file": str(tmp_path / "never")}})["id"] for _ in range(2)]
    body = {"action": "cancel", "runs": [runs[0], "no-such-run", runs[1]]}
    items = api.post(f"{V1}/runs/bulk", json=body).json()["items"]
    assert [item["status"] for item in items] == [200, 404, 200]
    assert {ended(api, run)["state"] for run in runs} == {"cancelled"}


def test_a_list_goes_on_by_its_cursor_and_shows_each_run_once(api: httpx2.Client) -> None:
    for _ in range(5):
        started(api, {"pipeline": "nightly"})
    seen: list[int] = []
    cursor = ""
    while True:
        page = api.get(
            f"{V1}/runs", params={"limit": 2, "pipeline": "nightly", **({"cursor": cursor} if cursor else {})}
        )
        body = page.json()
        assert len(body["items"]) <= 2
        seen += [run["no"] for run in body["items"]]
        if body["next"] is None:
            break
        cursor = body["next"]
    assert len(seen) == len(set(seen)) >= 5
    assert seen == sorted(seen, reverse=True)


def test_wrong_parameters_are_named_before_there_is_a_run(api: httpx2.Client) -> None:
    wrong = api.post(f"{V1}/runs", json={"pipeline": "nightly", "params": {"days": "many"}})
    assert wrong.status_code == 422
    assert "days" in wrong.json()["detail"]
    unknown = api.post(f"{V1}/runs", json={"pipeline": "nightli"})
    assert unknown.status_code == 422
    assert "nightly" in unknown.json()["hint"]
    both = api.post(f"{V1}/runs", json={"pipeline": "nightly", "assets": "flights"})
    assert both.status_code == 422


def test_an_asset_is_made_reported_and_explained(api: httpx2.Client) -> None:
    run = started(api, {"assets": "+delays"})
    assert ended(api, run["id"])["state"] == "succeeded"
    made = api.get(f"{V1}/assets/delays/materializations").json()["items"]
    assert made[0]["run"] == run["id"]
    report = {
        "asset": "outside",
        "data_version": "1",
        "metadata": [{"name": "rows", "value": 7}],
        "key": str(uuid.uuid4()),
    }
    first = api.post(f"{V1}/materializations", json=report)
    again = api.post(f"{V1}/materializations", json=report)
    assert (first.status_code, first.json()["repeated"]) == (201, False)
    assert (again.status_code, again.json()["repeated"]) == (200, True)
    why = api.get(f"{V1}/assets/outside/why").json()
    assert why["made"]["data_version"] == "1"
    unknown = api.post(f"{V1}/materializations", json={"asset": "nowhere"})
    assert unknown.status_code == 422


def test_what_is_defined_is_listed_and_found(api: httpx2.Client) -> None:
    pipelines = api.get(f"{V1}/pipelines").json()["items"]
    names = ["broken", "deploy", "held", "ladder", "narrow", "nightly", "patient", "wide"]
    assert [p["name"] for p in pipelines] == names
    assert api.get(f"{V1}/pipelines/nightly/graph").json()["steps"][1]["needs"] == ["extract"]
    assert {a["name"] for a in api.get(f"{V1}/assets").json()["items"]} == {
        "flights",
        "delays",
        "outside",
        "letters",
        "words",
    }
    hits = api.get(f"{V1}/search", params={"q": "morning"}).json()["items"]
    assert [(h["of"], h["name"]) for h in hits] == [("pipeline", "nightly")]
    assert api.get(f"{V1}/projects").json()["items"][0]["error"] == ""
