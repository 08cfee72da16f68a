"""Who is told of what, once, and what becomes of a message: with a real receiver on loopback."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import msgspec
import pytest

from partita.core.alerts import AlertOptions
from partita.core.events import CheckReport, Detail, Failure, RunCreated
from partita.core.facts.assets import FreshnessChanged
from partita.core.facts.house import HealthChanged
from partita.core.graph import Graph, Step
from partita.core.graph import version as graph_version
from partita.core.manifest import AlertSpec, ChannelSpec, DeadlineSpec, Manifest, PipelineSpec
from partita.core.plain import pack
from partita.core.policies import Policies
from partita.engine.catalog import Catalog
from partita.engine.clock import FakeClock
from partita.engine.deadlines import Deadlines
from partita.engine.loop import Engine
from partita.engine.notify import RETRIES_S, Notify, RetryMessage, TestChannel
from partita.errors import DefinitionError
from partita.executors.contract import Ended
from partita.store import messages
from partita.store.sqlite import open_in_memory
from partita.store.writing import SqlStore
from partita.worker.answering import Functions, answer, driven
from partita.worker.questions import Answered
from partita.worker.wire import Outcome

from .test_loop import Bench

MORNING = 1_767_225_600.0  # 2026-01-01T00:00:00Z


class Receiver:
    """A small server that keeps what it is sent."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                self.send_response(receiver.status)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *args: Any) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def titles(self) -> list[str]:
        return [json.loads(body)["title"] for _, body in self.got]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


class AtOnce:
    """An evaluator in this process: it answers at once."""

    def ask(self, project: str, request: Any, *, timeout_s: float = 60.0) -> Future[Answered]:
        done: Future[Answered] = Future()
        try:
            done.set_result(Answered(1, driven(answer(request, Functions({}, {})))))
        except Exception as error:
            done.set_result(Answered(1, failure=Failure(f"{type(error).__name__}: {error}")))
        return done


WIDE = Graph("nightly", (Step("load", owner="ana"), *(Step(f"model_{n}", needs=("load",)) for n in range(40))))


class Scene:
    """A service of notifications over a store in memory."""

    def __init__(self, receiver: Receiver, store: SqlStore | None = None, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock(MORNING + 12 * 3600)
        self.store = store or open_in_memory(clock=self.clock.now)
        self.bench = Bench()
        self.engine = Engine(self.store, self.bench, self.clock, holder=f"h{id(self)}")
        self.catalog = Catalog()
        self.notify = Notify(self.engine, self.store, self.catalog, self.clock, evaluator=AtOnce())
        self.deadlines = Deadlines(self.engine, self.store, self.catalog, self.notify.tell)
        self.engine.chores += [self.notify, self.deadlines]
        self.url = receiver.url
        self.rules: list[AlertSpec] = []
        self.pipelines: tuple[PipelineSpec, ...] = (PipelineSpec("nightly", WIDE),)
        self.runs = 0

    def rule(self, *on: str, name: str = "ops", subjects: str = "", template: str = "", **options: Any) -> None:
        packed = msgspec.msgpack.encode(AlertOptions(**options))
        self.rules.append(AlertSpec(name, on, ("hook",), subjects, template, packed))

    def start(self) -> None:
        channel = ChannelSpec("hook", "webhook", pack({"url": self.url, "secret": "s3cret", "headers": {}}))
        manifest = Manifest("shop", self.pipelines, alerts=tuple(self.rules), channels=(channel,))
        self.catalog.put(manifest)
        for chore in (self.notify, self.deadlines):
            chore.loaded(manifest)
        self.engine.start()
        self.turn()

    def turn(self, times: int = 4) -> None:
        for _ in range(times):
            self.engine.turn(0.0)

    def submit(self, graph: Graph = WIDE) -> None:
        self.runs += 1
        run = RunCreated(
            self.clock.now(), f"r{self.runs}-{id(self)}", "default", "shop", graph.name, graph_version(graph), "",
            f"o{self.runs}-{id(self)}",
        )  # fmt: skip
        self.engine.submit(graph, run)
        self.turn()

    def end(self, step: str, state: str = "succeeded", **detail: Any) -> None:
        detail_ = Detail(**detail) if detail else Detail(failure=Failure("KeyError: 'dep_delay'")) if state != "succeeded" else None  # fmt: skip
        self.bench._reports.append(Ended(Outcome(self.bench.open.pop(step), state, 0.0, 0.0, detail=detail_)))  # type: ignore[arg-type]
        self.turn()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def test_forty_steps_behind_one_failure_are_one_message_with_the_cause_and_its_owner(receiver):
    scene = Scene(receiver)
    scene.rule("run.failed")
    scene.start()
    scene.submit()
    scene.end("load", "failed")
    assert receiver.titles == ["run 1 of nightly failed: 1 cause"]
    (line,) = json.loads(receiver.got[0][1])["lines"]
    assert line == "load (ana): KeyError: 'dep_delay', which holds up 40"


def test_a_message_is_signed_over_its_raw_bytes_and_carries_its_key(receiver):
    scene = Scene(receiver)
    scene.rule("run.failed")
    scene.start()
    scene.submit()
    scene.end("load", "failed")
    headers, body = receiver.got[0]
    assert headers["X-Partita-Signature"] == "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    assert headers["X-Partita-Delivery"] == json.loads(body)["key"]


def test_the_same_cause_again_is_told_after_its_time_only_and_its_end_is_told(receiver):
    scene = Scene(receiver)
    scene.rule("run.failed", repeat_s=3600.0)
    scene.start()
    for _ in range(3):
        scene.submit()
        scene.end("load", "failed")
    assert len(receiver.got) == 1
    scene.clock.advance(3601)
    scene.submit()
    scene.end("load", "failed")
    assert len(receiver.got) == 2
    assert [a.subject for a in messages.alerts(scene.store)] == ["pipeline:nightly"]
    scene.submit()
    scene.end("load")
    for number in range(40):
        scene.end(f"model_{number}")
    assert receiver.titles[2:] == ["recovered: run 5 of nightly succeeded"]
    assert messages.alerts(scene.store) == []


def test_a_rule_hears_of_its_subjects_only(receiver):
    scene = Scene(receiver)
    scene.rule("run.failed", subjects="pipeline:hourly*")
    scene.rule("run.*", name="tagged", subjects="tag:core")
    scene.start()
    scene.submit()
    scene.end("load", "failed")
    assert receiver.got == []


def test_quiet_hours_hold_a_message_back_until_they_end(receiver):
    scene = Scene(receiver, clock=FakeClock(MORNING + 23 * 3600))
    scene.rule("run.failed", quiet="22:00-07:00", tz="Europe/Berlin")
    scene.start()
    scene.submit()
    scene.end("load", "failed")
    assert receiver.got == []
    scene.clock.set(MORNING + (24 + 5.9) * 3600)
    scene.turn()
    assert receiver.got == []
    scene.clock.set(MORNING + (24 + 6) * 3600)
    scene.turn()
    assert len(receiver.got) == 1


def test_a_message_that_is_not_taken_is_sent_again_and_given_up_in_the_end(receiver):
    scene = Scene(receiver)
    scene.rule("run.failed")
    scene.start()
    receiver.status = 503
    scene.submit()
    scene.end("load", "failed")
    for number, wait in enumerate(RETRIES_S, start=1):
        assert len(receiver.got) == number
        scene.clock.advance(wait - 1)
        scene.turn()
        assert len(receiver.got) == number
        scene.clock.advance(1)
        scene.turn()
    (row,) = messages.messages(scene.store)
    assert (row.tries, row.next_at, row.sent_at) == (6, None, None)
    assert row.error == "503 ok"
    assert len({headers["X-Partita-Delivery"] for headers, _ in receiver.got}) == 1
    receiver.status = 200
    scene.engine.post(lambda: scene.notify.handlers()[RetryMessage](RetryMessage(row.key, "ana")))
    scene.turn()
    (row,) = messages.messages(scene.store)
    assert row.sent_at is not None


def test_what_happened_between_the_last_message_and_a_crash_is_told_after_it_and_once(receiver):
    first = Scene(receiver)
    first.rule("run.failed")
    first.start()
    first.submit()
    # It hears of the failure, and dies before what it recorded is committed.
    first.notify.tell = lambda happenings: None  # type: ignore[method-assign]
    first.end("load", "failed")
    assert receiver.got == []
    first.clock.advance(60)
    second = Scene(receiver, first.store, first.clock)
    second.rule("run.failed")
    second.start()
    assert receiver.titles == ["run 1 of nightly failed: 1 cause"]
    second.clock.advance(60)
    third = Scene(receiver, first.store, first.clock)
    third.rule("run.failed")
    third.start()
    assert len(receiver.got) == 1


def test_a_template_fills_in_names_and_evaluates_nothing(receiver):
    scene = Scene(receiver)
    scene.rule("run.failed", template="{subject} broke: {run} {run.__class__} {nothing}\n{lines}")
    scene.start()
    scene.submit()
    scene.end("load", "failed")
    assert receiver.titles == ["nightly broke: 1 {run.__class__} {nothing}"]


def test_a_cause_is_told_with_the_class_of_its_exception(receiver):
    scene = Scene(receiver)
    scene.rule("run.failed")
    scene.start()
    scene.submit()
    scene.end(
        "load", "failed", failure=Failure("no column x\nin line 3", types=("app.SchemaError", "builtins.Exception"))
    )
    (line,) = json.loads(receiver.got[0][1])["lines"]
    assert line == "load (ana): SchemaError: no column x, which holds up 40"


def test_a_failed_check_and_an_unwell_service_are_told(receiver):
    scene = Scene(receiver)
    scene.rule("check.failed", "service.unwell")
    scene.start()
    scene.submit()
    scene.end("load", "succeeded", checks=(CheckReport("flights", "plausible", False, message="12 % are negative"),))
    scene.engine.record(HealthChanged(scene.clock.now(), "loader", "shop does not import"))
    scene.turn()
    scene.engine.record(HealthChanged(scene.clock.now(), "loader", ""))
    scene.turn()
    assert receiver.titles == [
        "check plausible of flights failed in run 1: 12 % are negative",
        "loader is unwell: shop does not import",
        "recovered: loader is well again",
    ]


def test_that_all_is_well_again_is_news_only_to_who_heard_that_it_was_not(receiver):
    scene = Scene(receiver)
    scene.rule("freshness.fail", "service.unwell")
    scene.start()
    scene.engine.record(FreshnessChanged(scene.clock.now(), "flights", "fresh"))
    scene.engine.record(HealthChanged(scene.clock.now(), "loader", ""))
    scene.turn()
    assert receiver.titles == []


def test_the_digest_comes_by_schedule_and_says_what_is_broken(receiver):
    scene = Scene(receiver)
    scene.rule("digest", name="morning", at="cron 0 7 * * *")
    scene.start()
    scene.submit()
    scene.end("load", "failed")
    assert receiver.got == []
    scene.clock.set(MORNING + 31 * 3600)
    scene.turn()
    assert receiver.titles == ["morning report: nightly is broken"]
    lines = json.loads(receiver.got[0][1])["lines"]
    assert lines[0] == "1 runs ended, 0 of them well"
    assert "load (ana): KeyError: 'dep_delay', which holds up 40" in lines[2]
    scene.clock.advance(24 * 3600)
    scene.turn()
    assert receiver.titles[1] == "morning report: all is well"


def test_a_channel_can_be_tried_and_an_unknown_one_is_told_with_what_there_is(receiver):
    scene = Scene(receiver)
    scene.start()
    sent = scene.notify.handlers()[TestChannel](TestChannel("hook", "ana"))
    assert sent.result(0).error == ""
    assert receiver.titles == ["a test message, asked for by ana"]
    with pytest.raises(DefinitionError, match="there is no channel 'hok'"):
        scene.notify.handlers()[TestChannel](TestChannel("hok", "ana"))


TWO = Graph("nightly", (Step("load"), Step("report", needs=("load",))))


def with_deadline(receiver: Receiver, *deadlines: DeadlineSpec) -> Scene:
    scene = Scene(receiver)
    scene.pipelines = (PipelineSpec("nightly", TWO, deadlines=deadlines),)
    scene.rule("deadline.*")
    return scene


def usual_run(scene: Scene, load_s: float, report_s: float, graph: Graph = TWO) -> None:
    """A run from which is known how long steps take."""
    scene.submit(graph)
    scene.clock.advance(load_s)
    scene.end("load")
    scene.clock.advance(report_s)
    scene.end("report")


def test_a_run_that_will_be_late_is_told_before_it_is_and_again_when_it_is(receiver):
    scene = with_deadline(receiver, DeadlineSpec("run", after_s=3600.0))
    scene.start()
    usual_run(scene, 600.0, 1500.0)
    assert receiver.got == []
    scene.submit(TWO)
    scene.clock.advance(2460.0)  # load takes longer than usual
    scene.turn()
    scene.end("load")
    scene.clock.advance(61.0)
    scene.turn()
    assert receiver.titles == ["run 2 of nightly will be late by 6 min"]
    scene.clock.advance(1200.0)
    scene.turn()
    assert receiver.titles[1] == "run 2 of nightly is not done by its deadline (60 min after its start)"
    assert json.loads(receiver.got[1][1])["lines"] == ["still to be done: report"]
    assert any(a.rule == "deadline" for a in messages.alerts(scene.store))
    scene.end("report")
    assert not any(a.rule == "deadline" for a in messages.alerts(scene.store))


def test_a_run_that_is_late_as_it_starts_is_told_at_once(receiver):
    scene = with_deadline(receiver, DeadlineSpec("run", after_s=0.0))
    scene.start()
    scene.submit(TWO)
    scene.turn()
    assert receiver.titles == ["run 1 of nightly is not done by its deadline (0 s after its start)"]


def test_runs_that_keep_starting_put_off_no_look_at_the_others(receiver):
    scene = with_deadline(receiver, DeadlineSpec("run", after_s=3600.0))
    scene.start()
    usual_run(scene, 600.0, 1500.0)
    scene.submit(TWO)
    scene.clock.advance(2460.0)
    scene.turn()
    scene.end("load")
    for _ in range(3):
        scene.clock.advance(31.0)
        scene.submit(TWO)
        scene.turn()
    assert receiver.titles[:1] == ["run 2 of nightly will be late by 6 min"]


def test_what_is_late_for_want_of_a_pool_says_which_pool_in_the_title_and_the_alert(receiver):
    scene = Scene(receiver)
    pooled = Policies(pools=(("warehouse", 1),))
    wants = Graph("nightly", (Step("load", policies=pooled), Step("report", needs=("load",))))
    scene.pipelines = (PipelineSpec("nightly", wants, deadlines=(DeadlineSpec("run", after_s=3600.0),)),)
    scene.rule("deadline.*")
    scene.start()
    scene.engine.admission.limit(("pool", "default", "warehouse"), 1)
    usual_run(scene, 600.0, 1500.0, wants)
    scene.submit(wants)  # has the only slot
    scene.submit(wants)  # waits for it
    scene.clock.advance(2460.0)
    scene.turn()
    assert receiver.titles == [
        "run 2 of nightly will be late by 6 min",
        "run 3 of nightly will be late by 16 min: load waits because pool warehouse is full: 1 of 1 slots taken",
    ]
    titles = [alert.message for alert in messages.alerts(scene.store)]
    assert any(
        "run 3" in title and title.endswith("load waits because pool warehouse is full: 1 of 1 slots taken")
        for title in titles
    )
    scene.clock.advance(1200.0)
    scene.turn()
    lines = json.loads(receiver.got[-1][1])["lines"]
    assert lines == ["still to be done: load, report", "load waits because pool warehouse is full: 1 of 1 slots taken"]


def test_a_step_and_an_asset_have_deadlines_of_their_own(receiver):
    graph = Graph("nightly", (Step("load"), Step("table", needs=("load",), asset="flights")))
    scene = with_deadline(receiver, DeadlineSpec("task", "load", 60.0), DeadlineSpec("asset", "flights", 120.0))
    scene.start()
    scene.submit(graph)
    scene.clock.advance(61.0)
    scene.turn()
    assert receiver.titles == ["load of run 1 of nightly is not done by its deadline (60 s after its start)"]
    scene.end("load")
    scene.clock.advance(60.0)
    scene.turn()
    assert receiver.titles[1].startswith("flights of run 1 of nightly is not done")


def test_a_time_of_day_is_missed_whether_the_run_is_late_failed_or_was_never_made(receiver):
    scene = with_deadline(receiver, DeadlineSpec("run", at="06:00", tz="UTC"))
    scene.start()
    scene.clock.set(MORNING + 30 * 3600)
    scene.turn()
    assert receiver.titles == ["nightly is not done by 06:00 UTC: no run was made"]
    scene.clock.advance(60)
    scene.submit(TWO)
    scene.end("load")
    scene.end("report")
    assert not any(a.rule == "deadline" for a in messages.alerts(scene.store))
    scene.clock.set(MORNING + 54 * 3600)
    scene.turn()
    assert len(receiver.got) == 1
    scene.clock.set(MORNING + 77 * 3600)
    scene.submit(TWO)
    scene.clock.set(MORNING + 78 * 3600)
    scene.turn()
    assert receiver.titles[-1] == "nightly is not done by 06:00 UTC: run 2 is still running"


def test_events_beside_runs_do_not_tell_twice(receiver):
    """An outcome that is repeated changes nothing, and is no happening."""
    scene = Scene(receiver)
    scene.rule("step.failed")
    scene.start()
    scene.submit()
    number = scene.bench.open["load"]
    scene.end("load", "failed")
    scene.bench._reports.append(Ended(Outcome(number, "failed", 0.0, 0.0)))
    scene.turn()
    assert len(receiver.got) == 1
