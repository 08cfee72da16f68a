"""The lines of a run without a terminal, from a machine that is driven by hand."""

from __future__ import annotations

import io

from partita.cli.lines import Lines
from partita.cli.terminal import Out
from partita.core.graph import Graph, Step

from .driven import Driven, mapped


def lines_of(run: Driven, now: float = 5.0) -> tuple[Lines, io.StringIO]:
    stream = io.StringIO()
    return Lines(run.watch, Out(stream), lambda: now), stream


def told(stream: io.StringIO) -> list[str]:
    """What was told, without the time of the day."""
    return [line.split(" ", 1)[1] for line in stream.getvalue().splitlines()]


def test_a_map_is_told_as_a_whole_and_its_failures_one_by_one() -> None:
    run = Driven(mapped(3))
    lines, stream = lines_of(run)
    for index in ("0", "1", "2"):
        run.start("load", index)
        run.end("load", index, fail="no" if index == "0" else "")
        lines.draw()
    assert told(stream)[0] == "■ load[0] failed (attempt 1): ValueError: no"
    assert [line for line in told(stream) if "×3 ended" in line] == ["■ load ×3 ended in 1.0 s: 1 failed, 2 succeeded"]


def test_many_steps_that_cannot_run_are_one_line() -> None:
    graph = Graph("g", (Step("load"), *(Step(f"use{i}", needs=("load",)) for i in range(38))))
    run = Driven(graph)
    lines, stream = lines_of(run)
    run.start("load")
    run.end("load", fail="no")
    lines.draw()
    blocked = [line for line in told(stream) if line.startswith("▨")]
    assert blocked == ["▨ 38 steps upstream failed: use0, use1, use2, use3 and 34 more"]


def test_a_silent_run_says_how_far_it_is_every_few_seconds() -> None:
    run = Driven(mapped(3))
    stream = io.StringIO()
    clock = [10.0]
    lines = Lines(run.watch, Out(stream), lambda: clock[0])
    run.start("train", at=9.0)
    lines.draw()
    clock[0] = 16.0
    lines.draw()
    lines.draw()
    assert told(stream) == ["◐ 0/5   ◐ 1 running   ○ 4 waiting   now: train for 7.0 s"]
