"""A run in which everything happens: a map, a retry, a long step, a loop, a value in a blob. Each step keeps a ledger."""

import fcntl
import os
import time
from pathlib import Path

import partita as pt

LEDGER = Path(os.environ["KILLS_LEDGER"])


def write(line: str) -> None:
    """One line of the ledger, whole or not at all."""
    handle = os.open(LEDGER / "ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, (line + "\n").encode())
    os.close(handle)


class Alone:
    """Says in the ledger that a step began and ended, and whether another copy of it was running."""

    def __init__(self, ctx: pt.Context) -> None:
        self.name = f"{ctx.step}[{ctx.index}]"
        self.attempt = ctx.attempt

    def __enter__(self) -> None:
        self.lock = os.open(LEDGER / f"{self.name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            write(f"OVERLAP {self.name}")
        write(f"begin {self.name} {os.getpid()}")

    def __exit__(self, *_: object) -> None:
        write(f"end {self.name}")
        os.close(self.lock)


@pt.task
def listing(ctx: pt.Context) -> list[int]:
    with Alone(ctx):
        return list(range(12))


@pt.task
def fetch(ctx: pt.Context, n: int) -> bytes:
    with Alone(ctx):
        time.sleep(0.01)
        return bytes([n]) * 10_000


@pt.task(retries=2)
def flaky(ctx: pt.Context) -> str:
    with Alone(ctx):
        failures = sum(p.state == "failed" for p in ctx.previous)
        if failures < 2:
            raise ConnectionError("not yet")
        return "worked"


@pt.task
def long(ctx: pt.Context) -> str:
    """Long enough that an engine dies in the middle of it and another one comes."""
    with Alone(ctx):
        time.sleep(1.2)
        return "done"


@pt.task
def broken(ctx: pt.Context) -> None:
    with Alone(ctx):
        raise ValueError("always")


@pt.task
def behind(x) -> None:
    raise AssertionError("nobody should come here")


@pt.task(when="any_failed")
def alert(ctx: pt.Context) -> str:
    with Alone(ctx):
        return "alerted"


@pt.task
def size(ctx: pt.Context, parts: list[bytes]) -> int:
    with Alone(ctx):
        return sum(map(len, parts))


@pt.task
def half(ctx: pt.Context, x: float) -> float:
    with Alone(ctx):
        return x / 2


@pt.pipeline
def everything():
    size(fetch.map(listing()))
    flaky()
    long()
    behind(broken()) >> alert()
    pt.loop(half, 8.0, until=lambda x: x < 1, max_iterations=9)
