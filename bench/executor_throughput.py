"""No-op tickets through the process executor, beside the same no-op through a bare process pool, in one run.

    python bench/executor_throughput.py [tickets] [repeats]

Nothing is committed here: this is the executor alone, the cost per ticket of place, submit and poll in the engine's
thread, and the throughput with two workers.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from partita.core.plain import pack
from partita.core.policies import Policies
from partita.core.values import Value, Whole
from partita.executors.contract import Assignment, Demand, Ended
from partita.executors.loading import start_host
from partita.executors.processes import ProcessExecutor
from partita.settings import Settings
from partita.worker.wire import Brief, Ticket

PROJECT = """
import partita as pt

@pt.task
def noop(i: int) -> int:
    return i

@pt.pipeline
def bench():
    noop(1)
"""


def noop(i: int) -> int:
    return i


def bare(pool: ProcessPoolExecutor, count: int) -> float:
    began = time.perf_counter()
    for future in [pool.submit(noop, i) for i in range(count)]:
        future.result()
    return time.perf_counter() - began


def ours(executor: ProcessExecutor, project: str, call: str, count: int, brief_no: int) -> tuple[float, float]:
    """Seconds for all tickets, and processor seconds of this thread."""
    policies = Policies()
    demand = Demand(project, call, policies)
    brief = Brief(brief_no, "run", 1, "default", "bench", "noop", call)
    inputs = [pack(i) for i in range(count)]
    base = brief_no * 10_000_000
    began, cpu = time.perf_counter(), time.thread_time()
    sent = ended = 0
    while ended < count:
        batch = []
        while sent < count and (placement := executor.place(demand)):
            data = inputs[sent]
            ticket = Ticket(base + sent, brief_no, str(sent), 1, 1, {"i": Whole(Value("plain", len(data), data))})
            batch.append(Assignment(placement, brief, ticket, policies))
            sent += 1
        executor.submit(batch)
        for report in executor.poll(1.0):
            assert isinstance(report, Ended)
            assert report.outcome.state == "succeeded", report
            ended += 1
    return time.perf_counter() - began, time.thread_time() - cpu


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(2) as pool:
        Path(folder, "pipelines.py").write_text(PROJECT)
        host = start_host(Settings.of(Path(folder), workers=2), workers=2)
        manifest = host.manifest()
        executor = ProcessExecutor({manifest.project: host})
        call = manifest.pipelines[0].graph.steps[0].call
        bare(pool, 1000)
        ours(executor, manifest.project, call, 1000, 1)
        pairs = [(bare(pool, count), *ours(executor, manifest.project, call, count, 2 + i)) for i in range(repeats)]
        executor.close()
    bare_s, ours_s, cpu_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"bare pool      {count / bare_s:>10,.0f} tickets/s")
    print(f"executor       {count / ours_s:>10,.0f} tickets/s   {bare_s / ours_s:.1f}x")
    print(f"engine thread  {cpu_s / count * 1e6:>10.1f} us a ticket")


if __name__ == "__main__":
    main()
