"""Admission: limits are never exceeded, nothing that fits is left waiting, and turns are fair."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partita.core.admission import Admission, Key, Lane
from partita.core.graph import Step
from partita.core.plan import Instance, Node

DB: Key = ("pool", "default", "db")
GPU: Key = ("pool", "default", "gpu")


def lane(
    step: str = "a",
    *,
    run: str = "r",
    namespace: str = "default",
    priority: int = 0,
    kind: str = "sync",
    asks: tuple[tuple[Key, int], ...] = (),
) -> Lane:
    return Lane(run=run, step=step, namespace=namespace, kind=kind, priority=priority, asks=asks)


class Queue:
    """An admission with offers that say whose they are, and as much room as is wanted."""

    def __init__(self, **limits: int) -> None:
        self.admission = Admission()
        for name, capacity in limits.items():
            self.admission.limit(("pool", "default", name), capacity)
        self.lanes: list[Lane] = []

    def offer(self, lane: Lane, number: int = 1) -> list[Instance]:
        if lane not in self.lanes:
            self.lanes.append(lane)
        made = []
        for _ in range(number):
            instance = Instance(Node(Step(lane.step), 0), (), 0.0)
            instance.offered = True
            self.admission.offer(lane, instance)
            made.append(instance)
        return made

    def pick(self, room: int = 1_000_000) -> list[Lane]:
        """The lanes that start something, in order, when there is room for so many."""
        picked: list[Lane] = []
        for lane, instance, _ in self.admission.pick(lambda lane, instance: True if len(picked) < room else None):
            assert instance.offered
            instance.offered = False
            self.admission.take(lane)
            picked.append(lane)
        return picked

    def picked(self, room: int = 1_000_000) -> list[str]:
        return [f"{lane.run}/{lane.step}" for lane in self.pick(room)]

    def used(self, key: Key) -> int:
        return self.admission.used.get(key, 0)

    def waiting(self, lane: Lane) -> int:
        return sum(i.offered for i in lane.queue)


class TestPools:
    def test_without_limits_all_that_is_ready_starts(self) -> None:
        queue = Queue()
        queue.offer(lane(), 5)
        assert len(queue.pick()) == 5
        assert queue.pick() == []

    def test_a_pool_lets_as_many_start_as_it_has_slots(self) -> None:
        queue, one = Queue(db=2), lane(asks=((DB, 1),))
        queue.offer(one, 5)
        assert len(queue.pick()) == 2
        assert queue.pick() == []
        queue.admission.release(one)
        assert len(queue.pick()) == 1
        assert queue.used(DB) == 2

    def test_a_step_may_ask_for_several_slots_and_for_several_pools(self) -> None:
        queue, wide = Queue(db=3, gpu=1), lane(asks=((DB, 2), (GPU, 1)))
        queue.offer(wide, 2)
        assert len(queue.pick()) == 1
        assert (queue.used(DB), queue.used(GPU)) == (2, 1)
        queue.admission.release(wide)
        assert (queue.used(DB), queue.used(GPU)) == (0, 0)
        assert len(queue.pick()) == 1

    def test_who_asks_for_less_passes_who_asks_for_more_than_is_free(self) -> None:
        queue = Queue(db=3)
        wide, narrow = lane("wide", asks=((DB, 3),)), lane("narrow", asks=((DB, 1),))
        queue.offer(narrow, 1)
        assert queue.picked() == ["r/narrow"]
        queue.offer(wide, 1)
        queue.offer(narrow, 2)
        assert queue.picked() == ["r/narrow", "r/narrow"]

    def test_who_asks_for_more_than_became_free_lets_those_go_on_who_waited_behind_it(self) -> None:
        queue = Queue(db=3)
        wide, narrow = lane("wide", asks=((DB, 3),)), lane("narrow", asks=((DB, 1),))
        queue.offer(narrow, 3)
        assert len(queue.pick()) == 3
        queue.offer(wide, 1)
        queue.offer(narrow, 2)
        assert queue.pick() == []
        queue.admission.release(narrow)
        assert queue.picked() == ["r/narrow"]

    def test_who_waits_behind_one_that_cannot_start_and_is_refused_by_something_else_too_is_not_forgotten(self) -> None:
        # It stayed parked on the pool that nobody held any more, and the end of what it really waited for woke nobody.
        queue = Queue(db=1, gpu=1)
        of_db, of_gpu = lane("of_db", asks=((DB, 1),)), lane("of_gpu", asks=((GPU, 1),))
        wide, both = lane("wide", asks=((DB, 2),)), lane("both", asks=((DB, 1), (GPU, 1)))
        queue.offer(of_db)
        queue.offer(of_gpu)
        assert len(queue.pick()) == 2
        queue.offer(wide)
        queue.offer(both)
        assert queue.pick() == []
        queue.admission.release(of_db)
        assert queue.pick() == []
        queue.admission.release(of_gpu)
        assert queue.picked() == ["r/both"]

    def test_who_asks_for_more_than_there_is_can_never_start_and_is_told_so(self) -> None:
        queue, wide = Queue(db=2), lane(asks=((DB, 3),))
        queue.offer(wide)
        assert queue.pick() == []
        told = str(queue.admission.refusal(wide))
        assert told == "pool db has 2 slots in all, and the step asks for 3: it can never start"

    def test_a_pool_that_grows_lets_go_on_those_that_waited_for_it(self) -> None:
        queue, one = Queue(db=0), lane(asks=((DB, 1),))
        queue.offer(one, 3)
        assert queue.pick() == []
        queue.admission.limit(DB, 2)
        assert len(queue.pick()) == 2

    def test_a_pool_that_shrinks_starts_nothing_until_enough_has_ended(self) -> None:
        queue, one = Queue(db=3), lane(asks=((DB, 1),))
        queue.offer(one, 5)
        assert len(queue.pick()) == 3
        queue.admission.limit(DB, 1)
        for _ in range(2):
            queue.admission.release(one)
            assert queue.pick() == []
        queue.admission.release(one)
        assert len(queue.pick()) == 1

    def test_a_pool_that_nobody_sized_has_no_limit(self) -> None:
        queue = Queue()
        queue.offer(lane(asks=((DB, 5),)), 9)
        assert len(queue.pick()) == 9

    @pytest.mark.parametrize(
        ("key", "told"),
        [
            (("pool", "default", "db"), "pool db is full: 1 of 1 slots taken"),
            (("task", "default", "app:load"), "the limit of task app:load is full: 1 of 1 slots taken"),
            (("step", "r", "load"), "the limit per run of step load is full: 1 of 1 slots taken"),
            (("run", "r"), "the limit of steps at once of its run is full: 1 of 1 slots taken"),
            (("namespace", "team"), "the limit of namespace team is full: 1 of 1 slots taken"),
        ],
    )
    def test_a_refusal_says_what_is_full(self, key: Key, told: str) -> None:
        queue, one = Queue(), lane(asks=((key, 1),))
        queue.admission.limit(key, 1)
        assert queue.admission.refusal(one) is None
        queue.offer(one)
        queue.pick()
        assert str(queue.admission.refusal(one)) == told

    def test_limits_of_a_run_that_has_ended_are_forgotten(self) -> None:
        queue, key = Queue(), ("run", "r")
        queue.admission.limit(key, 1)
        queue.admission.forget(iter([key]))
        assert queue.admission.capacity == {}


class TestTurns:
    def test_the_highest_priority_goes_first(self) -> None:
        queue = Queue()
        for step, priority in (("low", -1), ("high", 9), ("mid", 0)):
            queue.offer(lane(step, priority=priority), 2)
        assert queue.picked() == ["r/high", "r/high", "r/mid", "r/mid", "r/low", "r/low"]

    def test_runs_of_one_priority_take_turns_however_much_each_has(self) -> None:
        queue = Queue()
        queue.offer(lane(run="big"), 100)
        queue.offer(lane(run="small"), 2)
        assert queue.picked(room=5) == ["big/a", "small/a", "big/a", "small/a", "big/a"]

    def test_steps_of_one_run_take_turns(self) -> None:
        queue = Queue()
        queue.offer(lane("a"), 3)
        queue.offer(lane("b"), 3)
        assert queue.picked(room=4) == ["r/a", "r/b", "r/a", "r/b"]

    def test_namespaces_take_turns_whatever_their_priorities(self) -> None:
        queue = Queue()
        queue.offer(lane(run="x", namespace="one", priority=100), 3)
        queue.offer(lane(run="y", namespace="two"), 3)
        assert queue.picked(room=4) == ["x/a", "y/a", "x/a", "y/a"]

    def test_who_found_no_room_is_first_the_next_time(self) -> None:
        queue = Queue()
        for run in ("one", "two", "three"):
            queue.offer(lane(run=run), 2)
        assert queue.picked(room=1) == ["one/a"]
        assert queue.picked(room=2) == ["two/a", "three/a"]
        assert queue.picked(room=9) == ["one/a", "two/a", "three/a"]

    def test_kinds_of_workers_do_not_wait_for_each_others_room(self) -> None:
        queue = Queue()
        sync, asynchronous = lane("sync"), lane("async", kind="async")
        queue.offer(sync)
        queue.offer(asynchronous)
        started = [
            lane.step for lane, _, _ in queue.admission.pick(lambda lane, instance: lane.kind == "async" or None)
        ]
        assert started == ["async"]

    def test_a_full_pool_does_not_hold_up_those_who_do_not_ask_for_it(self) -> None:
        queue = Queue(db=0)
        queue.offer(lane("a", priority=9, asks=((DB, 1),)), 100)
        queue.offer(lane("b"), 1)
        assert queue.picked() == ["r/b"]


class TestWithdrawn:
    def test_what_is_no_longer_offered_is_dropped_when_its_turn_comes(self) -> None:
        queue, one = Queue(), lane()
        first, _, third = queue.offer(one, 3)
        first.offered = third.offered = False
        assert len(queue.pick()) == 1
        assert not one.queue

    def test_it_does_not_keep_a_slot_from_others(self) -> None:
        queue = Queue(db=1)
        gone, other = lane("gone", asks=((DB, 1),)), lane("other", asks=((DB, 1),))
        queue.offer(other)
        assert queue.picked() == ["r/other"]
        (instance,) = queue.offer(gone)
        queue.offer(other)
        assert queue.pick() == []
        instance.offered = False
        queue.admission.release(other)
        assert queue.picked() == ["r/other"]

    def test_a_lane_that_ran_empty_is_queued_again_by_the_next_offer(self) -> None:
        queue, one = Queue(db=1), lane(asks=((DB, 1),))
        (instance,) = queue.offer(one)
        instance.offered = False
        assert queue.pick() == []
        queue.offer(one)
        assert len(queue.pick()) == 1


KEYS: tuple[Key, ...] = (DB, GPU, ("run", "r0"), ("run", "r1"), ("namespace", "default"), ("namespace", "other"))

asks = st.lists(st.tuples(st.sampled_from(KEYS), st.integers(1, 3)), max_size=3, unique_by=lambda ask: ask[0]).map(
    tuple
)
lanes = st.builds(
    lane,
    st.sampled_from("abc"),
    run=st.sampled_from(("r0", "r1", "r2")),
    namespace=st.sampled_from(("default", "other")),
    priority=st.integers(-1, 1),
    kind=st.sampled_from(("sync", "async")),
    asks=asks,
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.integers(0, 5), st.integers(1, 4)),
        st.tuples(st.just("pick"), st.integers(0, 6), st.just(0)),
        st.tuples(st.just("release"), st.integers(0, 1000), st.just(0)),
        st.tuples(st.just("withdraw"), st.integers(0, 5), st.integers(0, 9)),
        st.tuples(st.just("limit"), st.integers(0, len(KEYS) - 1), st.integers(0, 5)),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(
    lanes=st.lists(lanes, min_size=1, max_size=6),
    limits=st.lists(st.integers(0, 4), min_size=6, max_size=6),
    steps=steps,
)
def test_no_limit_is_exceeded_and_nothing_that_would_fit_is_left_waiting(
    lanes: list[Lane], limits: list[int], steps: list[tuple[str, int, int]]
) -> None:
    queue = Queue()
    for key, capacity in zip(KEYS, limits, strict=True):
        queue.admission.limit(key, capacity)
    opened: list[Lane] = []
    for what, a, b in steps:
        if what == "offer":
            queue.offer(lanes[a % len(lanes)], b)
        elif what == "pick":
            opened += _pick_within_limits(queue, room=a)
        elif what == "release" and opened:
            queue.admission.release(opened.pop(a % len(opened)))
        elif what == "withdraw":
            waiting = [i for i in lanes[a % len(lanes)].queue if i.offered]
            if waiting:
                waiting[b % len(waiting)].offered = False
        elif what == "limit":
            queue.admission.limit(KEYS[a], b)

    opened += _pick_within_limits(queue, room=1_000_000)

    for one in queue.lanes:
        assert not queue.waiting(one) or queue.admission.refusal(one) is not None, (one.step, one.asks)
    wanted: Counter[Key] = Counter()
    for one in opened:
        wanted.update(dict(one.asks))
    assert wanted == queue.admission.used


def _pick_within_limits(queue: Queue, room: int) -> list[Lane]:
    admission, picked = queue.admission, []
    for one, instance, _ in admission.pick(lambda lane, instance: True if len(picked) < room else None):
        admission.take(one)
        instance.offered = False
        picked.append(one)
        for key, _ in one.asks:
            assert admission.used[key] <= admission.capacity[key]
    return picked


@pytest.mark.parametrize("widest", [1, 3])
def test_everything_that_can_starts_in_the_end_when_what_runs_ends(widest: int) -> None:
    for seed in range(60):
        rng = Random(seed)
        queue = Queue(db=rng.randint(1, 3), gpu=rng.randint(1, 3))
        for i in range(8):
            chosen = rng.sample((DB, GPU), rng.randint(0, 2))
            wanted = tuple((key, rng.randint(1, widest)) for key in chosen)
            queue.offer(lane(f"s{i}", run=f"r{i % 3}", asks=wanted), rng.randint(1, 5))
        opened = queue.pick()
        while opened:
            queue.admission.release(opened.pop(rng.randrange(len(opened))))
            opened += queue.pick(rng.randint(0, 2))
            if not opened:
                opened += queue.pick()
        capacity = queue.admission.capacity
        left = [one for one in queue.lanes if queue.waiting(one)]
        assert [one.step for one in left if all(n <= capacity[key] for key, n in one.asks)] == [], f"seed {seed}"
        assert queue.admission.used == {}


def test_a_full_pool_costs_one_look_per_lane_and_not_one_per_step() -> None:
    from .driving import lines_run

    def full(number: int) -> Queue:
        queue = Queue(db=0)
        queue.offer(lane(asks=((DB, 1),)), number)
        return queue

    few, many = full(10), full(1000)
    assert lines_run(few.pick) == lines_run(many.pick)
