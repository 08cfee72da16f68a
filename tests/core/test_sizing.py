"""Usual sizes: what most attempts used, and a word where a step asks for something far from it."""

from __future__ import annotations

from partita.core.graph import Step
from partita.core.policies import Policies
from partita.core.sizing import Sample, step_sizes

GIB = 1 << 30


def attempts(step: str, count: int, *, memory: int = GIB, cpu_s: float = 10.0, took_s: float = 10.0) -> list[Sample]:
    return [Sample(step, memory, cpu_s, took_s) for _ in range(count)]


def test_one_attempt_of_many_that_was_larger_does_not_count() -> None:
    samples = [*attempts("load", 39), *attempts("load", 1, memory=9 * GIB)]
    (size,) = step_sizes([Step("load")], samples)
    assert (size.attempts, size.memory_used, size.cpu_used, size.hint) == (40, GIB, 1.0, "")


def test_a_step_that_asks_for_twice_what_it_uses_is_told() -> None:
    (size,) = step_sizes([Step("load", policies=Policies(memory_bytes=4 * GIB, cpu=1.0))], attempts("load", 5))
    assert size.hint == "asks for 4 GiB of memory and uses 1 GiB: what it keeps free, others wait for"


def test_a_step_that_uses_twice_what_it_asks_for_is_told() -> None:
    (size,) = step_sizes([Step("load", policies=Policies(cpu=1.0))], attempts("load", 5, cpu_s=35.0))
    assert size.hint == "asks for 1 core and uses 3.5: more may start at once than there is room for"


def test_what_is_near_enough_or_small_is_no_matter() -> None:
    near = Step("near", policies=Policies(memory_bytes=int(1.9 * GIB), cpu=1.5))
    small = Step("small", policies=Policies(memory_bytes=100 << 20, cpu=0.5))
    samples = [*attempts("near", 3), *attempts("small", 3, memory=30 << 20, cpu_s=0.1)]
    assert [size.hint for size in step_sizes([near, small], samples)] == ["", ""]


def test_what_was_too_short_says_nothing_of_cores() -> None:
    (size,) = step_sizes([Step("load")], attempts("load", 3, cpu_s=0.05, took_s=0.05))
    assert (size.cpu_used, size.memory_used) == (None, GIB)


def test_steps_that_nobody_measured_and_that_ask_for_nothing_are_left_out() -> None:
    steps = [Step("a"), Step("b", policies=Policies(cpu=2.0)), Step("c", kind="container")]
    sizes = step_sizes(steps, attempts("c", 3))
    assert [(size.step, size.attempts, size.cpu_asked) for size in sizes] == [("b", 0, 2.0)]
