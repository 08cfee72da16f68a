"""What every executor must do, as tests that anybody can run against their own.

Write a fixture `stage` that yields a `Stage` over a new executor which has loaded the project of `make_project`, and take over the
classes that apply:

    from partita.executors.conformance import Answers, Kills

    class TestMine(Answers, Kills):
        @pytest.fixture
        def stage(self, tmp_path): ...

`Answers` is for all. `Kills` needs steps that can be ended from outside, `Deaths` a process per worker, `Logs` logs in
files of the project's home, `Coroutines` async steps.

Rule: behaviour only; what is asked for here is in the words of `contract.py`.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from partita.core.plain import pack
from partita.core.policies import Policies
from partita.core.values import Input, Part, Value, Whole
from partita.executors.contract import Assignment, Demand, Ended, Executor, Placement, Report
from partita.settings import Home
from partita.values import storing
from partita.values.object_blobs import blobs_of
from partita.worker.logs import log_end, read_log
from partita.worker.wire import Brief, Outcome, Progress, Ticket

# For a machine of others that is slow; what is right takes a moment.
PATIENCE_S = 60.0
PLAIN = Policies()


def make_project(folder: Path) -> Path:
    """Make the project that the tests run in this folder; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).with_name("conformance_project.py").read_text()
    (folder / "pipelines.py").write_text(source)
    (folder / "pyproject.toml").write_text('[tool.partita]\nname = "conformance"\n')
    return folder


class Stage:
    """An executor and what it takes to put steps on it, one call a line."""

    def __init__(self, executor: Executor, home: Home, project: str = "conformance", module: str = "pipelines") -> None:
        self.executor = executor
        self.home = home
        self.project = project
        self.outcomes: dict[int, Outcome] = {}
        self.reports: list[Report] = []
        # How often each ticket was said to have ended.
        self.ends: Counter[int] = Counter()
        self._module = module
        self._briefs: dict[tuple[str, Policies], Brief] = {}
        self._tasks: dict[int, str] = {}
        self._no = 0

    def begin(self, task: str, policies: Policies = PLAIN, **inputs: Any) -> int:
        """Place and submit one step; the number of its ticket. Waits for room."""
        assignment = self.assignment(task, policies, inputs)
        self.executor.submit([assignment])
        return assignment.ticket.no

    def run(self, task: str, policies: Policies = PLAIN, **inputs: Any) -> Outcome:
        """Perform one step."""
        return self.outcome(self.begin(task, policies, **inputs))

    def run_many(
        self, task: str, count: int, policies: Policies = PLAIN, *, with_number: bool = True, **inputs: Any
    ) -> list[Outcome]:
        """Perform many steps of one task, as many at a time as there is room for, each with its number as `i`."""
        numbers: list[int] = []
        deadline = time.monotonic() + 2 * PATIENCE_S
        while len(numbers) < count or any(no not in self.outcomes for no in numbers):
            batch: list[Assignment] = []
            while len(numbers) < count:
                assignment = self._try(task, policies, {**inputs, "i": len(numbers)} if with_number else inputs)
                if assignment is None:
                    break
                batch.append(assignment)
                numbers.append(assignment.ticket.no)
            self.executor.submit(batch)
            self.poll()
            assert time.monotonic() < deadline, f"{len(self.outcomes)} of {count} have ended"
        return [self.outcomes[no] for no in numbers]

    def assignment(self, task: str, policies: Policies, inputs: dict[str, Any]) -> Assignment:
        """A placed ticket."""
        deadline = time.monotonic() + PATIENCE_S
        while (assignment := self._try(task, policies, inputs)) is None:
            assert time.monotonic() < deadline, f"no room for {task}"
            self.poll()
        return assignment

    def outcome(self, no: int) -> Outcome:
        """Wait for the end of a ticket."""
        self.wait_until(lambda: no in self.outcomes, f"ticket {no} to end")
        return self.outcomes[no]

    def value(self, outcome: Outcome) -> Any:
        """The result of a step."""
        assert outcome.state == "succeeded", outcome
        assert outcome.value is not None
        return storing.decode(outcome.value, blobs_of(self.home))

    def poll(self, timeout_s: float = 0.1) -> None:
        """Take in what has happened."""
        for report in self.executor.poll(timeout_s):
            self.reports.append(report)
            if isinstance(report, Ended):
                self.ends[report.outcome.no] += 1
                self.outcomes.setdefault(report.outcome.no, report.outcome)

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Poll until something is true."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            self.poll(0.02)

    def wait_for_file(self, path: Path) -> None:
        """Poll until user code has made a file."""
        self.wait_until(path.exists, f"{path} to exist")

    def log(self, no: int) -> list[str]:
        """The lines of a ticket's log, once it is closed."""
        place = (1, self._tasks[no], str(no), 1)
        self.wait_until(lambda: log_end(self.home, *place) is not None, f"the log of ticket {no} to be closed")
        return [line.text for line in read_log(self.home, *place)]

    def said(self, no: int) -> list[tuple[float, float, str]]:
        """What a ticket has said of its progress."""
        return [(r.done, r.total, r.text) for r in self.reports if isinstance(r, Progress) and r.no == no]

    def _try(self, task: str, policies: Policies, inputs: dict[str, Any]) -> Assignment | None:
        call = f"{self._module}:{task}"
        placement = self.executor.place(Demand(self.project, call, policies))
        if placement is None:
            return None
        self._no += 1
        self._tasks[self._no] = task
        brief = self._brief(task, call, policies)
        given = {name: as_input(value) for name, value in inputs.items()}
        ticket = Ticket(self._no, brief.id, index=str(self._no), attempt=1, epoch=1, inputs=given)
        return Assignment(placement, brief, ticket, policies, self.project)

    def _brief(self, task: str, call: str, policies: Policies) -> Brief:
        known = self._briefs.get((task, policies))
        if known is None:
            known = self._briefs[task, policies] = Brief(
                id=len(self._briefs) + 1,
                run="run-1",
                run_no=1,
                namespace="default",
                pipeline="conformance",
                step=task,
                call=call,
                timeout_s=policies.timeout_s,
                memory_bytes=policies.memory_bytes,
                asynchronous=policies.asynchronous,
            )
        return known


def as_input(value: Any) -> Input:
    """A value as a ticket carries it; stored values and inputs go through as they are."""
    if isinstance(value, Value):
        return Whole(value)
    if isinstance(value, Input):
        return value
    data = pack(value)
    return Whole(Value("plain", len(data), data, length=len(value) if isinstance(value, list) else None))


class Answers:
    """Outcomes of steps, and the bookkeeping of places. For every executor."""

    def test_a_result_comes_back(self, stage: Stage) -> None:
        outcome = stage.run("double", i=21)
        assert stage.value(outcome) == 42
        assert 0 < outcome.began_at <= outcome.ended_at

    def test_an_exception_comes_back_as_plain_data(self, stage: Stage) -> None:
        outcome = stage.run("fail", i=1)
        assert outcome.state == "failed"
        failure = _failure(outcome)
        assert failure.cause == "exception"
        assert "no luck with 1" in failure.message
        assert any(name.endswith("ValueError") for name in failure.types)
        assert "pipelines.py" in failure.traceback

    def test_a_step_that_does_not_exist_fails_and_hurts_no_other(self, stage: Stage) -> None:
        assert stage.run("not_there", i=1).state == "failed"
        assert stage.value(stage.run("double", i=4)) == 8

    def test_an_exception_whose_text_raises_is_still_an_answer(self, stage: Stage) -> None:
        assert stage.run("fail_without_text").state == "failed"

    def test_a_result_that_cannot_be_stored_is_a_failure(self, stage: Stage) -> None:
        outcome = stage.run("return_a_lock")
        assert outcome.state == "failed"
        assert _failure(outcome).cause == "not_storable"

    def test_a_large_value_goes_by_reference(self, stage: Stage) -> None:
        made = stage.run("make_list", i=50_000)
        assert made.value is not None
        assert made.value.ref is not None
        assert made.value.data is None
        assert stage.value(stage.run("total", values=made.value)) == sum(range(50_000))

    def test_an_element_of_a_list_is_an_input(self, stage: Stage) -> None:
        made = stage.run("make_list", i=10)
        assert made.value is not None
        assert made.value.length == 10
        assert stage.value(stage.run("double", i=Part(made.value, 7))) == 14

    def test_each_of_many_tickets_ends_exactly_once(self, stage: Stage) -> None:
        outcomes = stage.run_many("double", 500)
        assert [stage.value(outcome) for outcome in outcomes] == [2 * i for i in range(500)]
        stage.poll(0.0)
        assert set(stage.ends.values()) == {1}

    def test_a_place_that_is_given_back_is_free_again(self, stage: Stage) -> None:
        # given as many places as there are
        demand = Demand(stage.project, "pipelines:double", Policies(on_lost="fail"))
        stage.run("double", i=1)
        placements: list[Placement] = []
        stage.wait_until(lambda: _fill(stage, demand, placements), "the executor to be full")
        # when one is given back
        stage.executor.unplace(placements.pop())
        # then there is one, and one only
        again = stage.executor.place(demand)
        assert again is not None
        assert stage.executor.place(demand) is None
        for placement in [*placements, again]:
            stage.executor.unplace(placement)

    def test_progress_is_reported(self, stage: Stage) -> None:
        no = stage.begin("progress")
        stage.outcome(no)
        # From another machine the last of it may come right after the end.
        stage.wait_until(lambda: stage.said(no)[-1:] == [(2.0, 2.0, "both")], "the progress to be told")

    def test_poll_returns_when_it_is_woken(self, stage: Stage) -> None:
        stage.executor.wake()
        began = time.monotonic()
        stage.executor.poll(PATIENCE_S)
        assert time.monotonic() - began < PATIENCE_S / 2

    def test_killing_a_ticket_that_has_ended_does_nothing(self, stage: Stage) -> None:
        no = stage.begin("double", i=1)
        stage.outcome(no)
        stage.executor.kill(no, reason="cancelled")
        assert stage.value(stage.run("double", i=2)) == 4
        assert stage.ends[no] == 1

    def test_closing_twice_does_nothing(self, stage: Stage) -> None:
        stage.run("double", i=1)
        stage.executor.close()
        stage.executor.close()

    def test_every_worker_can_be_described(self, stage: Stage) -> None:
        stage.run("double", i=1)
        assert all(isinstance(line, str) and line for line in stage.executor.describe())


class Coroutines:
    """Async steps."""

    def test_coroutines_wait_together(self, stage: Stage) -> None:
        policies = Policies(asynchronous=True)
        began = time.monotonic()
        outcomes = stage.run_many("wait_a_little", 200, policies)
        took = time.monotonic() - began
        assert all(stage.value(outcome) is True for outcome in outcomes)
        # One after the other they would take as long as all their waits.
        assert took < sum(outcome.ended_at - outcome.began_at for outcome in outcomes) / 2

    def test_a_coroutine_that_fails_hurts_no_other(self, stage: Stage) -> None:
        policies = Policies(asynchronous=True)
        waits = stage.begin("wait_a_little", policies, i=1)
        fails = stage.begin("fail_async", policies)
        assert stage.outcome(fails).state == "failed"
        assert stage.outcome(waits).state == "succeeded"

    def test_a_coroutine_ends_at_its_timeout(self, stage: Stage) -> None:
        outcome = stage.run("wait_for_ever", Policies(asynchronous=True, timeout_s=0.2))
        assert outcome.state == "timed_out"


class Kills:
    """Steps that are ended from outside."""

    def test_a_running_step_can_be_cancelled(self, stage: Stage, tmp_path: Path) -> None:
        no = stage.begin("sleep_long", Policies(grace_s=5.0), mark=str(tmp_path / "began"))
        stage.wait_for_file(tmp_path / "began")
        stage.executor.kill(no, reason="cancelled")
        assert stage.outcome(no).state == "cancelled"
        # Its `finally` has run.
        assert (tmp_path / "began").read_text() == "cleaned up"

    def test_a_step_that_ignores_the_polite_end_is_ended_by_force(self, stage: Stage, tmp_path: Path) -> None:
        no = stage.begin("ignore_the_end", Policies(grace_s=0.3), mark=str(tmp_path / "began"))
        stage.wait_for_file(tmp_path / "began")
        asked_at = time.monotonic()
        stage.executor.kill(no, reason="cancelled")
        assert stage.outcome(no).state == "cancelled"
        # Not before its grace was over.
        assert time.monotonic() - asked_at > 0.25

    def test_a_step_ends_at_its_timeout(self, stage: Stage, tmp_path: Path) -> None:
        outcome = stage.run("sleep_long", Policies(timeout_s=0.3, grace_s=2.0), mark=str(tmp_path / "began"))
        assert outcome.state == "timed_out"
        failure = _failure(outcome)
        assert failure.cause == "timeout"
        assert "0.3 s" in failure.message
        assert stage.value(stage.run("double", i=3)) == 6

    def test_what_waits_behind_a_killed_step_is_refused_at_no_cost(self, stage: Stage, tmp_path: Path) -> None:
        # given a step that runs, and tickets that wait behind it wherever there is room
        first = stage.begin("sleep_long", Policies(grace_s=2.0), mark=str(tmp_path / "began"))
        stage.wait_for_file(tmp_path / "began")
        behind: list[int] = []
        while len(behind) < 10 and (a := stage._try("double", Policies(), {"i": 1})):
            stage.executor.submit([a])
            behind.append(a.ticket.no)
        # when it is killed
        stage.executor.kill(first, reason="cancelled")
        # then it alone is cancelled, and whatever had not begun can be begun elsewhere
        assert stage.outcome(first).state == "cancelled"
        states = {stage.outcome(no).state for no in behind}
        assert states <= {"succeeded", "refused"}
        assert all(
            _failure(stage.outcomes[no]).cause == "not_begun" for no in behind if stage.outcomes[no].state == "refused"
        )

    def test_a_cancelled_coroutine_ends_alone(self, stage: Stage, tmp_path: Path) -> None:
        policies = Policies(asynchronous=True)
        other = stage.begin("wait_a_little", policies, i=1)
        no = stage.begin("wait_for_ever", policies)
        stage.poll(0.1)
        stage.executor.kill(no, reason="cancelled")
        assert stage.outcome(no).state == "cancelled"
        assert stage.outcome(other).state == "succeeded"


class Deaths:
    """Workers that die."""

    def test_a_crash_of_user_code_is_its_failure(self, stage: Stage) -> None:
        outcome = stage.run("send_signal", number=int(signal.SIGSEGV))
        assert outcome.state == "failed"
        failure = _failure(outcome)
        assert (failure.cause, failure.signal) == ("signal", signal.SIGSEGV)
        assert "SIGSEGV" in failure.message

    def test_an_exit_of_user_code_is_its_failure(self, stage: Stage) -> None:
        outcome = stage.run("exit_hard", code=7)
        assert outcome.state == "failed"
        failure = _failure(outcome)
        assert (failure.cause, failure.exit_code) == ("exit", 7)

    def test_a_kill_from_outside_is_a_loss(self, stage: Stage) -> None:
        outcome = stage.run("send_signal", number=int(signal.SIGKILL))
        assert outcome.state == "lost"
        failure = _failure(outcome)
        assert (failure.cause, failure.signal) == ("signal", signal.SIGKILL)
        assert "killed by SIGKILL; peak memory" in failure.message

    def test_the_last_lines_of_a_dead_step_are_kept(self, stage: Stage) -> None:
        outcome = stage.run("say_and_die", text="the last words")
        assert "the last words" in _failure(outcome).traceback

    def test_a_death_costs_no_ticket_its_one_end(self, stage: Stage) -> None:
        outcomes = stage.run_many("die_at_thirteen", 40)
        states = Counter(outcome.state for outcome in outcomes)
        assert states["failed"] == 1
        assert states["succeeded"] + states["refused"] + states["lost"] == 39
        assert set(stage.ends.values()) == {1}
        assert stage.value(stage.run("double", i=5)) == 10

    def test_too_much_memory_ends_the_step_that_took_it(self, stage: Stage) -> None:
        outcome = stage.run("eat_memory_in_a_child", Policies(memory_bytes=64 << 20))
        assert outcome.state == "failed"
        failure = _failure(outcome)
        assert failure.cause == "out_of_memory"
        assert "limit 64 MiB" in failure.message


class Logs:
    """What steps write."""

    def test_print_logging_children_and_native_writes_are_kept(self, stage: Stage) -> None:
        no = stage.begin("write_everywhere", i=5)
        assert stage.outcome(no).state == "succeeded"
        lines = stage.log(no)
        for text in ("printed 5", "logged 5", "from a child 5", "native 5", "on stderr 5"):
            assert any(text in line for line in lines), (text, lines)

    def test_each_step_has_its_own_log(self, stage: Stage) -> None:
        stage.run_many("say", 50)
        for no in stage.outcomes:
            assert stage.log(no) == [f"I am {no - 1}", f"still {no - 1}"]

    def test_coroutines_have_their_own_logs(self, stage: Stage) -> None:
        stage.run_many("say_async", 20, Policies(asynchronous=True))
        for no in stage.outcomes:
            assert stage.log(no) == [f"I am {no - 1}", f"still {no - 1}"]


def _failure(outcome: Outcome) -> Any:
    assert outcome.detail is not None
    assert outcome.detail.failure is not None
    return outcome.detail.failure


def _fill(stage: Stage, demand: Demand, placements: list[Placement]) -> bool:
    """Take one more place; whether there was none although all workers are there."""
    placement = stage.executor.place(demand)
    if placement is not None:
        placements.append(placement)
        return False
    stage.poll(0.3)
    placement = stage.executor.place(demand)
    if placement is None:
        return bool(placements)
    placements.append(placement)
    return False
