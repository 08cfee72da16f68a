"""The large run of the simulation behind `make sim`: 10,000 seeds, their twins, 1,000 services, and the exams with seeded
bugs.

    python bench/sim.py [--seeds 10000] [--first 0] [--twins 1000] [--exam-seeds 200] [--processes 2] [--publish]
                        [--service-seeds 1000] [--service-first 0] [--service-exam-seeds 60]

Ends with 1 when an invariant does not hold, a mark was never hit, or too few of the seeded bugs were found. `--publish`
writes the figures of what was played into docs/reliability.md; a run of all of it does so by itself.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.sim.exam import Found, examine  # noqa: E402  (the tests are no package that is installed)
from tests.sim.marks import MARKS  # noqa: E402
from tests.sim.seeded_bugs import BUGS  # noqa: E402
from tests.sim.service_bugs import SERVICE_BUGS  # noqa: E402
from tests.sim.service_marks import SERVICE_MARKS  # noqa: E402
from tests.sim.service_world import ServiceWorld  # noqa: E402
from tests.sim.world import World  # noqa: E402

PAGE = ROOT / "docs" / "reliability.md"
# Of so many seeds each mark must have been hit; of fewer it may be chance.
ENOUGH = 300
FAILURES_SHOWN = 10


@dataclass
class Tally:
    """What one seed did, or many together."""

    seeds: int = 0
    events: int = 0
    turns: int = 0
    runs: int = 0
    engines: int = 0
    ticks: int = 0
    days: float = 0.0
    marks: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.seeds += other.seeds
        self.events += other.events
        self.turns += other.turns
        self.runs += other.runs
        self.engines += other.engines
        self.ticks += other.ticks
        self.days += other.days
        self.marks.update(other.marks)
        self.wrong += other.wrong


def main() -> int:
    chosen = _chosen()
    began = time.monotonic()
    histories = _over(play, range(chosen.first, chosen.first + chosen.seeds), chosen.processes, "histories")
    twins = _over(play_twins, range(chosen.first, chosen.first + chosen.twins), chosen.processes, "twins")
    found = _examine(chosen.exam_seeds, chosen.processes) if chosen.exam_seeds else []
    missing = [mark for mark in MARKS if not histories.marks[mark]] if chosen.seeds >= ENOUGH else []
    took = time.monotonic() - began
    print(*_figures(histories, twins, took, chosen.processes), sep="\n")
    services, of_service, service_took = _play_services(chosen)
    wrong = [*histories.wrong, *twins.wrong, *(f"never happened: {mark}" for mark in missing), *_exam_failures(found)]
    wrong += [*services.wrong, *_exam_failures(of_service)]
    if chosen.service_seeds >= ENOUGH:
        wrong += [f"never happened: {mark}" for mark in SERVICE_MARKS if not services.marks[mark]]
    for line in wrong:
        print(line, file=sys.stderr)
    if chosen.publish and not wrong:
        if histories.seeds:
            _publish(histories, twins, found, took, chosen.processes)
        if services.seeds:
            _publish_services(services, of_service, service_took, chosen.processes)
        print(f"written to {PAGE.relative_to(ROOT)}")
    return 1 if wrong else 0


def _play_services(chosen: argparse.Namespace) -> tuple[Tally, list[Found], float]:
    began = time.monotonic()
    seeds = range(chosen.service_first, chosen.service_first + chosen.service_seeds)
    services = _over(play_service, seeds, chosen.processes, "services")
    took = time.monotonic() - began
    print(*_service_figures(services, took, chosen.processes), sep="\n")
    if not chosen.service_exam_seeds:
        return services, [], took
    found = examine(
        SERVICE_BUGS, seeds=chosen.service_exam_seeds, processes=chosen.processes, tell=_tell_found, world="service"
    )
    return services, found, took


def play_service(seed: int) -> Tally:
    """Some days of a service."""
    world = ServiceWorld(seed)
    begin = world.clock.true
    again = "bench/sim.py --seeds 0 --twins 0 --exam-seeds 0 --service-exam-seeds 0 --service-seeds 1 --service-first"
    tally = _tally(world, _attempt(world.play, f"service {seed}: repeat with {again} {seed}"))
    tally.ticks = sum(len(schedule.decided) for schedule in world.told.schedules.values())
    tally.days = (world.clock.true - begin) / 86400
    return tally


def play(seed: int) -> Tally:
    """One world of 2,000 events and more."""
    world = World(seed)
    wrong = _attempt(
        world.play, f"seed {seed}: repeat with bench/sim.py --seeds 1 --first {seed} --twins 0 --exam-seeds 0"
    )
    return _tally(world, wrong)


def play_twins(seed: int) -> Tally:
    """The same runs with and without faults."""
    disturbed, calm = World(seed, runs=5), World(seed, runs=5, chaos=False)

    def compare() -> None:
        disturbed.play()
        calm.play()
        assert disturbed.run_states() == calm.run_states(), "L1: runs end otherwise under faults"
        assert disturbed.ends() == calm.ends(), "L1: steps end otherwise under faults"

    again = f"twins {seed}: repeat with bench/sim.py --seeds 0 --first {seed} --twins 1 --exam-seeds 0"
    return _tally(disturbed, _attempt(compare, again))


def _chosen() -> argparse.Namespace:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--seeds", type=int, default=10_000)
    args.add_argument("--first", type=int, default=0)
    args.add_argument("--twins", type=int, default=1000)
    args.add_argument("--exam-seeds", type=int, default=200, help="seeds to find each seeded bug with; 0 leaves it out")
    args.add_argument("--service-seeds", type=int, default=1000)
    args.add_argument("--service-first", type=int, default=0)
    args.add_argument("--service-exam-seeds", type=int, default=60)
    args.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    args.add_argument("--publish", action=argparse.BooleanOptionalAction, default=None)
    chosen = args.parse_args()
    if chosen.publish is None:
        chosen.publish = chosen.seeds >= 10_000 and chosen.twins > 0 and chosen.exam_seeds > 0
    return chosen


def _over(one: Callable[[int], Tally], seeds: Iterable[int], processes: int, name: str) -> Tally:
    """Play them all, and tell how far it is; stops when too much is wrong."""
    todo = list(seeds)
    total = Tally()
    began = told = time.monotonic()
    with ProcessPoolExecutor(processes) as pool:
        for done in pool.map(one, todo, chunksize=5):
            total.add(done)
            for line in done.wrong:
                print(line, flush=True)
            if len(total.wrong) >= FAILURES_SHOWN:
                pool.shutdown(cancel_futures=True)
                break
            if (now := time.monotonic()) - told > 10 or total.seeds == len(todo):
                told = now
                left = (now - began) / total.seeds * (len(todo) - total.seeds)
                print(
                    f"{name}: {total.seeds:,} of {len(todo):,}, {total.events:,} events, "
                    f"{len(total.wrong)} violations, {left:.0f} s left",
                    flush=True,
                )
    return total


def _attempt(action: Callable[[], None], again: str) -> list[str]:
    try:
        action()
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return [f"{again}\n  {type(error).__name__} in {where.name}: {error}"]
    return []


def _tally(world: World, wrong: list[str]) -> Tally:
    return Tally(1, world.store.events, world.turns, len(world.records), world.engines, marks=world.marks, wrong=wrong)


def _examine(seeds: int, processes: int) -> list[Found]:
    return examine(BUGS, seeds=seeds, processes=processes, tell=_tell_found)


def _tell_found(found: Found) -> None:
    told = f"found after {found.seeds} seeds by {found.by}" if found.seeds else "NOT FOUND"
    print(f"seeded bug: {found.bug.name}: {told}", flush=True)


def _exam_failures(found: list[Found]) -> list[str]:
    """At least 95 % of all, and every critical one, must have been found."""
    missed = [f for f in found if not f.seeds]
    wrong = [f"a critical seeded bug was not found: {f.bug.name}" for f in missed if f.bug.critical]
    if len(missed) > len(found) * 0.05:
        wrong.append(f"{len(missed)} of {len(found)} seeded bugs were not found: {[f.bug.name for f in missed]}")
    return wrong


# --- what is published ----------------------------------------------------------------------------------------------


def _figures(histories: Tally, twins: Tally, seconds: float, processes: int) -> list[str]:
    deaths = sum(histories.marks[mark] for mark in MARKS if mark.startswith("a crash"))
    return [
        f"- histories: {histories.seeds:,} seeds, {histories.events:,} journaled events, {histories.runs:,} runs",
        f"- turns of the engine's loop: {histories.turns:,}",
        f"- engines started: {histories.engines:,}; deaths at a chosen line: {deaths:,}",
        f"- crash equivalence: {twins.seeds:,} seeds, {twins.events:,} events, {twins.engines:,} engines started",
        f"- marks hit: {sum(bool(histories.marks[m]) for m in MARKS)} of {len(MARKS)}",
        f"- violations: {len(histories.wrong) + len(twins.wrong)}",
        f"- took {seconds / 60:.0f} min in {processes} processes, Python {platform.python_version()}",
    ]


def _publish(histories: Tally, twins: Tally, found: list[Found], seconds: float, processes: int) -> None:
    page = PAGE.read_text()
    page = _put(page, "figures", _figures(histories, twins, seconds, processes))
    marks = ["| what happened | times |", "| --- | ---: |", *(f"| {m} | {histories.marks[m]:,} |" for m in MARKS)]
    page = _put(page, "marks", marks)
    PAGE.write_text(_put(page, "seeded bugs", _table(found)))


def _service_figures(services: Tally, seconds: float, processes: int) -> list[str]:
    return [
        f"- services: {services.seeds:,} seeds, {services.days:,.0f} virtual days, {services.ticks:,} ticks decided",
        f"- runs: {services.runs:,}, {services.events:,} journaled events of theirs",
        f"- turns of the engine's loop: {services.turns:,}; engines started: {services.engines:,}",
        f"- marks hit: {sum(bool(services.marks[m]) for m in SERVICE_MARKS)} of {len(SERVICE_MARKS)}",
        f"- violations: {len(services.wrong)}",
        f"- took {seconds / 60:.0f} min in {processes} processes, Python {platform.python_version()}",
    ]


def _publish_services(services: Tally, found: list[Found], seconds: float, processes: int) -> None:
    page = _put(PAGE.read_text(), "service figures", _service_figures(services, seconds, processes))
    marks = [
        "| what happened | times |",
        "| --- | ---: |",
        *(f"| {m} | {services.marks[m]:,} |" for m in SERVICE_MARKS),
    ]
    page = _put(page, "service marks", marks)
    PAGE.write_text(_put(page, "service seeded bugs", _table(found)) if found else page)


def _table(found: list[Found]) -> list[str]:
    rows = [
        f"| {f.bug.name} | {'yes' if f.bug.critical else ''} | {f.seeds or 'not found'} | {f.by.replace('|', '/')} |"
        for f in found
    ]
    head = ["| seeded bug | critical | found by seed no. | what was seen first |", "| --- | --- | ---: | --- |"]
    caught = f"{sum(bool(f.seeds) for f in found)} of {len(found)} found."
    return [caught, "", *head, *rows]


def _put(page: str, name: str, lines: list[str]) -> str:
    """Replace what stands between two marks."""
    before, begin, rest = page.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->\n")
    if not begin or not end:
        raise ValueError(f"{PAGE} has no place for {name}")
    return before + begin + "\n".join(lines) + "\n" + end + after


if __name__ == "__main__":
    sys.exit(main())
