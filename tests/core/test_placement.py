"""Placement: what the machine has is never exceeded, what fits is not left waiting, nothing waits for ever."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from partita.core import placement
from partita.core.admission import Admission, Key, Lane
from partita.core.events import Failure
from partita.core.graph import Step
from partita.core.placement import PATIENCE_S, Capacity, Gpus
from partita.core.plan import Instance, Node
from partita.core.policies import Policies

GIB = 1 << 30
OOM = Failure("out_of_memory: 1.1 GiB, limit 1 GiB", cause="out_of_memory")


class Floor:
    """A machine with an admission, and lanes that ask for what their policies say."""

    def __init__(self, **amounts: int) -> None:
        self.admission = Admission()
        for name, n in amounts.items():
            self.admission.limit(("machine", name), n)
        self.now = 0.0

    def lane(self, name: str, **policies: object) -> Lane:
        asks = placement.asks(Policies(**policies))  # type: ignore[arg-type]
        return Lane(run=name, step="s", namespace="default", kind="sync", priority=0, asks=asks)

    def offer(self, lane: Lane, count: int = 1) -> None:
        for _ in range(count):
            instance = Instance(Node(Step(lane.step), 0), (), 0.0)
            instance.offered = True
            self.admission.offer(lane, instance)

    def start(self) -> list[str]:
        """Start what may; the names of the lanes, in order."""
        started = []
        for lane, instance, _ in self.admission.pick(lambda lane, instance: True, self.now):
            instance.offered = False
            self.admission.take(lane)
            started.append(lane.run)
        return started

    def wait(self, seconds: float) -> None:
        self.now += seconds
        assert self.start() == []

    def end(self, lane: Lane) -> list[str]:
        self.admission.release(lane)
        return self.start()


def test_steps_start_as_long_as_there_is_room_for_them() -> None:
    floor = Floor(cpu=8000, memory=15 * GIB)
    big, small = floor.lane("big", memory_bytes=12 * GIB), floor.lane("small", memory_bytes=2 * GIB, cpu=1.0)
    floor.offer(big)
    floor.offer(small, 3)
    assert floor.start() == ["big", "small"]
    assert str(floor.admission.refusal(small)) == "waits for 2 GiB of memory: 1 of 15 GiB are free"
    assert floor.end(big) == ["small", "small"]


def test_a_step_that_asks_for_several_things_takes_all_of_them_or_none() -> None:
    floor = Floor(cpu=2000, memory=4 * GIB, license=1000)
    first = floor.lane("first", cpu=1.0, resources=(("license", 1.0),))
    second = floor.lane("second", cpu=1.0, resources=(("license", 1.0),))
    floor.offer(first)
    floor.offer(second)
    assert floor.start() == ["first"]
    assert floor.admission.used[("machine", "cpu")] == 1000
    assert str(floor.admission.refusal(second)) == "waits for 1 of license: 0 of 1 are free"
    assert floor.end(first) == ["second"]


def test_what_asks_for_nothing_is_not_counted() -> None:
    floor = Floor(cpu=1000)
    busy, free = floor.lane("busy", cpu=1.0), floor.lane("free")
    floor.offer(busy)
    floor.offer(free, 3)
    assert Counter(floor.start()) == {"busy": 1, "free": 3}


def test_a_step_that_asks_for_more_than_there_is_never_waits() -> None:
    floor = Floor(cpu=2000, memory=4 * GIB)
    holder = floor.lane("holder", memory_bytes=4 * GIB)
    floor.offer(holder)
    floor.start()
    # Memory alone would refuse it for now; the cores do for ever.
    floor.offer(floor.lane("greedy", memory_bytes=GIB, cpu=64.0), 2)
    assert floor.start() == []
    unfit = floor.admission.take_unfit()
    assert [(lane.run, why) for lane, _, why in unfit] == [
        ("greedy", "it asks for 64 cores, and this machine has 2 cores in all: it can never start here")
    ] * 2
    assert floor.admission.take_unfit() == []


def test_what_the_capacity_does_not_name_is_not_there() -> None:
    floor = Floor(cpu=2000)
    floor.offer(floor.lane("lab", resources=(("license", 2.0),)))
    assert floor.start() == []
    assert "this machine has none" in floor.admission.take_unfit()[0][2]


def test_without_a_known_capacity_nothing_is_refused() -> None:
    floor = Floor()
    floor.offer(floor.lane("any", cpu=64.0, memory_bytes=900 * GIB), 2)
    assert floor.start() == ["any", "any"]


def test_a_capacity_that_grows_lets_those_start_who_waited() -> None:
    floor = Floor(cpu=1000)
    one = floor.lane("one", cpu=1.0)
    floor.offer(one, 2)
    assert floor.start() == ["one"]
    floor.admission.limit(("machine", "cpu"), 2000)
    assert floor.start() == ["one"]


def test_a_large_step_is_passed_by_smaller_ones_and_not_for_ever() -> None:
    floor = Floor(cpu=4000)
    small, large = floor.lane("small", cpu=1.0), floor.lane("large", cpu=4.0)
    floor.offer(small, 4)
    assert floor.start() == ["small"] * 4
    floor.offer(large)
    floor.offer(small, 100)
    assert floor.start() == []
    assert floor.end(small) == ["small"]
    floor.wait(PATIENCE_S)
    # From here on what becomes free is kept for it.
    started = [floor.end(small) for _ in range(4)]
    assert started == [[], [], [], ["large"]]
    told = str(floor.admission.refusal(small))
    assert told == "waits for 1 core: 0 of 4 are free"
    assert floor.end(large) == ["small"] * 4


def test_who_waits_for_room_that_is_kept_is_told_so() -> None:
    floor = Floor(cpu=4000)
    small, large = floor.lane("small", cpu=1.0), floor.lane("large", cpu=4.0)
    floor.offer(small, 4)
    floor.start()
    floor.offer(large)
    floor.offer(small)
    floor.start()
    floor.wait(PATIENCE_S)
    assert floor.end(small) == []
    assert floor.end(small) == []
    told = str(floor.admission.refusal(small))
    assert told == "waits for 1 core: 2 of 4 are free, and 4 cores kept for a step that has waited longer"


def test_nothing_is_kept_for_a_step_that_waits_for_something_else() -> None:
    floor = Floor(cpu=4000)
    pool: Key = ("pool", "default", "db")
    floor.admission.limit(pool, 1)
    small = floor.lane("small", cpu=1.0)
    large = floor.lane("large", cpu=4.0)
    large.asks = ((pool, 1), *large.asks)
    floor.offer(small, 4)
    floor.start()
    floor.offer(large)
    floor.start()
    floor.wait(PATIENCE_S)
    assert floor.end(small) == []
    floor.admission.limit(pool, 0)
    for _ in range(3):
        floor.end(small)
    floor.offer(small, 4)
    assert floor.start() == ["small"] * 4


def test_nothing_is_kept_for_a_step_that_was_withdrawn() -> None:
    floor = Floor(cpu=4000)
    small, large = floor.lane("small", cpu=1.0), floor.lane("large", cpu=4.0)
    floor.offer(small, 4)
    floor.start()
    floor.offer(large)
    floor.start()
    floor.wait(PATIENCE_S)
    floor.end(small)
    large.queue[0].offered = False
    for _ in range(3):
        floor.end(small)
    floor.offer(small, 4)
    assert floor.start() == ["small"] * 4


@pytest.mark.parametrize("seed", range(100))
def test_whatever_ends_and_comes_all_of_it_runs_and_never_too_much_at_once(seed: int) -> None:
    rng = Random(seed)
    capacity = {"cpu": 8000, "memory": 16, "gpu": 2000, "license": 3000}
    floor = Floor(**capacity)
    lanes = {
        name: floor.lane(
            name,
            cpu=rng.choice((0.0, 0.5, 1.0, 4.0, 8.0)),
            memory_bytes=rng.choice((None, 1, 5, 16)),
            gpu=rng.choice((0.0, 0.0, 1.0, 2.0)),
            resources=(("license", rng.choice((0.0, 1.0, 3.0))),),
        )
        for name in (f"r{i}" for i in range(12))
    }
    left = Counter({name: rng.randint(1, 12) for name in lanes})
    running: list[str] = []
    total = left.total()
    ended = 0
    for _ in range(10 * total):
        for name in rng.sample(sorted(lanes), 3):
            if left[name]:
                left[name] -= 1
                floor.offer(lanes[name])
        running += floor.start()
        for name, n in capacity.items():
            assert floor.admission.used.get(("machine", name), 0) <= n
        if running:
            floor.now += rng.choice((1.0, 30.0))
            name = running.pop(rng.randrange(len(running)))
            ended += 1
            running += floor.end(lanes[name])
        else:
            assert not any(lane.queue for lane in lanes.values()), "nothing runs, and something waits"
    assert ended == total
    assert not floor.admission.used


class TestMemoryThatGrows:
    def test_each_time_it_runs_out_it_gets_so_many_times_as_much_up_to_its_cap(self) -> None:
        policies = Policies(memory_bytes=GIB, memory_on_oom=2.0, memory_cap_bytes=5 * GIB)
        assert [placement.memory_of(policies, n) for n in range(5)] == [GIB, 2 * GIB, 4 * GIB, 5 * GIB, 5 * GIB]
        assert placement.growths(policies) == 3

    def test_without_a_cap_it_grows_three_times(self) -> None:
        policies = Policies(memory_bytes=GIB, memory_on_oom=2.0)
        assert placement.growths(policies) == 3
        assert placement.memory_of(policies, 9) == 8 * GIB

    def test_nothing_grows_that_was_not_allowed_to(self) -> None:
        assert placement.growths(Policies(memory_bytes=GIB)) == 0
        assert placement.grows_after(Policies(memory_bytes=GIB), "failed", OOM, 0) == ""

    def test_only_lack_of_memory_makes_it_grow(self) -> None:
        policies = Policies(memory_bytes=GIB, memory_on_oom=2.0)
        told = placement.grows_after(policies, "failed", OOM, 1)
        assert told == "out of memory with 2 GiB, again with 4 GiB"
        assert placement.grows_after(policies, "failed", Failure("boom"), 0) == ""
        assert placement.grows_after(policies, "lost", Failure("gone", cause="lost"), 0) == ""
        assert placement.grows_after(policies, "failed", OOM, 3) == ""

    def test_a_grown_step_asks_for_what_it_has_grown_to(self) -> None:
        policies = Policies(memory_bytes=GIB, memory_on_oom=3.0)
        assert placement.asks(policies, 1) == ((("machine", "memory"), 3 * GIB),)
        assert placement.fitted(policies, 1).memory_bytes == 3 * GIB


class TestGpus:
    def test_each_gpu_is_one_steps_own(self) -> None:
        gpus = Gpus(("0", "1", "3"))
        assert gpus.take(7, 2) == ("0", "1")
        assert gpus.take(8, 1) == ("3",)
        assert gpus.take(9, 1) == ()
        gpus.give_back(7)
        assert gpus.take(9, 1) == ("0",)

    def test_what_an_earlier_engine_gave_stays_taken(self) -> None:
        gpus = Gpus(("0", "1"))
        worker, held = placement.parted(placement.place_name("host:5:1@b", ("0",)))
        gpus.hold(1, held)
        assert worker == "host:5:1@b"
        assert gpus.take(2, 1) == ("1",)

    def test_a_step_with_a_gpu_has_a_process_of_its_own(self) -> None:
        fitted = placement.fitted(Policies(gpu=0.5, asynchronous=True))
        assert (fitted.isolation, fitted.asynchronous) == ("process", False)
        assert placement.gpus_of(fitted) == 1

    def test_an_engine_of_others_places_by_itself(self) -> None:
        policies = Policies(gpu=1.0, executor="ray")
        assert placement.fitted(policies) == policies


class TestCapacity:
    FOUND = Capacity({"cpu": 4000, "memory": 8 * GIB, "gpu": 2000}, ("0", "1"))

    def test_what_projects_declare_counts_and_the_smallest_of_it(self) -> None:
        told = placement.declared(self.FOUND, [{"cpu": 2, "license": 1}, {"memory": 4 * GIB, "license": 3}])
        assert told.amounts == {"cpu": 2000, "memory": 4 * GIB, "gpu": 2000, "license": 1000}
        assert told.gpus == ("0", "1")

    @pytest.mark.parametrize(("count", "indexes"), [(1, ("0",)), (4, ("0", "1", "2", "3")), (0, ())])
    def test_declared_gpus_have_indexes(self, count: int, indexes: tuple[str, ...]) -> None:
        assert placement.declared(self.FOUND, [{"gpu": count}]).gpus == indexes

    def test_steps_that_can_never_start_are_known_before_they_run(self) -> None:
        steps = [
            Step("fits", policies=Policies(cpu=4.0)),
            Step("big", policies=Policies(memory_bytes=64 * GIB)),
            Step("elsewhere", policies=Policies(memory_bytes=64 * GIB, executor="ray")),
        ]
        told = placement.misfit(steps, self.FOUND)
        assert [(step.key, why) for step, why in told] == [
            (
                "big",
                "it asks for 64 GiB of memory, and this machine has 8 GiB of memory in all: it can never start here",
            )
        ]
