"""Workers under bad treatment, and what the process executor makes of it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from partita.core.policies import Policies
from partita.errors import ExecutorError
from partita.executors.conformance import PLAIN, Stage
from partita.executors.contract import Demand
from partita.executors.identity import is_alive, name_of
from partita.settings import Settings
from partita.worker.logs import log_end

from .conftest import new_stage


@pytest.fixture
def stage_of(project: Path) -> Iterator[Callable[..., Stage]]:
    stages: list[Stage] = []

    def make(**changes: object) -> Stage:
        stages.append(new_stage(Settings.of(project, **{"workers": 2, **changes})))
        return stages[-1]

    yield make
    for stage in stages:
        stage.executor.close(kill=True)


def pids_of(stage: Stage) -> set[int]:
    return {worker.pid for crew in stage.executor.crews.values() for worker in crew.workers()}  # type: ignore[attr-defined]


def test_a_worker_killed_from_outside_in_the_middle_is_replaced(stage: Stage, tmp_path: Path) -> None:
    # given a step that runs
    no = stage.begin("sleep_long", mark=str(tmp_path / "began"))
    stage.wait_for_file(tmp_path / "began")
    busy = next(w for c in stage.executor.crews.values() for w in c.workers() if w.held)  # type: ignore[attr-defined]
    # when somebody kills its worker
    os.kill(busy.pid, signal.SIGKILL)
    # then it is lost, and the next steps run in others
    assert stage.outcome(no).state == "lost"
    assert {stage.value(o) for o in stage.run_many("double", 20)} == {2 * i for i in range(20)}


def test_grandchildren_that_ignore_the_end_are_gone_with_the_step(stage: Stage, tmp_path: Path) -> None:
    no = stage.begin("leave_a_grandchild", Policies(grace_s=0.2), mark=str(tmp_path / "child"))
    stage.wait_for_file(tmp_path / "child")
    grandchild = name_of(int((tmp_path / "child").read_text()))
    assert is_alive(grandchild)
    stage.executor.kill(no, reason="cancelled")
    assert stage.outcome(no).state == "cancelled"
    assert not is_alive(grandchild)


def test_a_grandchild_does_not_outlive_a_crash(stage: Stage, tmp_path: Path) -> None:
    no = stage.begin("leave_a_grandchild", mark=str(tmp_path / "child"))
    stage.wait_for_file(tmp_path / "child")
    grandchild = name_of(int((tmp_path / "child").read_text()))
    busy = next(w for c in stage.executor.crews.values() for w in c.workers() if w.held)  # type: ignore[attr-defined]
    os.kill(busy.pid, signal.SIGSEGV)
    assert stage.outcome(no).state == "failed"
    assert not is_alive(grandchild)


def test_a_flood_of_output_is_kept_whole_while_nobody_polls(stage: Stage) -> None:
    # 20 MB through a pipe of 1 MiB, and the engine looks only at the end.
    no = stage.begin("flood", count=180_000)
    stage.outcome(no)
    lines = stage.log(no)
    assert len(lines) == 180_000
    assert lines[0].startswith("line 0 ")
    assert lines[-1].startswith("line 179999 ")
    end = log_end(stage.home, 1, "flood", str(no), 1)
    assert end is not None
    assert end.state == "complete"


def test_an_isolated_step_has_a_process_of_its_own(stage: Stage) -> None:
    policies = Policies(isolation="process")
    warm = {stage.value(o) for o in stage.run_many("pid", 20, with_number=False)}
    fresh = [stage.value(stage.run("pid", policies)) for _ in range(2)]
    assert len({*fresh}) == 2
    assert warm.isdisjoint(fresh)


def test_no_more_processes_are_busy_than_there_are_workers(stage: Stage, tmp_path: Path) -> None:
    for i in range(2):
        stage.begin("wait_for", Policies(on_lost="fail"), mark=str(tmp_path / "go"), begun=str(tmp_path / f"begun{i}"))
    for i in range(2):
        stage.wait_for_file(tmp_path / f"begun{i}")
    fresh = Demand(stage.project, "pipelines:pid", Policies(isolation="process"))
    assert stage.executor.place(fresh) is None
    stage.poll(0.3)
    assert stage.executor.place(fresh) is None
    (tmp_path / "go").touch()
    stage.wait_until(lambda: len(stage.outcomes) == 2, "both to end")
    assert stage.run("pid", Policies(isolation="process")).state == "succeeded"


def test_a_worker_is_replaced_after_so_many_steps(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(workers=1, worker_max_steps=5)
    pids = [stage.value(stage.run("pid")) for _ in range(11)]
    assert [len({*pids[:5]}), len({*pids[5:10]}), len({*pids})] == [1, 1, 3]


def test_a_worker_that_rests_on_much_memory_is_replaced(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(workers=1, worker_max_rss_bytes=1)
    first = stage.value(stage.run("pid"))
    stage.executor._figures_at = 0.0  # type: ignore[attr-defined]
    stage.wait_until(lambda: first not in pids_of(stage), "the worker to go")
    assert stage.value(stage.run("pid")) != first


def test_tickets_behind_a_long_step_go_to_an_idle_worker(stage: Stage, tmp_path: Path) -> None:
    # given a lane that was quick until now
    stage.run_many("wait_for", 60, mark=str(tmp_path), begun=str(tmp_path / "quick"), with_number=False)
    # when a step of it is slow, with others of its lane behind it
    slow, others = [], []
    slow.append(stage.begin("wait_for", mark=str(tmp_path / "go"), begun=str(tmp_path / "slow")))
    stage.wait_for_file(tmp_path / "slow")
    while a := stage._try("wait_for", PLAIN, {"mark": str(tmp_path), "begun": str(tmp_path / "other")}):
        stage.executor.submit([a])
        others.append(a.ticket.no)
    assert len(others) > 1
    # then none of those waits for it: they end in the other worker, or come back to be begun anew
    stage.wait_until(lambda: all(no in stage.outcomes for no in others), "the others to end or come back")
    assert slow[0] not in stage.outcomes
    refused = [no for no in others if stage.outcomes[no].state == "refused"]
    assert refused
    assert {stage.outcomes[no].state for no in others} == {"succeeded", "refused"}
    # and what came back never began
    begun = (tmp_path / "other").read_text().count("begun")
    assert begun == len(others) - len(refused)
    (tmp_path / "go").touch()
    assert stage.outcome(slow[0]).state == "succeeded"


def test_when_the_host_dies_its_steps_are_lost_and_another_host_goes_on(stage: Stage, tmp_path: Path) -> None:
    no = stage.begin("sleep_long", mark=str(tmp_path / "began"))
    stage.wait_for_file(tmp_path / "began")
    host = stage.executor.crews[stage.project].connection  # type: ignore[attr-defined]
    workers = pids_of(stage)
    os.kill(host.pid, signal.SIGKILL)
    assert stage.outcome(no).state == "lost"
    assert all(name_of(pid) is None for pid in workers)
    assert stage.value(stage.run("double", i=2)) == 4


def test_a_project_whose_workers_cannot_live_is_an_error_and_not_a_loop(stage: Stage) -> None:
    # given a project that was changed so that another interpreter cannot import it
    project = stage.executor.crews[stage.project].settings.project  # type: ignore[attr-defined]
    (project / "pipelines.py").write_text("import os\nos._exit(4)\n")
    # when steps ask for a process of their own
    demand = Demand(stage.project, "pipelines:pid", Policies(isolation="process"))
    with pytest.raises(ExecutorError, match="die before they can do anything") as caught:
        stage.wait_until(lambda: stage.executor.place(demand) is not None, "a place")
    assert "exit code 4" in str(caught.value)


def test_threads_at_import_mean_interpreters_instead_of_forks(project: Path) -> None:
    source = (project / "pipelines.py").read_text()
    (project / "pipelines.py").write_text(
        source + "\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    stage = new_stage(Settings.of(project, workers=1))
    try:
        assert stage.value(stage.run("double", i=3)) == 6
        (pid,) = pids_of(stage)
        assert "partita.worker.main" in Path(f"/proc/{pid}/cmdline").read_text()
    finally:
        stage.executor.close(kill=True)


def test_an_unknown_project_is_an_error(stage: Stage) -> None:
    with pytest.raises(ExecutorError, match="no host for project 'other'"):
        stage.executor.place(Demand("other", "x", PLAIN))


def test_closing_with_kill_leaves_nothing(stage: Stage, tmp_path: Path) -> None:
    stage.begin("ignore_the_end", mark=str(tmp_path / "began"))
    stage.wait_for_file(tmp_path / "began")
    names = [name_of(pid) for pid in pids_of(stage)]
    stage.executor.close(kill=True)
    stage_is_gone = [name for name in names if is_alive(name)]
    assert stage_is_gone == []


def test_a_signal_for_the_engines_terminal_does_not_reach_user_code(stage: Stage) -> None:
    stage.run_many("double", 4)
    stage.wait_until(lambda: 0 not in pids_of(stage), "all workers to be there")
    sessions = {os.getsid(pid) for pid in pids_of(stage)}
    assert sessions == pids_of(stage)
    assert os.getsid(0) not in sessions


def test_a_step_that_must_be_alone_is_not_starved_by_a_stream_of_short_ones(stage: Stage) -> None:
    # given a stream of short steps that keeps all workers busy
    alone = Policies(on_lost="fail")
    stage.run_many("double", 300)
    placed: int | None = None
    for round_ in range(2000):
        batch = []
        while a := stage._try("double", PLAIN, {"i": round_}):
            batch.append(a)
        # when one that must be alone asks after them, each time
        if placed is None and (a := stage._try("pid", alone, {})):
            placed = a.ticket.no
            batch.append(a)
        stage.executor.submit(batch)
        stage.poll(0.01)
        if placed is not None and placed in stage.outcomes:
            break
    # then it is placed before long
    assert placed is not None
    assert stage.outcome(placed).state == "succeeded"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_under_random_kills_each_ticket_ends_once_and_what_was_refused_never_began(
    stage: Stage, tmp_path: Path, seed: int
) -> None:
    random, count, kills = Random(seed), 400, 6
    numbers: dict[int, int] = {}
    kill_at = sorted(random.sample(range(20, count - 20), kills))
    while len(numbers) < count or any(no not in stage.outcomes for no in numbers):
        batch = []
        while len(numbers) < count and (
            a := stage._try("note", PLAIN, {"i": len(numbers), "file": str(tmp_path / "begun")})
        ):
            numbers[a.ticket.no] = len(numbers)
            batch.append(a)
        stage.executor.submit(batch)
        stage.poll(0.05)
        while kill_at and len(stage.outcomes) >= kill_at[0]:
            kill_at.pop(0)
            living = [pid for pid in pids_of(stage) if pid and name_of(pid)]
            if living:
                # One that has just ended on its own is as good.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(random.choice(living), signal.SIGKILL)
    assert set(stage.ends.values()) == {1}
    begun = Counter(map(int, (tmp_path / "begun").read_text().split()))
    assert max(begun.values()) == 1
    for no, i in numbers.items():
        state = stage.outcomes[no].state
        assert state in ("succeeded", "refused", "lost")
        if state == "refused":
            assert i not in begun
        if state == "succeeded":
            assert i in begun
    # What was lost had begun, save for a step that was hit between its claim and its first line.
    lost = [i for no, i in numbers.items() if stage.outcomes[no].state == "lost"]
    assert sum(i not in begun for i in lost) <= kills
    assert sum(outcome.state == "succeeded" for outcome in stage.outcomes.values()) > count / 4


def test_a_ticket_that_waited_behind_others_has_its_timeout_from_its_own_beginning(
    stage_of: Callable[..., Stage], tmp_path: Path
) -> None:
    # given one worker, and a long timeout (such tickets may wait behind others) made short for the test
    stage = stage_of(workers=1)
    stage.run_many("double", 100)
    stage.executor.crews[stage.project].lanes.learn("pipelines:wait_for", 0.001)  # type: ignore[attr-defined]
    policies = Policies(timeout_s=10.0, grace_s=1.0)
    begun = str(tmp_path / "begun")
    first = stage.begin("wait_for", policies, mark=str(tmp_path / "one"), begun=begun)
    second = stage.begin("wait_for", policies, mark=str(tmp_path / "two"), begun=begun)
    (worker,) = [w for w in stage.executor.crews[stage.project].workers() if w.held]  # type: ignore[attr-defined]
    assert list(worker.held) == [first, second]
    stage.wait_for_file(tmp_path / "begun")
    # when the first ends late
    deadlines = stage.executor._deadlines  # type: ignore[attr-defined]
    (tmp_path / "one").touch()
    assert stage.outcome(first).state == "succeeded"
    # then the second is not due when it was submitted long ago, only when it has begun long ago
    deadlines[:] = [(0.0, no, w) for _, no, w in deadlines]
    stage.poll(0.2)
    assert second not in stage.outcomes
    assert deadlines[0][0] > worker.moved_at + 9.9
    worker.moved_at -= 10.0
    deadlines[:] = [(0.0, no, w) for _, no, w in deadlines]
    assert stage.outcome(second).state == "timed_out"
