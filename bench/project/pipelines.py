"""What the figures are measured with: steps that do nothing, in the shapes that matter."""

import time

import partita as pt


@pt.task
def one(n: int) -> list[int]:
    return list(range(n))


@pt.task
def same(x):
    return x


@pt.task
def count(xs) -> int:
    return len(xs)


@pt.pipeline
def fan(n: int = 1000):
    count(same.map(one(n)))


@pt.pipeline
def chain():
    value = same(0)
    for _ in range(99):
        value = same(value)


@pt.task
def three(a, b, c):
    return a


@pt.pipeline
def layers():
    layer = [same(i) for i in range(50)]
    for _ in range(9):
        layer = [three(layer[i], layer[(i + 7) % 50], layer[(i + 19) % 50]) for i in range(50)]


@pt.task
def busy(x):
    """6 ms of processor time."""
    end = time.perf_counter() + 0.006
    while time.perf_counter() < end:
        pass
    return x


@pt.task
def idle(x):
    """6 ms of waiting for somebody else."""
    time.sleep(0.006)
    return x


@pt.pipeline
def work(n: int = 5000):
    count(busy.map(one(n)))


@pt.pipeline
def waits(n: int = 5000):
    count(idle.map(one(n)))
