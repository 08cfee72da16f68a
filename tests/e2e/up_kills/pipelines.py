"""What a service does while its processes are killed: ticks, a sensor, a backfill, gates, logs. Each step keeps a ledger."""

import fcntl
import os
import time
from pathlib import Path

import partita as pt

LEDGER = Path(os.environ["UP_KILLS_LEDGER"])


def write(line: str) -> None:
    """One line of the ledger, whole or not at all."""
    handle = os.open(LEDGER / "ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, (line + "\n").encode())
    os.close(handle)


class Alone:
    """Says in the ledger whether another copy of a step of the same run was running."""

    def __init__(self, ctx: pt.Context) -> None:
        self.name = f"{ctx.run_id}-{ctx.step}"

    def __enter__(self) -> None:
        self.lock = os.open(LEDGER / f"{self.name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            write(f"OVERLAP {self.name}")

    def __exit__(self, *_: object) -> None:
        os.close(self.lock)


@pt.task
def first(ctx: pt.Context) -> int:
    with Alone(ctx):
        for number in range(20):
            print(f"line {number}", flush=True)
            time.sleep(0.002)
        return 20


@pt.task(retries=1, retry_delay="1s")
def second(ctx: pt.Context, count: int) -> int:
    with Alone(ctx):
        print(f"{count} lines before")
        if ctx.attempt == 1 and ctx.run_no % 7 == 0:
            raise ConnectionError("not yet")
        return count


@pt.pipeline(schedule=pt.every("2s", catchup="all", overlap="allow"))
def often():
    second(first())


@pt.pipeline(schedule=pt.cron("* * * * *"), catchup="all")
def each_minute():
    second(first())


@pt.pipeline(schedule=pt.every("3s"), catchup="all")
def gated():
    first() >> pt.sleep("1s") >> pt.approval("go on?", timeout="1s", default="approve")


@pt.pipeline
def arrived(item: int = 0):
    first()


@pt.sensor(arrived, interval="1s")
def items(ctx: pt.SensorContext):
    """One run for each line of a file that only grows."""
    known = ctx.cursor or 0
    path = LEDGER / "items"
    there = path.stat().st_size if path.exists() else 0
    ctx.cursor = there
    return [pt.RunRequest(key=f"item-{n}", params={"item": n}) for n in range(known, there)]


@pt.pipeline(partitions=pt.daily(start="2026-01-01", end="2026-03-02"))
def daily():
    second(first())
