"""What the core alone costs: µs an event and bytes a step, for three shapes of graph at three sizes.

A step is two events (its attempt starts, its attempt ends with a small value); the time includes making them, and taking
the journal away every 64 steps as the engine does. The memory is what machine and graph hold when the run has ended.

    python bench/core_events.py [--sizes 1000 10000 100000] [--json]
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
import tracemalloc
from collections import deque

from partita.core import plain
from partita.core.commands import Offer
from partita.core.events import AttemptEnded, AttemptStarted, RunCreated, RunStarted
from partita.core.graph import Axis, Element, Graph, Output, Step
from partita.core.machine import RunMachine
from partita.core.values import Value

AT = 1.79e9
WORKER = "a-host-name:12345:1234567.12"
TURN = 64
LAYER = 50


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    args.add_argument("--repeat", type=int, default=3)
    args.add_argument("--json", action="store_true", help="print the figures as JSON and nothing else")
    chosen = args.parse_args()
    figures = []
    for shape in SHAPES:
        for size in chosen.sizes:
            figures.append(_figure(shape, size, chosen.repeat))
            if not chosen.json:
                _print_row(figures[-1], is_first=len(figures) == 1)
    if chosen.json:
        print(json.dumps(figures))


def fan_out(size: int) -> Graph:
    """One step, a map over its result, and one step that gathers them."""
    return Graph(
        "fan_out",
        (
            Step("list"),
            Step("work", needs=("list",), args=(("x", Element("work")),), axes=("work",)),
            Step("gather", needs=("work",), args=(("xs", Output("work")),)),
        ),
        (Axis("work", (Output("list"),)),),
    )


def chain(size: int) -> Graph:
    """Each step needs the one before it."""
    steps = [Step("s0")]
    for i in range(1, size):
        steps.append(Step(f"s{i}", needs=(f"s{i - 1}",), args=(("x", Output(f"s{i - 1}")),)))
    return Graph("chain", tuple(steps))


def layers(size: int) -> Graph:
    """Layers of 50 steps, each of which needs three of the layer before it."""
    steps: list[Step] = []
    for i in range(size):
        layer, place = divmod(i, LAYER)
        before = [f"s{(layer - 1) * LAYER + (place + d) % LAYER}" for d in range(3)] if layer else []
        steps.append(Step(f"s{i}", needs=tuple(before)))
    return Graph("layers", tuple(steps))


SHAPES = {"fan-out": fan_out, "chain": chain, "layers": layers}


def _figure(shape: str, size: int, repeat: int) -> dict[str, object]:
    times = [_time_run(SHAPES[shape](size), size) for _ in range(repeat)]
    return {
        "shape": shape,
        "steps": size,
        "us_per_event": round(statistics.median(us for us, _ in times), 2),
        "setup_us_per_step": round(statistics.median(us for _, us in times), 2),
        "bytes_per_step": round(_memory_of_run(shape, size)),
    }


def _time_run(graph: Graph, size: int) -> tuple[float, float]:
    """µs an event once the run has started, and µs a step to build the machine and start the run."""
    gc.collect()
    began = time.perf_counter()
    machine = RunMachine(graph, _run())
    offers = _offers(machine.apply(RunStarted(AT)))
    started = time.perf_counter()
    events = _drive(machine, offers, size)
    ended = time.perf_counter()
    return (ended - started) / events * 1e6, (started - began) / size * 1e6


def _memory_of_run(shape: str, size: int) -> float:
    gc.collect()
    tracemalloc.start()
    graph = SHAPES[shape](size)
    machine = RunMachine(graph, _run())
    _drive(machine, _offers(machine.apply(RunStarted(AT))), size)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / size


def _drive(machine: RunMachine, offers: deque[Offer], size: int) -> int:
    """Let every step succeed; the number of events."""
    listed = Value("plain", size, plain.pack(list(range(min(size, 10)))), length=size)
    small = Value("plain", 6, plain.pack("hello"))
    apply = machine.apply
    events = 0
    while offers:
        for _ in range(min(TURN, len(offers))):
            offer = offers.popleft()
            value = listed if offer.step == "list" else small
            apply(AttemptStarted(AT, offer.step, offer.index, 1, 1, WORKER))
            commands = apply(AttemptEnded(AT, offer.step, offer.index, 1, 1, "succeeded", value, None, AT, AT))
            offers.extend(c for c in commands if type(c) is Offer)
            events += 2
        machine.take_journal()
    assert machine.state == "succeeded", machine.state
    return events


def _offers(commands: list[object]) -> deque[Offer]:
    return deque(c for c in commands if type(c) is Offer)


def _run() -> RunCreated:
    return RunCreated(AT, run="run", namespace="default", project="p", pipeline="p", graph="g", code="c", origin="o")


def _print_row(figure: dict[str, object], *, is_first: bool) -> None:
    if is_first:
        print(f"{'shape':8} {'steps':>8} {'µs an event':>12} {'µs a step to start':>19} {'bytes a step':>13}")
    print(
        f"{figure['shape']:8} {figure['steps']:>8} {figure['us_per_event']:>12} {figure['setup_us_per_step']:>19} "
        f"{figure['bytes_per_step']:>13}"
    )


if __name__ == "__main__":
    main()
