"""Sensors in the service: the real part over a store in memory, with the project's functions called in this process."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import dedent
from typing import Any, TypeVar

import pytest

from partita.core.facts.assets import AssetReported
from partita.core.plain import pack, unpack
from partita.core.sensing import remembered
from partita.define.project import load
from partita.engine.clock import FakeClock
from partita.engine.sensor_requests import (
    DeliveryAnswer,
    DeliveryArrived,
    LookNow,
    PauseSensor,
    ResetSensor,
    SensorDone,
    SensorNow,
    SensorsNow,
    TestSensor,
    TestSensorAnswer,
)
from partita.engine.service import Service
from partita.errors import DefinitionError
from partita.executors.evaluator import InlineEvaluator
from partita.settings import Home, Settings
from partita.store import sensors as rows
from partita.store.sqlite import open_in_memory
from partita.store.writing import SqlStore
from partita.worker.answering import Functions
from partita.worker.questions import Answered

from .backfilling import Hands

NOW = dt.datetime(2026, 3, 2, 6, 0, tzinfo=dt.UTC).timestamp()
T = TypeVar("T")

BASE = """
import partita as pt

@pt.task
def work(what): ...

@pt.pipeline
def load(what: str = "", n: int = 0):
    work(what)

@pt.pipeline
def tidy(of: str = "", which: list[str] | None = None):
    work(of)
"""


class Scene:
    """A service with one project. The store outlives the service: `again` starts another one on it."""

    def __init__(
        self, folder: Path, code: str, *, store: SqlStore | None = None, clock: FakeClock | None = None
    ) -> None:
        self.folder = folder
        self.clock = clock or FakeClock(NOW)
        self.store = store or open_in_memory(clock=self.clock.now)
        self.hands: Any = Hands()
        self.functions: dict[str, Functions] = {}
        self.hands.evaluator = InlineEvaluator(self.functions)
        (folder / ".partita").mkdir(exist_ok=True)
        settings = Settings(project=folder, home=Home(folder / ".partita"), workers=2)
        self.service = Service(self.store, self.hands, settings=settings, clock=self.clock)
        self.edit(code)
        self.service.start()
        self.turn()

    def edit(self, code: str) -> None:
        (self.folder / "pipelines.py").write_text(BASE + dedent(code))
        project = load(self.folder)
        assert project.manifest.problems == ()
        self.project = project.manifest.project
        self.functions[self.project] = Functions(project.calls, project.pipelines)
        self.service.load(project.manifest)

    def again(self, code: str) -> Scene:
        """Another engine on the same store, after the first was killed."""
        self.clock.advance(60.0)
        return Scene(self.folder, code, store=self.store, clock=self.clock)

    def turn(self, seconds: float = 0.0) -> None:
        """Let time pass, and everything happen that is due."""
        self.clock.advance(seconds)
        while self.service.turn(0.0) or (self.service.engine.chores and self._is_due()):
            pass

    def _is_due(self) -> bool:
        return any(
            chore.due_at() <= self.clock.now() for chore in self.service.engine.chores if chore.name == "sensors"
        )

    def work(self) -> None:
        """Do all the work there is."""
        self.turn()
        while self.hands.open:
            self.hands.do()
            self.turn()

    def ask(self, request: Any, returns: type[T]) -> T:
        answer = self.service.engine.post(lambda: self.service.handlers()[type(request)](request))
        while not answer.done():
            self.service.turn(0.0)
        found = answer.result()
        while not isinstance(found, returns):
            self.service.turn(0.0)
            if found.done():
                found = found.result()
        return found

    def runs(self, pipeline: str = "load") -> list[Any]:
        """Oldest first."""
        return self.store.runs(pipeline=pipeline, limit=1000)[::-1]

    def params(self, pipeline: str = "load") -> list[dict[str, Any]]:
        return [{name: unpack(value) for name, value in (run.params or {}).items()} for run in self.runs(pipeline)]

    def row(self, name: str) -> rows.SensorRow:
        row = rows.sensor(self.store, "default", name)
        assert row is not None
        return row

    def cursor(self, name: str) -> Any:
        cursor = remembered(self.row(name).state).cursor
        return unpack(cursor) if cursor else None

    def looks(self, name: str) -> list[rows.EvaluationRow]:
        """Newest first."""
        return rows.evaluations(self.store, "default", name)


@pytest.fixture(autouse=True)
def _in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


COUNTING = """
    @pt.sensor(load, interval="1m")
    def counting(ctx):
        count = ctx.cursor or 0
        if count >= 3:
            return pt.SkipReason("that is enough")
        ctx.cursor = count + 1
        return pt.RunRequest(key=f"n-{count}", params={"n": count})
"""


# --- functions ----------------------------------------------------------------------------------------------------


def test_a_sensor_looks_at_its_interval_and_its_cursor_moves_with_its_runs(tmp_path: Path) -> None:
    scene = Scene(tmp_path, COUNTING)
    assert scene.params() == [{"what": "", "n": 0}]
    scene.turn(30)
    assert len(scene.runs()) == 1
    scene.turn(30)
    assert [p["n"] for p in scene.params()] == [0, 1]
    assert scene.cursor("counting") == 2
    assert {run.origin for run in scene.runs()} == {"sensor:counting:n-0", "sensor:counting:n-1"}
    assert {run.by for run in scene.runs()} == {"sensor:counting"}
    assert [finding for finding in scene.store.audit() if finding.invariant == "I15"] == []


def test_a_key_is_one_run_however_often_it_is_asked_for(tmp_path: Path) -> None:
    scene = Scene(
        tmp_path,
        """
        @pt.sensor(load, interval="10s")
        def stubborn():
            return [pt.RunRequest(key="same"), pt.RunRequest(key="same"), pt.RunRequest(key="other")]
        """,
    )
    scene.turn(10)
    scene.turn(10)
    assert len(scene.runs()) == 2
    first = scene.looks("stubborn")[-1].requests
    assert [(r.key, r.repeated) for r in first] == [("same", False), ("same", True), ("other", False)]
    assert all(r.repeated for r in scene.looks("stubborn")[0].requests)


def test_keys_are_known_to_the_next_engine_and_the_cursor_goes_on(tmp_path: Path) -> None:
    scene = Scene(tmp_path, COUNTING).again(COUNTING)
    assert [p["n"] for p in scene.params()] == [0, 1]
    scene.ask(ResetSensor("counting", "ana"), SensorDone)
    scene.turn()
    scene.turn(60)
    # It begins anew, and what it asks for again is known.
    assert len(scene.runs()) == 2
    assert scene.cursor("counting") == 2


def test_a_clock_that_is_set_back_after_one_answer_was_taken_by_it_is_noticed(tmp_path: Path) -> None:
    # What the clock had said was noted when the sensor was asked for its time, and not while an answer waited.
    scene = Scene(tmp_path, COUNTING)
    scene.clock.advance(60)
    scene.service.turn(0.0)
    scene.clock.set(NOW + 86_400)
    scene.service.turn(0.0)
    assert len(scene.runs()) == 2
    scene.clock.set(NOW + 70)
    scene.turn(60)
    assert [p["n"] for p in scene.params()] == [0, 1, 2]


def test_without_keys_each_request_is_a_run_also_when_the_clock_stands_still_or_is_set_back(tmp_path: Path) -> None:
    # Their names were made of the time: the second request was taken for the first one asked again, and had no run.
    code = """
        @pt.sensor(load, interval="1m")
        def keyless(ctx):
            ctx.cursor = (ctx.cursor or 0) + 1
            return [pt.RunRequest(params={"n": ctx.cursor}), pt.RunRequest(params={"n": -ctx.cursor})]
    """
    scene = Scene(tmp_path, code)
    assert [p["n"] for p in scene.params()] == [1, -1]
    scene.ask(LookNow("keyless"), SensorDone)
    scene.turn()
    assert [p["n"] for p in scene.params()] == [1, -1, 2, -2]


def test_a_clock_that_is_set_back_before_the_first_turn_puts_off_no_look(tmp_path: Path) -> None:
    # Found by simulation: what was planned at the start, by a clock that was a day ahead, was due in a day.
    scene = Scene(tmp_path, COUNTING)
    looks = len(scene.looks("counting"))
    scene.clock.advance(86_400.0)
    service = Service(scene.store, scene.hands, settings=scene.service.settings, clock=scene.clock)
    service.load(load(tmp_path).manifest)
    service.start()
    scene.service = service

    scene.clock.advance(60.0 - 86_400.0)
    scene.turn()

    assert len(scene.looks("counting")) == looks + 1


def test_quiet_looks_are_counted_and_not_kept(tmp_path: Path) -> None:
    scene = Scene(tmp_path, COUNTING)
    for _ in range(3):
        scene.turn(60)
    before = scene.store.end_of_stream()
    for _ in range(50):
        scene.turn(60)
    assert scene.store.end_of_stream() == before
    assert scene.looks("counting")[0].skipped == "that is enough"
    now = next(s for s in scene.ask(SensorsNow(), tuple) if s.name == "counting")
    assert isinstance(now, SensorNow)
    assert now.quiet == 50


def test_a_failing_sensor_rests_longer_each_time_and_recovers(tmp_path: Path) -> None:
    scene = Scene(
        tmp_path,
        """
        import os

        @pt.sensor(load, interval="10s")
        def shaky(ctx):
            ctx.cursor = "moved"
            yield pt.RunRequest()
            if not os.path.exists("well"):
                print("looking")
                raise ConnectionError("no route")
        """,
    )
    row = scene.row("shaky")
    assert (row.failures, row.state) == (1, None)
    assert scene.looks("shaky")[0].error == "ConnectionError: no route"
    assert scene.looks("shaky")[0].output.startswith("looking\n")
    scene.turn(10)
    assert scene.row("shaky").failures == 2
    scene.turn(10)
    assert scene.row("shaky").failures == 2  # it rests for 20 s now
    scene.turn(10)
    assert scene.row("shaky").failures == 3
    for _ in range(10):
        scene.turn(900)
    assert scene.row("shaky").failures == 13  # it is tried every quarter of an hour
    assert scene.runs() == []
    Path("well").touch()
    scene.turn(900)
    assert scene.row("shaky").failures == 0
    assert len(scene.runs()) == 1


def test_a_request_that_cannot_be_makes_none_of_the_runs_and_moves_no_cursor(tmp_path: Path) -> None:
    scene = Scene(
        tmp_path,
        """
        @pt.sensor(load)
        def wrong(ctx):
            ctx.cursor = 7
            yield pt.RunRequest(key="good")
            yield pt.RunRequest(key="bad", params={"n": "many"})
        """,
    )
    assert scene.runs() == []
    assert scene.cursor("wrong") is None
    assert "n" in scene.looks("wrong")[0].error


def test_a_partition_that_cannot_be_makes_none_of_the_runs(tmp_path: Path) -> None:
    scene = Scene(
        tmp_path,
        """
        @pt.sensor(load)
        def wrong(ctx):
            ctx.cursor = 7
            yield pt.RunRequest(key="good")
            yield pt.RunRequest(key="bad", partition="2026-01-01")
        """,
    )
    assert scene.runs() == []
    assert scene.cursor("wrong") is None
    assert "is not partitioned" in scene.looks("wrong")[0].error


def test_one_failing_sensor_holds_up_no_other(tmp_path: Path) -> None:
    scene = Scene(
        tmp_path,
        COUNTING
        + """
    @pt.sensor(load)
    def broken():
        raise RuntimeError("no")

    @pt.sensor(load)
    async def asynchronous():
        return 17
""",
    )
    assert [p["n"] for p in scene.params()] == [0]
    assert "gives pt.RunRequest" in scene.looks("asynchronous")[0].error


def test_pause_and_resume(tmp_path: Path) -> None:
    scene = Scene(tmp_path, COUNTING)
    scene.ask(PauseSensor("counting", "ana", reason="holidays"), SensorDone)
    scene.turn(3600)
    assert len(scene.runs()) == 1
    assert (scene.row("counting").paused, scene.row("counting").reason) == (True, "holidays")
    again = scene.again(COUNTING)
    again.turn(3600)
    assert len(again.runs()) == 1
    assert again.ask(PauseSensor("counting", "ana", paused=False), SensorDone).changed
    again.turn(60)
    assert len(again.runs()) == 2
    with pytest.raises(DefinitionError, match="there is no sensor 'countin'"):
        again.ask(PauseSensor("countin", "ana"), SensorDone)


def test_an_edit_counts_at_once_and_what_is_gone_looks_no_more(tmp_path: Path) -> None:
    scene = Scene(tmp_path, COUNTING)
    scene.edit(COUNTING.replace('interval="1m"', 'interval="5s"'))
    scene.turn(5)
    assert len(scene.runs()) == 2
    scene.edit("")
    scene.turn(600)
    assert len(scene.runs()) == 2
    assert scene.row("counting").active is False
    # It comes back with what it remembers.
    scene.edit(COUNTING)
    scene.turn(60)
    assert [p["n"] for p in scene.params()] == [0, 1, 2]


def test_a_test_shows_what_it_would_do_and_does_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path, COUNTING)
    before = scene.store.end_of_stream()
    answer = scene.ask(TestSensor("counting"), TestSensorAnswer)
    (run,) = answer.runs
    assert (run.pipeline, run.keys, unpack(run.params)) == ("load", ("n-1",), {"what": "", "n": 1})
    assert unpack(answer.cursor or b"") == 2
    known = scene.ask(TestSensor("counting", cursor=pack(0)), TestSensorAnswer)
    assert known.runs[0].repeated
    assert scene.store.end_of_stream() == before
    assert len(scene.runs()) == 1


def test_debounce_makes_one_run_of_a_burst(tmp_path: Path) -> None:
    code = """
        @pt.sensor(load, interval="10s", debounce="30s")
        def bursts(ctx):
            ctx.cursor = (ctx.cursor or 0) + 1
            if ctx.cursor <= 3:
                return pt.RunRequest(key=f"k{ctx.cursor}", params={"n": ctx.cursor})
    """
    scene = Scene(tmp_path, code)
    scene.turn(10)
    scene.turn(10)
    assert scene.runs() == []
    # What waits survives the engine.
    scene = scene.again(code)
    scene.turn(40)
    assert [p["n"] for p in scene.params()] == [3]
    (look,) = [look for look in scene.looks("bursts") if look.requests]
    assert [r.key for r in look.requests] == ["k1", "k2", "k3"]
    assert len({r.run for r in look.requests}) == 1


# --- files, http, sql -----------------------------------------------------------------------------------------------


def test_a_file_that_has_settled_is_one_run(tmp_path: Path) -> None:
    code = """
        pt.file_sensor("arrivals", "inbox/*.csv", start=load, params={"what": "{path}", "n": "{size}"},
                       settle="20s", interval="10s")
    """
    scene = Scene(tmp_path, code)
    (tmp_path / "inbox").mkdir()
    file = tmp_path / "inbox" / "a.csv"
    file.write_text("12345")
    os.utime(file, (scene.clock.now() + 10, scene.clock.now() + 10))
    scene.turn(10)
    assert scene.runs() == []
    # It grows: not settled yet.
    file.write_text("1234567")
    os.utime(file, (scene.clock.now() + 5, scene.clock.now() + 5))
    scene.turn(10)
    assert scene.runs() == []
    scene.turn(10)
    assert scene.runs() == []
    scene.turn(10)
    assert scene.params() == [{"what": "inbox/a.csv", "n": 7}]
    scene.turn(60)
    scene = scene.again(code)
    scene.turn(60)
    assert len(scene.runs()) == 1
    # Changed later, it counts again.
    os.utime(file, (scene.clock.now() - 30, scene.clock.now() - 30))
    scene.turn(10)
    scene.turn(20)
    assert len(scene.runs()) == 2


def test_files_in_batches_and_through_an_own_function(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "abc":
        (tmp_path / "in" / name).touch()
    scene = Scene(
        tmp_path,
        """
        pt.file_sensor("batches", "in/*", start=tidy, params={"of": "batch", "which": "{name}"}, settle=0, batch=2)

        @pt.file_sensor("own", "in/*", start=load, settle=0)
        def own(event):
            if event["name"] != "b":
                yield pt.RunRequest(params={"what": event["stem"] + "!"})
                yield pt.RunRequest(params={"what": event["stem"] + "?"})
        """,
    )
    assert sorted(len(p["which"]) for p in scene.params("tidy")) == [1, 2]
    assert sorted(p["what"] for p in scene.params()) == ["a!", "a?", "c!", "c?"]


@pytest.fixture
def server() -> Iterator[Any]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body, wanted = server.answer
            if wanted and self.headers.get("Authorization") != wanted:
                status, body = 401, b"{}"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None: ...

    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answer = (200, b'{"job": {"state": "running"}}', "")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_an_http_condition_fires_when_it_becomes_true(
    tmp_path: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPORT_TOKEN", "t0ken-of-tests")
    scene = Scene(
        tmp_path,
        f"""
        pt.http_sensor("export", "http://127.0.0.1:{server.server_port}/x", json={{"job.state": "done"}}, start=load,
                       headers={{"Authorization": "Bearer {{secret:EXPORT_TOKEN}}"}}, interval="10s",
                       params={{"n": "{{status}}"}})
        """,
    )
    server.answer = (200, b'{"job": {"state": "running"}}', "Bearer t0ken-of-tests")
    scene.turn(10)
    assert scene.looks("export")[0].skipped == "job.state is 'running', not 'done'"
    server.answer = (200, b'{"job": {"state": "done"}}', "Bearer t0ken-of-tests")
    for _ in range(3):
        scene.turn(10)
    assert scene.params() == [{"what": "", "n": 200}]
    server.answer = (503, b"", "")
    scene.turn(10)
    server.answer = (200, b'{"job": {"state": "done"}}', "")
    scene.turn(10)
    assert len(scene.runs()) == 2


def test_a_server_that_cannot_be_reached_is_a_failure_that_is_told(tmp_path: Path) -> None:
    scene = Scene(tmp_path, 'pt.http_sensor("gone", "http://127.0.0.1:9/", start=load)')
    assert "cannot be reached" in scene.looks("gone")[0].error


def test_rows_of_a_database_with_a_cursor(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "shop.db")
    db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, region TEXT)")
    db.execute("INSERT INTO orders VALUES (1, 'eu'), (2, 'us')")
    db.commit()
    scene = Scene(
        tmp_path,
        """
        import sqlite3
        pt.sql_sensor("orders", "SELECT id, region FROM orders WHERE id > :cursor ORDER BY id",
                      connect="sqlite:///shop.db", cursor="id", since=0, start=load, interval="10s",
                      params={"n": "{id}", "what": "from {region}"})
        pt.sql_sensor("many", "SELECT count(*) > 2 FROM orders", connect=lambda: sqlite3.connect("shop.db"),
                      start=tidy, interval="10s")
        """,
    )
    assert scene.params() == [{"n": 1, "what": "from eu"}, {"n": 2, "what": "from us"}]
    assert scene.runs("tidy") == []
    db.execute("INSERT INTO orders VALUES (3, 'uk')")
    db.commit()
    db.close()
    scene.turn(10)
    scene.turn(10)
    assert [p["n"] for p in scene.params()] == [1, 2, 3]
    assert scene.cursor("orders") == {"last": 3}
    assert len(scene.runs("tidy")) == 1


# --- runs and assets ------------------------------------------------------------------------------------------------

AFTER = """
    pt.on_run("after", load, states=["succeeded", "failed"], start=tidy, params={"of": "{state} {no}"})
    pt.on_run("everything", start=tidy, params={"of": "every {pipeline}"})
"""


def test_the_end_of_a_run_starts_another_without_a_loop(tmp_path: Path) -> None:
    from partita.engine.submission import RunRequest

    scene = Scene(tmp_path, AFTER)
    scene.service.submitter.submit(RunRequest("load", "ana", "t:1"))
    scene.work()
    # "everything" hears "after"'s run and load's, and not its own.
    assert sorted(p["of"] for p in scene.params("tidy")) == ["every load", "every tidy", "succeeded 1"]


def test_ends_that_nobody_was_there_to_hear_are_heard_by_the_next_engine_once(tmp_path: Path) -> None:
    from partita.engine.submission import RunRequest

    scene = Scene(tmp_path, AFTER)
    scene.service.submitter.submit(RunRequest("load", "ana", "t:1"))
    # Given: the engine dies right after the commit of the end, before anything of its sensors is committed.
    scene.hands.do()
    sensing = next(chore for chore in scene.service.engine.chores if chore.name == "sensors")
    scene.service.engine.chores.remove(sensing)
    scene.turn()
    assert scene.runs()[0].state == "succeeded"
    assert scene.runs("tidy") == []
    # When: another one takes over, and another.
    scene = scene.again(AFTER)
    scene.work()
    scene = scene.again(AFTER)
    scene.work()
    assert sorted(p["of"] for p in scene.params("tidy")) == ["every load", "every tidy", "succeeded 1"]


def test_updates_of_assets_by_a_condition(tmp_path: Path) -> None:
    code = """
        pt.on_assets("report", pt.updated("orders") & (pt.updated("eu") | pt.updated("us")), start=tidy,
                     params={"which": "{assets}"})
    """
    scene = Scene(tmp_path, code)

    def report(asset: str) -> None:
        scene.service.engine.record(AssetReported(scene.clock.now(), asset, "", "tests"))
        scene.turn(1)

    report("orders")
    report("orders")
    assert scene.runs("tidy") == []
    scene = scene.again(code)
    report("us")
    assert scene.params("tidy") == [{"of": "", "which": ["orders", "us"]}]
    report("eu")
    assert len(scene.runs("tidy")) == 1
    report("orders")
    assert len(scene.runs("tidy")) == 2


def test_absence_is_decided_at_its_time_only(tmp_path: Path) -> None:
    code = """
        pt.absent("no_file", by="07:00", file="inbox/*", start=tidy, params={"of": "{what} by {by}"})
        pt.absent("no_run", by="07:00", run=load, start=load, params={"what": "{what}"})
    """
    scene = Scene(tmp_path, code)
    scene.turn(3000)
    assert scene.runs("tidy") == []
    scene.turn(600)
    assert scene.params("tidy") == [{"of": "inbox/* by 2026-03-02T07:00:00+00:00", "which": None}]
    assert len(scene.runs()) == 1
    scene.work()
    # The next day there is a file, and the run of 07:00 has succeeded after that time.
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "x").touch()
    os.utime(tmp_path / "inbox" / "x", (NOW + 40_000, NOW + 40_000))
    scene = scene.again(code)
    scene.turn(86_400)
    assert len(scene.runs("tidy")) == 1
    assert scene.looks("no_file")[0].skipped == "inbox/x is there"


# --- webhooks -------------------------------------------------------------------------------------------------------

HOOK = """
    pt.webhook("pushes", secret="HOOK_KEY", start=load, params={"what": "{ref}"}, max_bytes=1000)

    @pt.webhook("own", secret="HOOK_KEY", start=load)
    def own(event):
        if event["body"]["kind"] == "bad":
            raise ValueError("bad kind")
        return pt.RunRequest(params={"what": event["body"]["kind"]})
"""
KEY = b"a key of tests"


def sign(body: bytes) -> str:
    return "sha256=" + hmac.new(KEY, body, hashlib.sha256).hexdigest()


def deliver(
    scene: Scene, body: bytes, *, name: str = "pushes", delivery: str = "", signature: str | None = None
) -> DeliveryAnswer:
    headers = [("X-Hub-Signature-256", sign(body) if signature is None else signature), ("Content-Type", "a/b")]
    if delivery:
        headers.append(("X-GitHub-Delivery", delivery))
    return scene.ask(DeliveryArrived(name, body, tuple(headers)), DeliveryAnswer)


@pytest.fixture
def hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setenv("HOOK_KEY", KEY.decode())
    return Scene(tmp_path, HOOK)


def test_a_signed_delivery_makes_a_run_and_the_same_again_none(hooks: Scene) -> None:
    body = b'{"ref":  "main"}'
    assert deliver(hooks, body, delivery="d-1").state == "accepted"
    assert deliver(hooks, body, delivery="d-1").state == "duplicate"
    assert deliver(hooks, body, delivery="d-2").state == "accepted"
    hooks.turn()
    assert [p["what"] for p in hooks.params()] == ["main", "main"]
    again = hooks.again(HOOK)
    assert deliver(again, body, delivery="d-1").state == "duplicate"
    again.turn(60)
    assert len(again.runs()) == 2


@pytest.mark.parametrize(
    ("body", "signature", "state"),
    [
        (b'{"ref": "main"}', "", "refused"),
        (b'{"ref": "main"}', "sha256=" + "0" * 64, "refused"),
        (b'{"ref": "main"}', "sha256=zz", "refused"),
        # Signed is what was sent, not what it means: one blank more is another body.
        (b'{"ref":  "main"}', sign(b'{"ref": "main"}'), "refused"),
        (b'{"ref": "main"}', sign(b'{"ref": "main"}').upper().replace("SHA256=", "sha256="), "accepted"),
        (b'{"ref": "' + b"x" * 1000 + b'"}', None, "too_large"),
    ],
)
def test_what_is_not_signed_by_the_secret_is_refused(
    hooks: Scene, body: bytes, signature: str | None, state: str
) -> None:
    assert deliver(hooks, body, signature=signature).state == state
    hooks.turn()
    assert len(hooks.runs()) == (state == "accepted")


def test_unknown_webhooks_and_other_sensors_take_no_deliveries(tmp_path: Path) -> None:
    scene = Scene(tmp_path, COUNTING)
    for name in ("counting", "nothing"):
        assert scene.ask(DeliveryArrived(name, b"{}"), DeliveryAnswer).state == "unknown"


def test_without_its_secret_a_webhook_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOOK_KEY", raising=False)
    scene = Scene(tmp_path, HOOK)
    assert deliver(scene, b'{"ref": "main"}').state == "refused"


def test_deliveries_of_a_paused_webhook_wait_and_survive_the_engine(hooks: Scene) -> None:
    hooks.ask(PauseSensor("pushes", "ana"), SensorDone)
    assert deliver(hooks, b'{"ref": "one"}').state == "accepted"
    hooks.turn(60)
    assert hooks.runs() == []
    again = hooks.again(HOOK)
    assert deliver(again, b'{"ref": "two"}').state == "accepted"
    again.ask(PauseSensor("pushes", "ana", paused=False), SensorDone)
    again.turn()
    assert [p["what"] for p in again.params()] == ["one", "two"]


def test_a_delivery_that_cannot_be_used_is_given_up_and_the_others_go_on(hooks: Scene) -> None:
    for kind in ("good", "bad", "better"):
        deliver(hooks, json.dumps({"kind": kind}).encode(), name="own")
    for _ in range(12):
        hooks.turn(900)
    assert [p["what"] for p in hooks.params()] == ["good", "better"]
    given_up = [look.error for look in hooks.looks("own") if look.error.startswith("gave up")]
    assert len(given_up) == 1
    assert "bad kind" in given_up[0]
    assert rows.waiting(hooks.store, "default", "own") == []


def test_a_webhook_can_be_tried(hooks: Scene) -> None:
    answer = hooks.ask(TestSensor("pushes", event=pack({"ref": "dev"})), TestSensorAnswer)
    assert [unpack(run.params)["what"] for run in answer.runs] == ["dev"]
    assert hooks.runs() == []


# --- many -----------------------------------------------------------------------------------------------------------


def test_ten_thousand_sensors_wait_without_a_worker_and_nearly_without_work(tmp_path: Path) -> None:
    scene = Scene(
        tmp_path,
        """
        def nothing():
            return None
        for i in range(10_000):
            pt.sensor(load, name=f"s{i}", interval="1h")(nothing)
        """,
    )
    assert scene.hands.open == {}
    assert len(scene.ask(SensorsNow(), tuple)) == 10_000
    before = scene.store.end_of_stream()
    # Nothing is due: the engine would sleep as long as it may.
    sensing = next(chore for chore in scene.service.engine.chores if chore.name == "sensors")
    assert sensing.due_at() > scene.clock.now() + 200
    scene.turn(3600)
    assert scene.store.end_of_stream() == before


def test_a_look_can_be_asked_for(tmp_path: Path) -> None:
    scene = Scene(tmp_path, COUNTING)
    scene.ask(LookNow("counting"), SensorDone)
    scene.turn()
    assert [p["n"] for p in scene.params()] == [0, 1]


def test_objects_of_a_store_are_events(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket-of-tests/day=1/a.csv", b"12345")
    memory.pipe("/bucket-of-tests/day=1/b.txt", b"")
    try:
        scene = Scene(
            tmp_path,
            """
            pt.object_sensor("dumps", "memory://bucket-of-tests/day=*/*.csv", start=load, interval="10s",
                             params={"what": "{path}", "n": "{size}"})
            """,
        )
        assert scene.params() == [{"what": "memory:///bucket-of-tests/day=1/a.csv", "n": 5}]
        memory.pipe("/bucket-of-tests/day=2/c.csv", b"")
        scene.turn(10)
        scene.turn(10)
        assert [p["what"].rpartition("/")[2] for p in scene.params()] == ["a.csv", "c.csv"]
    finally:
        memory.rm("/bucket-of-tests", recursive=True)


# --- while a look is under way ----------------------------------------------------------------------------------------


class Held:
    """An evaluator whose answers are made at once and given when the test says so."""

    def __init__(self, inner: InlineEvaluator) -> None:
        self.inner = inner
        self.waiting: list[tuple[Future[Answered], Future[Answered]]] = []

    def ask(self, project: str, request: Any, *, timeout_s: float = 60.0) -> Future[Answered]:
        given: Future[Answered] = Future()
        self.waiting.append((given, self.inner.ask(project, request, timeout_s=timeout_s)))
        return given

    def give(self) -> None:
        waiting, self.waiting = self.waiting, []
        for given, made in waiting:
            given.set_result(made.result())


def held(scene: Scene) -> Held:
    """From now on answers wait."""
    sensing: Any = next(chore for chore in scene.service.engine.chores if chore.name == "sensors")
    evaluator = Held(sensing._evaluator)
    sensing._evaluator = evaluator
    return evaluator


def test_a_sensor_never_looks_twice_at_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path, COUNTING)
    evaluator = held(scene)
    scene.turn(60)
    assert len(evaluator.waiting) == 1
    scene.ask(LookNow("counting"), SensorDone)
    scene.edit(COUNTING)
    scene.turn(600)
    assert len(evaluator.waiting) == 1
    evaluator.give()
    scene.turn()
    assert len(scene.runs()) == 2


@pytest.mark.parametrize("what", ["pause", "reset", "edit", "remove"])
def test_a_look_that_began_before_a_change_counts_for_nothing(tmp_path: Path, what: str) -> None:
    scene = Scene(tmp_path, COUNTING)
    evaluator = held(scene)
    scene.turn(60)
    if what == "pause":
        scene.ask(PauseSensor("counting", "ana"), SensorDone)
        scene.ask(PauseSensor("counting", "ana", paused=False), SensorDone)
    elif what == "reset":
        scene.ask(ResetSensor("counting", "ana", pack(2)), SensorDone)
    else:
        scene.edit(COUNTING.replace("1m", "2m") if what == "edit" else "")
    evaluator.give()
    scene.turn()
    assert len(scene.runs()) == 1
    assert scene.cursor("counting") == (2 if what == "reset" else 1)


def test_a_key_that_was_forgotten_before_its_run_finds_the_run(tmp_path: Path) -> None:
    scene = Scene(tmp_path, COUNTING)
    (first,) = scene.runs()
    scene.store._db.fetch("DELETE FROM run_keys")
    scene.ask(ResetSensor("counting", "ana"), SensorDone)
    scene.turn()
    assert len(scene.runs()) == 1
    (request,) = scene.looks("counting")[0].requests
    assert (request.run, request.repeated) == (first.id, True)
    assert [finding for finding in scene.store.audit() if finding.invariant == "I15"] == []


def test_a_time_of_absence_that_passed_while_nobody_was_here_is_decided_by_the_next_engine(tmp_path: Path) -> None:
    code = 'pt.absent("no_file", by="07:00", file="inbox/*", start=tidy, params={"of": "{by}"})'
    scene = Scene(tmp_path, code)
    scene.turn(3700)
    assert len(scene.runs("tidy")) == 1
    scene.clock.advance(2 * 86_400)
    scene = scene.again(code)
    # The newest of the two is decided, once.
    assert [p["of"][:10] for p in scene.params("tidy")] == ["2026-03-02", "2026-03-04"]
