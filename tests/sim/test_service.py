"""Some days of a whole service under faults: ticks, sensors, backfills, messages and limits keep their promises.

PARTITA_SERVICE_SEEDS says how many seeds the large test plays (default 300); `make sim` plays more.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from partita.core.graph import Graph, Step
from partita.core.manifest import Manifest, PipelineSpec, ScheduleSpec
from partita.store.contract import Store
from partita.store.sqlite import open_store

from .exam import check_edits, examine
from .service_bugs import SERVICE_BUGS
from .service_manifests import ZONES
from .service_marks import SERVICE_MARKS
from .service_reference import instants
from .service_world import ServiceWorld

SEEDS = int(os.environ.get("PARTITA_SERVICE_SEEDS", "300"))
CHUNK = max(1, SEEDS // 20)


def play(world: ServiceWorld) -> ServiceWorld:
    """Play it; what goes wrong names the seed."""
    try:
        world.play()
    except BaseException as error:
        error.add_note(f"seed {world.seed}: repeat with bench/sim.py --service-first {world.seed} --service-seeds 1")
        raise
    return world


@pytest.mark.parametrize("first", range(0, 12, 3))
def test_a_service_under_faults_keeps_its_promises_and_comes_to_an_end(first: int) -> None:
    for seed in range(first, first + 3):
        world = play(ServiceWorld(seed))
        assert world.store.events > 100
        assert world.facts > 50


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_many_services_under_faults(first: int) -> None:
    for seed in range(first, min(first + CHUNK, SEEDS)):
        play(ServiceWorld(seed))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_everything_that_the_simulation_is_there_to_see_is_seen() -> None:
    marks: Counter[str] = Counter()
    for seed in range(1000, 1060):
        marks.update(play(ServiceWorld(seed)).marks)
    assert not [mark for mark in SERVICE_MARKS if not marks[mark]]


def test_the_same_seed_gives_the_same_history_of_a_service() -> None:
    first, second = (play(ServiceWorld(8, hours=12.0)).store.history.hexdigest() for _ in range(2))
    assert first == second


def test_a_service_on_a_file_keeps_its_promises(tmp_path: Path) -> None:
    def opened(clock: Callable[[], float]) -> Store:
        return open_store(tmp_path / "partita.db", clock=clock)

    def opened_again(store: Store) -> Store:
        store.close()
        return opened(world.store_now)

    world = ServiceWorld(13, hours=8.0, open_store=opened, after_crash=opened_again)
    try:
        play(world)
    finally:
        world.store.inner.close()


def year(schedules: int) -> Manifest:
    """Schedules in many zones, each in the early hours in which clocks change."""
    dice = Random("a year")
    specs = []
    for n in range(schedules):
        rule = f"cron {dice.choice((0, 15, 30, 59))} {dice.choice(('1', '2', '3', '0,2', '1-3'))} * * *"
        specs.append(ScheduleSpec(f"s{n}", rule, dice.choice(_ZONES), catchup="all", overlap="allow"))
    return Manifest("shop", pipelines=(PipelineSpec("p", Graph("g", (Step("a"),)), schedules=tuple(specs)),))


_ZONES = (*ZONES, "Europe/London", "Africa/Cairo", "America/Havana", "Asia/Beirut", "Pacific/Auckland", "Atlantic/Azores",
          "America/Sao_Paulo", "Asia/Tokyo", "Australia/Adelaide", "Europe/Moscow", "Pacific/Chatham", "America/St_Johns",
          "Antarctica/Troll", "Asia/Gaza")  # fmt: skip


@pytest.mark.parametrize("schedules", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_the_plain_telling_of_a_year_in_twenty_zones_is_what_the_timetables_say(schedules: int) -> None:
    begin, end = 1_767_225_600, 1_767_225_600 + 366 * 86400
    for spec in year(schedules).pipelines[0].schedules:
        wanted = instants(spec.rule, spec.tz, begin, end)
        ticks = spec.timetable().ticks(begin - 1)
        assert tuple(next(ticks) for _ in wanted) == wanted, f"{spec.rule} {spec.tz}"


def test_every_seeded_bug_of_the_service_can_still_be_made() -> None:
    assert len(SERVICE_BUGS) >= 50
    assert len({bug.name for bug in SERVICE_BUGS}) == len(SERVICE_BUGS)
    check_edits(SERVICE_BUGS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_simulated_service_finds_the_seeded_bugs() -> None:
    found = examine(SERVICE_BUGS, seeds=40, processes=2, tell=lambda found: None, world="service")
    missed = [f.bug for f in found if not f.seeds]
    assert len(missed) <= len(SERVICE_BUGS) * 0.05, missed
    assert not [bug.name for bug in missed if bug.critical]
