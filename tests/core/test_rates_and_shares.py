"""Rates, shares of namespaces, aging of priorities, and one attempt at a time for an asset."""

from __future__ import annotations

import random

import pytest

from partita.core.admission import Admission, Key, Lane
from partita.core.graph import Step
from partita.core.plan import Instance, Node
from partita.core.rate import Rate
from partita.core.run_queue import AGING_S

API: Key = ("rate", "default", "api")


class Queue:
    """An admission whose clock is the test's."""

    def __init__(self) -> None:
        self.admission = Admission()
        self.now = 0.0

    def offer(self, lane: Lane, number: int = 1) -> Lane:
        for _ in range(number):
            instance = Instance(Node(Step(lane.step), 0), (), 0.0)
            instance.offered = True
            self.admission.offer(lane, instance)
        return lane

    def picked(self, room: int = 1_000_000) -> list[Lane]:
        picked: list[Lane] = []
        for lane, instance, _ in self.admission.pick(
            lambda lane, instance: True if len(picked) < room else None, self.now
        ):
            instance.offered = False
            self.admission.take(lane)
            picked.append(lane)
        return picked


def lane(step: str = "a", *, namespace: str = "default", priority: int = 0, asks=()) -> Lane:
    return Lane(run="r", step=step, namespace=namespace, kind="sync", priority=priority, asks=tuple(asks))


def test_a_rate_lets_so_many_start_in_every_window_and_says_when_the_next_may():
    queue = Queue()
    queue.admission.limit_rate(API, Rate(2, 60.0))
    asking = queue.offer(lane(asks=[(API, 1)]), 5)
    assert len(queue.picked()) == 2
    assert str(queue.admission.refusal(asking)) == "rate api is used up: 2 of 2 starts within 60 s"
    assert queue.admission.due_at() == 60.0
    queue.now = 59.9
    assert queue.picked() == []
    queue.now = 60.0
    assert len(queue.picked()) == 2
    queue.now = 120.0
    assert len(queue.picked()) == 1
    assert queue.admission.due_at() == float("inf")


def test_the_end_of_an_attempt_gives_nothing_back_to_a_rate():
    queue = Queue()
    queue.admission.limit_rate(API, Rate(1, 60.0))
    asking = queue.offer(lane(asks=[(API, 1)]), 2)
    assert len(queue.picked()) == 1
    queue.admission.release(asking)
    assert queue.picked() == []


def test_a_step_that_counts_as_more_than_a_rate_has_never_starts_and_never_wakes_the_engine():
    queue = Queue()
    queue.admission.limit_rate(API, Rate(2, 60.0))
    asking = queue.offer(lane(asks=[(API, 3)]))
    assert queue.picked() == []
    assert queue.admission.due_at() == float("inf")
    assert "it can never start" in str(queue.admission.refusal(asking))


def test_who_asks_for_more_of_a_rate_does_not_put_off_who_asks_for_less():
    queue = Queue()
    queue.admission.limit_rate(API, Rate(2, 60.0))
    other = lane("other", asks=[(API, 1)])
    queue.offer(other)
    assert len(queue.picked()) == 1
    queue.now = 30.0
    queue.offer(other)
    assert len(queue.picked()) == 1
    queue.offer(lane("narrow", asks=[(API, 1)]))
    wide = queue.offer(lane("wide", asks=[(API, 2)]))
    assert queue.picked() == []
    assert queue.admission.due_at() == 60.0
    queue.now = 60.0
    assert [one.step for one in queue.picked()] == ["narrow"]
    queue.now = 120.0
    assert queue.picked() == [wide]


def test_a_clock_that_is_set_back_does_not_block_a_rate_for_longer_than_a_window():
    rate = Rate(1, 60.0)
    rate.note(1_000_000.0)
    assert rate.free(10.0) == 1


@pytest.mark.parametrize("seed", range(20))
def test_no_window_ever_holds_more_starts_than_its_rate(seed):
    rng = random.Random(seed)
    count, per_s = rng.randint(1, 5), rng.uniform(1.0, 30.0)
    queue = Queue()
    queue.admission.limit_rate(API, Rate(count, per_s))
    starts: list[float] = []
    for _ in range(200):
        queue.offer(lane(asks=[(API, 1)]), rng.randint(0, 2))
        queue.now += rng.expovariate(1.0)
        starts += [queue.now for _ in queue.picked()]
    for at in starts:
        assert sum(at - per_s < other <= at for other in starts) <= count
    assert len(starts) > 5


def test_namespaces_get_turns_by_their_shares():
    queue = Queue()
    queue.admission.shares["big"] = 3.0
    queue.offer(lane(namespace="big"), 100)
    queue.offer(lane(namespace="small"), 100)
    picked = queue.picked(room=40)
    assert [one.namespace for one in picked].count("big") == 30


def test_a_namespace_that_was_away_has_saved_up_nothing():
    queue = Queue()
    queue.offer(lane(namespace="a"), 200)
    queue.picked(room=100)
    queue.offer(lane(namespace="b"), 100)
    assert [one.namespace for one in queue.picked(room=20)].count("b") in (10, 11)


def test_what_waits_long_enough_comes_before_a_higher_priority():
    """Without aging the stream of urgent steps would keep the other one waiting for ever."""
    queue = Queue()
    queue.offer(lane("patient", priority=0))
    urgent = lane("urgent", priority=2)
    queue.offer(urgent, 1_000)
    order = []
    for _ in range(100):
        order += [one.step for one in queue.picked(room=1)]
        queue.now += 30.0
    waited = order.index("patient") * 30.0
    assert AGING_S <= waited <= 2 * AGING_S + 60.0


def test_an_asset_partition_is_made_by_one_attempt_at_a_time_whichever_run_it_is_of():
    queue = Queue()
    first = queue.offer(lane("scheduled", asks=[(("asset", "default", "flights", "2026-01-01"), 1)]))
    second = queue.offer(lane("backfill", asks=[(("asset", "default", "flights", "2026-01-01"), 1)]))
    queue.offer(lane("another day", asks=[(("asset", "default", "flights", "2026-01-02"), 1)]))
    assert [one.step for one in queue.picked()] == ["scheduled", "another day"]
    assert str(queue.admission.refusal(second)) == "another attempt makes asset flights 2026-01-01"
    queue.admission.release(first)
    assert [one.step for one in queue.picked()] == ["backfill"]


def test_a_capacity_that_is_taken_back_lets_all_that_wait_start():
    queue = Queue()
    pool: Key = ("pool", "default", "db")
    queue.admission.limit(pool, 0)
    queue.offer(lane(asks=[(pool, 1)]), 3)
    assert queue.picked() == []
    assert queue.admission.waiting_for(pool) == 3
    queue.admission.limit(pool, None)
    assert len(queue.picked()) == 3
