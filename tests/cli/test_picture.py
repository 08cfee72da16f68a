"""The picture of a run for a width and a height, from a machine that is driven by hand."""

from __future__ import annotations

from partita.cli.picture import picture
from partita.cli.watching import Watch
from partita.core.events import (
    RunCreated,
    RunStarted,
    StepReused,
    TimerDue,
)
from partita.core.graph import Graph, Step
from partita.core.known import Known
from partita.core.policies import Policies, Retry
from partita.engine.active import ActiveRun
from partita.worker.wire import Progress

from .driven import Driven, mapped


def test_a_mapped_step_has_a_bar_with_its_counts() -> None:
    run = Driven(mapped(50))
    for index in range(32):
        run.start("load", str(index))
        run.end("load", str(index))
    run.start("load", "32")
    lines = run.lines()
    assert lines[0].endswith("nightly  running  9.0 s   run 1")
    assert "32/52   ◐ 1 running   ○ 19 waiting   ● 32 succeeded" in lines[1]
    load = next(line for line in lines if "load" in line)
    assert "32/50" in load
    assert load.count("━") == 11
    assert lines[-1].strip() == "… 2 waiting"


def test_a_failed_step_is_first_with_its_error_and_the_end_of_its_log() -> None:
    run = Driven(mapped(3))
    run.start("train")
    run.start("load", "1")
    run.end("load", "1", fail="column is missing")
    lines = run.lines()[3:]
    assert lines[0].startswith("  ■ load")
    assert lines[1].strip() == "[1] ValueError: column is missing"
    assert lines[2].strip() == "│ log of load[1] 1"
    assert "train" in lines[3]


def test_progress_of_user_code_stands_beside_its_step() -> None:
    run = Driven(mapped(1))
    run.start("train")
    instance = run.active.machine.instance("train")
    assert instance is not None
    run.watch.progressed(run.active, instance, Progress(1, 3, 10, "epochs"))
    assert next(line for line in run.lines() if "train" in line).endswith("3/10 epochs")


def test_a_thousand_steps_fold_to_the_height_of_the_terminal() -> None:
    run = Driven(Graph("wide", tuple(Step(f"step_{i:04}") for i in range(1000))))
    for number in range(300):
        run.start(f"step_{number:04}")
    for number in range(100):
        run.end(f"step_{number:04}", fail="no" if number % 10 == 0 else "")
    for height in (3, 5, 8, 24, 60):
        lines = run.lines(height=height)
        assert lines[0].endswith("run 1")
        if height > 4:
            assert "more step" in lines[-1]


def test_several_runs_have_a_line_each() -> None:
    one, two = Driven(mapped(2), 1), Driven(mapped(2), 2)
    one.watch.runs.update(two.watch.runs)
    two.start("load", "0")
    two.end("load", "0", fail="no")
    lines = one.lines()
    assert lines[0].startswith("2 runs")
    assert sum("run 1" in line or "run 2" in line for line in lines) == 2
    assert any("ValueError: no" in line for line in lines)


def test_a_step_that_is_tried_again_says_so_until_it_runs_again() -> None:
    policies = Policies(retry=Retry(limit=1, delays_s=(60.0,)))
    run = Driven(Graph("g", (Step("load", policies=policies),)))
    run.start("load")
    run.end("load", at=3.0, fail="no")
    assert "↻ 1 retrying" in run.lines()[1]
    assert run.lines(now=10.0)[3].endswith("↻ again in 53 s")
    run.apply(TimerDue(at=63.0))
    run.start("load", attempt=2, at=63.0)
    lines = run.lines(now=64.0)
    assert "retrying" not in lines[1]
    assert "◐ 1 running" in lines[1]
    assert lines[3].endswith("↻ attempt 2")


def test_steps_taken_over_from_an_earlier_run_are_done_from_the_start() -> None:
    graph = Graph("g", (Step("load"), Step("sum", needs=("load",))))
    created = RunCreated(
        at=0.0, run="r2", namespace="default", project="p", pipeline="nightly", graph="", code="", origin="o2"
    )
    reused = StepReused(at=0.5, step="load", index="", from_run="r1")
    known = [Known("load", "", "succeeded")]
    active = ActiveRun(
        no=2, run=created, graph=graph, known=known, seq=1, stored=lambda run, asset: None, interval=("", "")
    )
    watch = Watch()
    watch.committed(active, [created, reused])
    active.machine.apply(RunStarted(at=1.0))
    watch.committed(active, active.machine.take_journal())
    lines = ["".join(text for text, _ in line) for line in picture(watch, 2.0, 100, 20, Driven.log_tail)]
    assert "1/2   ○ 1 waiting   ● 1 succeeded" in lines[1]
    assert any("load" in line and line.endswith("taken over") for line in lines)
