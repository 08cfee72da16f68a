"""The picture of a run for a width and a height, from a machine that is driven by hand."""

from __future__ import annotations

from partita.cli.picture import picture
from partita.cli.styled import Line, width_of
from partita.cli.watching import RunWatch, Watch
from partita.core.events import AttemptEnded, AttemptStarted, Detail, Event, Failure, RunCreated, RunStarted
from partita.core.graph import Axis, Const, Graph, ListOf, Step
from partita.core.plain import pack
from partita.engine.active import ActiveRun
from partita.worker.wire import Progress


class Driven:
    """A run whose events a test makes, watched."""

    def __init__(self, graph: Graph, no: int = 1) -> None:
        created = RunCreated(
            at=0.0,
            run=f"r{no}",
            namespace="default",
            project="p",
            pipeline="nightly",
            graph="",
            code="",
            origin=f"o{no}",
        )
        self.active = ActiveRun(
            no=no, run=created, graph=graph, known=[], seq=1, stored=lambda run, asset: None, interval=("", "")
        )
        self.watch = Watch()
        self.watch.committed(self.active, [created])
        self.apply(RunStarted(at=1.0))

    def apply(self, event: Event) -> None:
        self.active.machine.apply(event)
        self.watch.committed(self.active, self.active.machine.take_journal())

    def start(self, step: str, index: str = "", attempt: int = 1, at: float = 2.0) -> None:
        self.apply(AttemptStarted(at, step, index, attempt, 1, "w"))

    def end(self, step: str, index: str = "", attempt: int = 1, at: float = 3.0, fail: str = "") -> None:
        detail = Detail(failure=Failure(fail, ("builtins.ValueError",))) if fail else None
        self.apply(AttemptEnded(at, step, index, attempt, 1, "failed" if fail else "succeeded", detail=detail))

    def lines(self, width: int = 100, height: int = 30, now: float = 10.0) -> list[str]:
        drawn = picture(self.watch, now, width, height, self.log_tail)
        assert len(drawn) <= height
        assert all(width_of(line) <= width for line in drawn)
        return ["".join(text for text, _ in line) for line in drawn]

    @staticmethod
    def log_tail(run: RunWatch, step: str, index: str, attempt: int, lines: int) -> list[Line]:
        return [[("│ ", "dim"), (f"log of {step}[{index}] {attempt}", "")]]


def mapped(count: int) -> Graph:
    items = ListOf(tuple(Const(pack(i)) for i in range(count)))
    return Graph("g", (Step("load", axes=("m",)), Step("sum", needs=("load",)), Step("train")), (Axis("m", (items,)),))


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
