"""When parts of the service end: in order, in time, killed; and what is told to those who wait."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from partita.server.main import make_app
from partita.server.policy import Policy
from partita.settings import Home

from .serving import PIPELINES, Serving
from .test_access_matrix import answer
from .test_runs import V1, started

LISTENERS = 20


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Serving]:
    (tmp_path / "shop").mkdir()
    service = Serving(tmp_path / "shop")
    yield service
    service.end()


def test_an_engine_that_is_killed_while_one_waits_is_told_as_503_and_the_rest_goes_on(own: Serving) -> None:
    with own.client() as api:
        run = started(api, {"pipeline": "nightly"})
        own.scheduler.process.send_signal(signal.SIGSTOP)
        answers: list[httpx2.Response] = []
        waiting = threading.Thread(target=lambda: answers.append(api.post(f"{V1}/runs", json={"pipeline": "nightly"})))
        waiting.start()
        # Whether the question has reached the engine yet or not: there is one answer for it.
        assert httpx2.get(f"{own.address}/healthz").status_code == 200
        own.scheduler.process.kill()
        waiting.join(20)
        problem = answers[0].json()
        assert (answers[0].status_code, answers[0].headers["retry-after"]) == (503, "1")
        assert problem["title"] == "Not available now"
        assert problem["detail"] and problem["hint"]  # noqa: PT018
        # What the rows know is still told, and what they do not know is said.
        assert api.get(f"{V1}/runs/{run['id']}").status_code == 200
        assert api.get(f"{V1}/runs/{run['id']}/why").json()["engine"] is False
        assert api.get(f"{V1}/schedules/default/narrow/why").json()["engine"] is False
        assert next(r["code"] for r in api.get(f"{V1}/sensors/default/orders/why").json()["reasons"]) == "no_engine"
        line = next(row for row in api.get(f"{V1}/limits").json()["items"] if row["name"] == "line")
        assert (line["slots"], line["used"]) == (1, None)
        assert "partita_engine_up 0" in api.get("/metrics").text
        health = api.get(f"{V1}/health").json()
        assert (health["ok"], health["engine"]) == (False, False)


def test_an_application_that_is_closed_leaves_nothing_open(serving: Serving) -> None:
    me = psutil.Process()

    async def ask_and_close() -> None:
        app = make_app(Home(serving.home), Policy(), bound="127.0.0.1")
        token = {"authorization": f"Bearer {serving.token}"}
        for path in (f"{V1}/health", f"{V1}/limits", f"{V1}/runs"):
            assert await answer(app, "GET", path, token) == 200
        await app.close()

    asyncio.run(ask_and_close())
    before = (me.num_fds(), threading.active_count())
    asyncio.run(ask_and_close())
    assert (me.num_fds(), threading.active_count()) == before


class Up:
    """`partita up`, as people start it."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-P", "-c", "from partita.cli.main import main; raise SystemExit(main())"]
        self.home = folder / ".partita"
        self.process = subprocess.Popen(
            [*command, "up", "--port", "0", "--json"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.wait_for("loaded")
        while not (self.service.get("address") and "web" in self.service.get("parts", {})):
            assert self.process.poll() is None

    @property
    def service(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "service.json").read_text())
        return found

    def wait_for(self, event: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if json.loads(line)["event"] == event:
                return
        raise AssertionError(f"it ended before {event}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    (tmp_path / "pipelines.py").write_text(PIPELINES.replace(', pool="line"', "").replace('(pool="line")', ""))
    up = Up(tmp_path)
    yield up
    up.close()


def test_ctrl_c_ends_the_service_in_time_though_many_listen(up: Up) -> None:
    headers = {"Authorization": f"Bearer {(up.home / 'token').read_text().strip()}"}
    ends: list[str] = []
    listening = threading.Barrier(LISTENERS + 1)

    def listen() -> None:
        with (
            httpx2.Client(base_url=up.service["address"], headers=headers, timeout=30) as api,
            api.stream("GET", f"{V1}/events/live") as response,
        ):
            lines = response.iter_lines()
            next(lines)
            listening.wait(20)
            ends.extend(line for line in lines if line == "event: end")

    threads = [threading.Thread(target=listen) for _ in range(LISTENERS)]
    for thread in threads:
        thread.start()
    listening.wait(20)
    begun = time.monotonic()
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(20) in (0, 130)
    took = time.monotonic() - begun
    for thread in threads:
        thread.join(20)
    assert len(ends) == LISTENERS
    # 2 s on a machine that is at rest; tests have neighbours.
    assert took < 4, took
    print(f"ended in {took:.2f} s with {LISTENERS} listeners")


def test_a_web_process_that_is_killed_comes_back_at_its_port_and_listeners_go_on(up: Up) -> None:
    import partita as pt

    service = up.service
    token = (up.home / "token").read_text().strip()
    with pt.Client(service["address"], token) as client:
        run = client.runs.start("nightly", wait="30s")
        heard = client.events(run=run.id, after=0)
        first = next(heard)
        psutil.Process(service["parts"]["web"]).kill()
        kinds = [event["kind"] for event in first["events"]]
        for row in heard:
            kinds += [event["kind"] for event in row["events"]]
            if "run_ended" in kinds:
                break
        assert kinds.count("run_created") == 1
        assert client.runs.get(run.id).state == "succeeded"
        until = time.monotonic() + 20
        while up.service["parts"].get("web") == service["parts"]["web"]:
            assert time.monotonic() < until
        assert up.service["address"] == service["address"]
