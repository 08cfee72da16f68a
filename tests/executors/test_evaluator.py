"""Small functions in the project's own evaluator: real processes, real hangs and deaths."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from partita.core.plain import pack, unpack
from partita.errors import ExecutorError, ParamError
from partita.executors.evaluator import bind
from partita.executors.loading import start_host
from partita.executors.processes import ProcessExecutor
from partita.settings import Settings
from partita.worker.questions import (
    Answered,
    BindParams,
    BoundParams,
    CallFunction,
    Instants,
    MapPartitions,
    MappedPartitions,
    NextInstants,
    Request,
    ResourceTested,
    Returned,
    TestResource,
)

PROJECT = """
import asyncio, datetime as dt, logging, os, signal, threading, time
import partita as pt

@pt.task
def add(a, b):
    print("adding", a, b)
    logging.getLogger("mine").warning("logged")
    return a + b

@pt.task
def chatty():
    print("x" * 100_000)

@pt.task
def secret():
    print("it is hunter22secret")
    raise ValueError("hunter22secret")

@pt.task
def hang():
    threading.Event().wait(60)

@pt.task
def crash():
    os.kill(os.getpid(), signal.SIGKILL)

@pt.task
def hold(fifo):
    open(fifo).read()

@pt.task
def leave():
    raise SystemExit(3)

@pt.task
async def wait(seconds):
    print("waiting", seconds)
    await asyncio.sleep(seconds)
    return seconds

@pt.task
async def block():
    time.sleep(3)

@pt.task
def each_noon(after):
    first = after.replace(hour=12, minute=0, second=0, microsecond=0)
    days = (first + dt.timedelta(days=n) for n in range(10**9))
    return (day for day in days if day > after)

@pt.task
def backwards(after):
    return after - dt.timedelta(days=1)

@pt.task
def twice(key):
    return [key + "-a", key + "-b"]

@pt.task
def works():
    return True

@pt.task
def does_not():
    return "no route to host"

@pt.pipeline
def all_of_it(count: int = 1):
    add(1, 2); chatty(); secret(); hang(); crash(); hold("x"); leave(); wait(1); block(); each_noon(1); backwards(1)
    twice("x"); works(); does_not()
"""


class Stage:
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "pipelines.py").write_text(PROJECT)
        (folder / "pyproject.toml").write_text('[tool.partita]\nname = "small"\nsecrets = ["HUNTER"]\n')
        host = start_host(Settings.of(folder))
        manifest = host.manifest()
        assert manifest.problems == ()
        self.executor = ProcessExecutor({manifest.project: host})

    def ask(self, request: Request, timeout_s: float = 20.0) -> Future[Answered]:
        return self.executor.evaluator.ask("small", request, timeout_s=timeout_s)

    def call(self, name: str, timeout_s: float = 20.0, **args: Any) -> Future[Answered]:
        return self.ask(CallFunction(f"pipelines:{name}", pack(args)), timeout_s)

    def wait(self, *futures: Future[Any]) -> None:
        deadline = time.monotonic() + 40
        while not all(future.done() for future in futures):
            assert time.monotonic() < deadline, "no answer"
            self.executor.poll(1.0)

    def answer(self, future: Future[Answered]) -> Any:
        self.wait(future)
        return future.result().answer


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("HUNTER", "hunter22secret")
    stage = Stage(tmp_path / "small")
    yield stage
    stage.executor.close(kill=True)


def test_a_function_is_called_and_what_it_printed_comes_with_its_answer(stage: Stage) -> None:
    future = stage.call("add", a=1, b=2)
    stage.wait(future)
    answered = future.result()
    assert isinstance(answered.answer, Returned)
    assert unpack(answered.answer.value) == 3
    assert answered.output == "adding 1 2\nlogged\n"


def test_output_is_bounded(stage: Stage) -> None:
    future = stage.call("chatty")
    stage.wait(future)
    assert len(future.result().output) < 20_000
    assert future.result().output.endswith("more characters were cut off")


def test_secrets_are_masked_in_output_and_failures(stage: Stage) -> None:
    future = stage.call("secret")
    stage.wait(future)
    failure = future.result().failure
    assert failure is not None
    assert failure.message == "***"
    assert "hunter22secret" not in failure.traceback + future.result().output


def test_a_function_that_exits_ends_only_itself(stage: Stage) -> None:
    future, other = stage.call("leave"), stage.call("add", a=1, b=1)
    stage.wait(future, other)
    failure = future.result().failure
    assert failure is not None
    assert "SystemExit" in failure.message
    assert other.result().failure is None


def test_a_function_that_takes_too_long_is_answered_for_and_holds_up_nobody(stage: Stage) -> None:
    stage.wait(stage.call("add", a=1, b=2))
    began = time.monotonic()
    slow = [stage.call("hang", timeout_s=0.3) for _ in range(8)]
    quick = stage.call("add", a=2, b=2)
    stage.wait(quick)
    assert time.monotonic() - began < 10
    stage.wait(*slow)
    assert {future.result().failure.cause for future in slow} == {"timeout"}  # type: ignore[union-attr]


def test_an_evaluator_with_too_many_functions_that_do_not_end_is_replaced(stage: Stage) -> None:
    slow = [stage.call("hang", timeout_s=0.1) for _ in range(8)]
    stage.wait(*slow)
    before = stage.executor.evaluator._links["small"]
    again = stage.call("add", a=2, b=2)
    stage.wait(again)
    assert again.result().stuck == 0
    assert stage.executor.evaluator._links["small"] is not before


def test_coroutines_wait_together_and_are_cancelled_in_time(stage: Stage) -> None:
    stage.wait(stage.call("add", a=1, b=2))
    began = time.monotonic()
    futures = [stage.call("wait", seconds=0.5) for _ in range(200)]
    late = stage.call("wait", timeout_s=0.2, seconds=30)
    stage.wait(*futures, late)
    assert time.monotonic() - began < 15  # 200 x 0.5 s one after the other would be 100 s
    assert all(future.result().output == "waiting 0.5\n" for future in futures)
    assert late.result().failure.cause == "timeout"  # type: ignore[union-attr]
    assert late.result().stuck == 0


def test_a_coroutine_that_blocks_its_loop_is_left_behind_and_others_go_on(stage: Stage) -> None:
    blocking = stage.call("block", timeout_s=0.2)
    plain = stage.call("add", a=1, b=2)
    stage.wait(blocking, plain)
    after = stage.call("wait", seconds=0.01)
    stage.wait(after)
    assert blocking.result().failure.cause == "timeout"  # type: ignore[union-attr]
    assert unpack(after.result().answer.value) == 0.01  # type: ignore[union-attr]


def test_one_that_kills_the_evaluator_fails_alone(stage: Stage, tmp_path: Path) -> None:
    import os

    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # Given: functions that are under way when another one kills the process.
    innocent = [stage.call("hold", fifo=str(fifo)) for _ in range(2)]
    deadly = stage.call("crash")
    # When: the deadly one was found out.
    stage.wait(deadly)
    error = deadly.exception()
    assert isinstance(error, ExecutorError)
    assert "killed by signal 9" in error.message
    # Then: the others are asked again, and end.
    import threading

    def feed() -> None:
        while not all(future.done() for future in innocent):
            with open(fifo, "w"):
                pass

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    stage.wait(*innocent)
    assert [future.result().failure for future in innocent] == [None, None]


def test_the_next_question_after_a_death_gets_a_new_evaluator(stage: Stage) -> None:
    deadly = stage.call("crash")
    stage.wait(deadly)
    assert deadly.exception() is not None
    again = stage.call("add", a=1, b=2)
    assert unpack(stage.answer(again).value) == 3


def test_own_timetables_mappings_and_resources(stage: Stage) -> None:
    noon = stage.answer(stage.ask(NextInstants("pipelines:each_noon", 0.0, 3)))
    assert noon == Instants((43200.0, 129600.0, 216000.0))
    wrong = stage.ask(NextInstants("pipelines:backwards", 0.0, 3))
    stage.wait(wrong)
    assert "must go forward" in wrong.result().failure.message  # type: ignore[union-attr]
    mapped = stage.answer(stage.ask(MapPartitions("pipelines:twice", ("x", "y"))))
    assert mapped == MappedPartitions((("x-a", "x-b"), ("y-a", "y-b")))
    assert stage.answer(stage.ask(TestResource("pipelines:works"))) == ResourceTested(works=True)
    assert stage.answer(stage.ask(TestResource("pipelines:does_not"))) == ResourceTested(False, "no route to host")


def test_parameters_are_bound_without_waiting(stage: Stage) -> None:
    good = bind(stage.executor.evaluator, "small", "all_of_it", {"count": "3"})
    bad = bind(stage.executor.evaluator, "small", "all_of_it", {"count": "many"})
    stage.wait(good, bad)
    assert {name: unpack(value) for name, value in good.result().items()} == {"count": 3}
    assert isinstance(bad.exception(), ParamError)
    none = stage.answer(stage.ask(BindParams("nothing", pack({}))))
    assert isinstance(none, BoundParams)
    assert "there is no pipeline `nothing`" in none.problems[0].message


def test_an_unknown_function_and_an_unknown_project_are_told(stage: Stage) -> None:
    missing = stage.call("missing")
    stage.wait(missing)
    assert "has no function" in missing.result().failure.message  # type: ignore[union-attr]
    elsewhere = stage.executor.evaluator.ask("elsewhere", CallFunction("x"))
    assert isinstance(elsewhere.exception(), ExecutorError)


def test_what_is_open_when_the_executor_closes_fails(stage: Stage) -> None:
    open_one = stage.call("hang")
    stage.executor.poll(0.1)
    stage.executor.close(kill=True)
    assert isinstance(open_one.exception(timeout=0), ExecutorError)
