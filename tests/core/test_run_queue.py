"""Which queued run starts next, and what refuses the others."""

from __future__ import annotations

import random
import time

import pytest

from partita.core.run_queue import AGING_S, Asked, RunQueue, Waiting


def run(name: str, pipeline: str = "p", *, at: float = 0.0, namespace: str = "default", **more) -> Waiting:
    return Waiting(name, namespace=namespace, pipeline=pipeline, at=at, **more)


def started(queue: RunQueue) -> list[str]:
    return [waiting.run for waiting in queue.pick()]


def test_runs_start_in_the_order_in_which_they_came():
    queue = RunQueue()
    for name, at in (("second", 2.0), ("first", 1.0), ("third", 3.0)):
        queue.offer(run(name, at=at))
    assert started(queue) == ["first", "second", "third"]


def test_a_point_of_priority_is_worth_ten_minutes_of_waiting_and_no_more():
    queue = RunQueue()
    queue.offer(run("old", at=0.0))
    queue.offer(run("urgent", at=AGING_S - 1.0, priority=1))
    queue.offer(run("urgent but much later", at=AGING_S + 1.0, priority=1))
    assert started(queue) == ["urgent", "old", "urgent but much later"]


def test_the_limit_of_a_pipeline_holds_back_its_runs_and_nobody_elses():
    queue = RunQueue()
    queue.limit(("pipeline", "default", "p"), 1)
    for name, pipeline in (("a", "p"), ("b", "p"), ("c", "q")):
        queue.offer(run(name, pipeline))
    assert started(queue) == ["a", "c"]
    assert str(queue.refusal("b")) == "the limit of runs of pipeline p: 1 of 1 running"
    assert started(queue) == []
    queue.release("a")
    assert started(queue) == ["b"]


def test_a_limit_that_is_raised_while_running_lets_runs_start():
    queue = RunQueue()
    queue.limit(("pipeline", "default", "p"), 1)
    for name in "abc":
        queue.offer(run(name))
    assert started(queue) == ["a"]
    queue.limit(("pipeline", "default", "p"), 2)
    assert started(queue) == ["b"]
    queue.limit(("pipeline", "default", "p"), None)
    assert started(queue) == ["c"]


def test_two_runs_of_one_partition_never_run_at_once():
    queue = RunQueue()
    queue.offer(run("scheduled", partition="2026-01-01"))
    queue.offer(run("backfill", partition="2026-01-01"))
    queue.offer(run("another day", partition="2026-01-02"))
    assert started(queue) == ["scheduled", "another day"]
    assert "another run of partition 2026-01-01" in str(queue.refusal("backfill"))
    queue.release("scheduled")
    assert started(queue) == ["backfill"]


def test_a_key_limits_the_runs_with_its_value():
    queue = RunQueue()
    for name, value in (("a", "eu"), ("b", "eu"), ("c", "us")):
        queue.offer(run(name, asked=[Asked(value)]))
    assert started(queue) == ["a", "c"]
    queue.release("c")
    assert started(queue) == []
    queue.release("a")
    assert started(queue) == ["b"]


@pytest.mark.parametrize("strategy", ["skip", "cancel_newest"])
def test_a_run_that_finds_its_key_taken_may_be_refused(strategy):
    queue = RunQueue()
    queue.offer(run("a", asked=[Asked("eu", 1, strategy)]))
    assert started(queue) == ["a"]
    assert "1 of 1 running" in queue.arrive(run("b", asked=[Asked("eu", 1, strategy)])).refused
    assert not queue.arrive(run("c", asked=[Asked("us", 1, strategy)])).refused


def test_a_run_may_have_the_oldest_of_its_key_cancelled():
    queue = RunQueue()
    for name in "ab":
        queue.offer(run(name, asked=[Asked("eu", 2, "cancel_oldest")]))
    assert started(queue) == ["a", "b"]
    newer = run("c", asked=[Asked("eu", 2, "cancel_oldest")])
    assert queue.arrive(newer).cancel == ("a",)
    queue.offer(newer)
    assert started(queue) == []
    queue.release("a")
    assert started(queue) == ["c"]


def test_keys_take_turns_under_the_limit_of_their_pipeline():
    queue = RunQueue()
    queue.limit(("pipeline", "default", "p"), 1)
    for number in range(4):
        queue.offer(run(f"big {number}", at=float(number), asked=[Asked("big", 9, "round_robin")]))
    for number in range(2):
        queue.offer(run(f"small {number}", at=10.0 + number, asked=[Asked("small", 9, "round_robin")]))
    order = []
    while names := started(queue):
        order += names
        queue.release(names[0])
    assert order == ["big 0", "big 1", "small 0", "big 2", "small 1", "big 3"]


def test_namespaces_take_turns_by_their_shares():
    queue = RunQueue(max_running=1)
    queue.shares = {"a": 2.0}
    for number in range(30):
        for namespace in "ab":
            queue.offer(run(f"{namespace}{number}", at=float(number), namespace=namespace))
    order = []
    for _ in range(30):
        (name,) = started(queue)
        order.append(name[0])
        queue.release(name)
    assert order.count("a") in (19, 20, 21)


def test_a_run_that_is_withdrawn_does_not_start_and_blocks_nobody():
    queue = RunQueue()
    queue.limit(("pipeline", "default", "p"), 1)
    for name in "abc":
        queue.offer(run(name))
    assert started(queue) == ["a"]
    queue.withdraw("b")
    queue.release("a")
    assert started(queue) == ["c"]


def test_a_run_that_is_withdrawn_and_offered_again_keeps_its_place_and_starts_once():
    queue = RunQueue()
    queue.limit(("pipeline", "default", "p"), 0)
    first, second = run("first", at=1.0), run("second", at=2.0)
    queue.offer(first)
    queue.offer(second)
    assert started(queue) == []
    queue.withdraw("first")
    queue.offer(first)
    queue.limit(("pipeline", "default", "p"), 9)
    assert started(queue) == ["first", "second"]


def test_a_place_that_the_woken_run_cannot_use_goes_to_the_next():
    """`both` is woken for the pipeline's place and refused by its key; `free` must not sleep on."""
    queue = RunQueue()
    queue.limit(("pipeline", "default", "p"), 1)
    queue.offer(run("holder", "q", asked=()))
    queue.offer(run("first", at=1.0))
    queue.offer(run("both", at=2.0, partition="x"))
    queue.offer(run("free", at=3.0))
    other = Waiting("other", namespace="default", pipeline="p", at=0.0, partition="x")
    queue.take(other)
    queue.limit(("pipeline", "default", "p"), 2)
    assert started(queue) == ["holder", "first"]
    queue.release("first")
    assert started(queue) == ["free"]


@pytest.mark.parametrize("seed", range(30))
def test_no_limit_is_ever_exceeded_and_everybody_starts_in_the_end(seed):
    rng = random.Random(seed)
    queue = RunQueue(max_running=rng.randint(1, 6))
    for pipeline in "pq":
        queue.limit(("pipeline", "n", pipeline), rng.randint(1, 4))
    waiting, running, done = {}, {}, set()
    for number in range(120):
        asked = [Asked(rng.choice("uvw"), 2, rng.choice(["queue", "round_robin"]))] if rng.random() < 0.5 else []
        w = run(
            f"r{number}",
            rng.choice("pq"),
            namespace=rng.choice("nm"),
            at=float(number),
            priority=rng.randint(0, 3),
            partition=rng.choice(["", "a", "b"]),
            asked=asked,
        )
        waiting[w.run] = w
        queue.offer(w)
        for chosen in queue.pick():
            running[chosen.run] = waiting.pop(chosen.run)
        check(queue, running)
        for name in [n for n in running if rng.random() < 0.3]:
            done.add(name)
            del running[name]
            queue.release(name)
        if rng.random() < 0.05:
            queue.limit(("pipeline", "n", "p"), rng.choice([1, 3, None]))
    while running or waiting:
        for chosen in queue.pick():
            running[chosen.run] = waiting.pop(chosen.run)
        assert running, f"stuck: {sorted(waiting)}"
        name = rng.choice(sorted(running))
        del running[name]
        queue.release(name)
    assert queue.used == {}
    assert len(queue) == 0


def check(queue: RunQueue, running: dict[str, Waiting]) -> None:
    counts: dict[tuple[str, ...], int] = {}
    for w in running.values():
        for key in w.keys:
            counts[key] = counts.get(key, 0) + 1
    assert counts == queue.used
    for key, count in counts.items():
        if key[0] == "partition":
            assert count == 1
        if key[0] == "key":
            assert count <= 2
    assert counts.get(("runs",), 0) <= queue.capacity["runs",]


def test_ten_thousand_queued_runs_cost_each_end_its_neighbours_only():
    queue = RunQueue()
    queue.limit(("pipeline", "default", "p"), 1)
    for number in range(10_000):
        queue.offer(run(str(number), at=float(number)))
    began = time.perf_counter()
    for number in range(10_000):
        assert started(queue) == [str(number)]
        queue.release(str(number))
    assert time.perf_counter() - began < 2.0


def test_who_asks_for_their_place_in_line_hears_how_many_of_their_namespace_come_before():
    queue = RunQueue(max_running=0)
    for at, (name, priority) in enumerate([("a", 0), ("b", 2), ("c", 0), ("d", 1)]):
        queue.offer(run(name, at=float(at), priority=priority))
    queue.offer(run("other", at=9.0, namespace="elsewhere"))
    asked = ["a", "b", "c", "d", "other", "unknown"]
    # By rank: b (two points of priority), d (one), a, c.
    assert queue.places_in_line(asked) == {"b": 0, "d": 1, "a": 2, "c": 3, "other": 0}
