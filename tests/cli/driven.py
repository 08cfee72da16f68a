"""A run whose events a test makes by hand, watched as the command line watches it."""

from __future__ import annotations

from partita.cli.picture import picture
from partita.cli.styled import Line, width_of
from partita.cli.watching import RunWatch, Watch
from partita.core.events import AttemptEnded, AttemptStarted, Detail, Event, Failure, RunCreated, RunStarted
from partita.core.graph import Axis, Const, Graph, ListOf, Step
from partita.core.plain import pack
from partita.engine.active import ActiveRun


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
