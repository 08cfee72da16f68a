"""What happens, as it happens: events with resume, logs while they are written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from .serving import Part, Serving
from .test_runs import ended, started

V1 = "/api/v1"


def messages(response: httpx2.Response) -> Iterator[tuple[str, str, Any]]:
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield fields["event"], fields.get("id", ""), json.loads(fields["data"])
            fields = {}


def until_end(response: httpx2.Response) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, id, data in messages(response):
        yield name, id, data
        if name == "end" or any(e["kind"] == "run_ended" for e in data.get("events", ())):
            return


def test_a_listener_hears_a_run_from_its_creation_to_its_end(api: httpx2.Client, tmp_path: Path) -> None:
    with api.stream("GET", f"{V1}/events/live", params={"pipeline": "patient"}) as response:
        assert response.headers["content-type"] == "text/event-stream"
        lines = response.iter_lines()
        assert next(lines).startswith(": after")
        run = started(api, {"pipeline": "patient", "params": {"file": str(tmp_path / "go")}})
        heard: list[Any] = []
        kinds: list[str] = []
        for line in lines:
            if line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
                if data["run"] == run["id"]:
                    heard.append(data)
                    kinds += [event["kind"] for event in data["events"]]
            if "attempt_started" in kinds:
                # Only now, so that its end is heard later than its beginning.
                (tmp_path / "go").touch()
            if "run_ended" in kinds:
                break
    assert kinds[0] == "run_created"
    assert kinds.count("attempt_ended") == 1
    assert heard == api.get(f"{V1}/events", params={"run": run["id"]}).json()["items"]


def test_who_comes_back_with_the_last_id_misses_nothing_and_hears_nothing_twice(api: httpx2.Client) -> None:
    run = started(api, {"pipeline": "nightly"})
    assert ended(api, run["id"])["state"] == "succeeded"
    query = {"run": run["id"], "after": 0}
    with api.stream("GET", f"{V1}/events/live", params=query) as response:
        whole = [(id, data) for name, id, data in until_end(response) if name == "happened"]
    heard: list[tuple[str, Any]] = []
    last = ""
    # Cut off after each message.
    while not any(e["kind"] == "run_ended" for _, d in heard for e in d["events"]):
        headers = {"Last-Event-ID": last} if last else {}
        with api.stream("GET", f"{V1}/events/live", params=query, headers=headers) as response:
            name, last, data = next(messages(response))
            # "passed" says only how far it is: so much happened that is not for this listener.
            heard += [(last, data)] if name == "happened" else []
    assert heard == whole
    assert len(whole) >= 3


def test_who_asked_before_it_listened_hears_what_came_between(api: httpx2.Client) -> None:
    run = started(api, {"pipeline": "nightly"})
    assert ended(api, run["id"])["state"] == "succeeded"
    query = {"run": run["id"], "back": 600}
    with api.stream("GET", f"{V1}/events/live", params=query) as response:
        heard = [data for name, _, data in until_end(response) if name == "happened"]
    assert heard == api.get(f"{V1}/events", params={"run": run["id"]}).json()["items"]


def test_nothing_is_heard_again_of_what_was_before_that_time(api: httpx2.Client) -> None:
    assert ended(api, started(api, {"pipeline": "nightly"})["id"])["state"] == "succeeded"
    with api.stream("GET", f"{V1}/events/live", params={"back": 0.00001}) as response:
        lines = response.iter_lines()
        assert next(lines).startswith(": after")
        run = started(api, {"pipeline": "nightly"})
        said = (json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))
        first = next(data for data in said if data.get("run"))
    assert first["run"] == run["id"]


def test_events_can_be_chosen_by_kind(api: httpx2.Client) -> None:
    run = started(api, {"pipeline": "nightly"})
    ended(api, run["id"])
    page = api.get(f"{V1}/events", params={"run": run["id"], "kind": ["run_created", "run_ended"]}).json()
    assert [e["kind"] for row in page["items"] for e in row["events"]] == ["run_created", "run_ended"]


def test_no_event_shows_what_is_sealed(api: httpx2.Client) -> None:
    made = api.post(f"{V1}/tokens", json={"name": "for-a-test", "scopes": ["viewer"]})
    assert made.status_code == 201, made.text
    rows: list[Any] = []
    cursor = ""
    while True:
        page = api.get(f"{V1}/events", params={"limit": 500, **({"cursor": cursor} if cursor else {})}).json()
        rows += page["items"]
        cursor = page["next"]
        if not cursor:
            break
    kinds = {event["kind"] for row in rows for event in row["events"]}
    assert "run_created" in kinds
    assert not kinds & {"token_issued", "user_changed", "secret_changed", "request_answered", "audited"}


def test_a_log_is_read_while_it_is_written_and_taken_up_where_it_was(api: httpx2.Client, tmp_path: Path) -> None:
    run = started(api, {"pipeline": "patient", "params": {"file": str(tmp_path / "go")}})
    path = f"{V1}/runs/{run['id']}/steps/waits/log/live"
    while api.get(f"{V1}/runs/{run['id']}/steps/waits/log").status_code == 404:
        pass  # it has not started yet
    with api.stream("GET", path) as response:
        found = messages(response)
        name, offset, data = next(found)
        assert (name, data["text"]) == ("line", "waiting")
        (tmp_path / "go").touch()
        name, _, data = next(found)
        assert (name, data["reason"]) == ("end", "complete")
    with api.stream("GET", path, headers={"Last-Event-ID": offset}) as response:
        assert [name for name, _, _ in messages(response)] == ["end"]


def test_a_server_that_ends_tells_its_listeners_and_ends_at_once(serving: Serving, tmp_path: Path) -> None:
    # Another web process over the same service: any number may read.
    web = Part("partita.server.main", "--home", str(serving.home), folder=tmp_path)
    address = web.wait_for("ready")["address"]
    headers = {"Authorization": f"Bearer {serving.token}"}
    with (
        httpx2.Client(base_url=address, headers=headers, timeout=30) as api,
        api.stream("GET", f"{V1}/events/live") as response,
    ):
        lines = response.iter_lines()
        assert next(lines).startswith(": after")
        web.process.terminate()
        rest = list(lines)
    assert "event: end" in rest
    assert web.end() == 0


def test_the_server_does_not_follow_when_nobody_listens(api: httpx2.Client) -> None:
    assert api.get(f"{V1}/health").json()["listeners"] == 0
