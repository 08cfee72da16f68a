"""The project that the conformance tests run. It is copied as `pipelines.py` into a folder; nothing imports it here."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import partita as pt


@pt.task
def double(i: int) -> int:
    return 2 * i


@pt.task
def fail(i: int) -> None:
    raise ValueError(f"no luck with {i}")


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@pt.task
def fail_without_text() -> None:
    raise Mute


@pt.task
def return_a_lock() -> object:
    return threading.Lock()


@pt.task
def make_list(i: int) -> list[int]:
    return list(range(i))


@pt.task
def total(values: list[int]) -> int:
    return sum(values)


@pt.task
def progress(ctx: pt.Context) -> None:
    ctx.progress(1, 2, "one")
    ctx.progress(2, 2, "both")


@pt.task
async def wait_a_little(i: int) -> bool:
    await asyncio.sleep(0.1)
    return True


@pt.task
async def wait_for_ever() -> None:
    await asyncio.sleep(3600)


@pt.task
async def fail_async() -> None:
    await asyncio.sleep(0)
    raise ValueError("no luck")


@pt.task
def sleep_long(mark: str) -> None:
    Path(mark).touch()
    try:
        time.sleep(60)
    finally:
        Path(mark).write_text("cleaned up")


@pt.task
def ignore_the_end(mark: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(mark).touch()
    time.sleep(60)


@pt.task
def leave_a_grandchild(mark: str) -> None:
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    temporary = Path(f"{mark}.new")
    temporary.write_text(str(child.pid))
    temporary.rename(mark)
    time.sleep(60)


@pt.task
def send_signal(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


@pt.task
def exit_hard(code: int) -> None:
    os._exit(code)


@pt.task
def say_and_die(text: str) -> None:
    print(text)
    os._exit(3)


@pt.task
def die_at_thirteen(i: int) -> int:
    if i == 13:
        os._exit(13)
    return i


@pt.task
def eat_memory_in_a_child() -> None:
    # Shared pages: the kernel's limit on the data of a process does not count them.
    code = (
        "import mmap, time; m = mmap.mmap(-1, 256 << 20); [m.write(bytes(1 << 20)) for _ in range(256)]; time.sleep(60)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pt.task
def write_everywhere(i: int) -> None:
    print(f"printed {i}")
    logging.getLogger("user").warning("logged %d", i)
    subprocess.run([sys.executable, "-c", f"print('from a child {i}')"], check=True)
    line = f"native {i}\n".encode()
    ctypes.CDLL(None).write(1, line, len(line))
    print(f"on stderr {i}", file=sys.stderr)


@pt.task
def say(i: int) -> None:
    print(f"I am {i}")
    print(f"still {i}")


@pt.task
async def say_async(i: int) -> None:
    print(f"I am {i}")
    await asyncio.sleep(0.01)
    print(f"still {i}")


@pt.task
def flood(count: int) -> None:
    for i in range(count):
        print(f"line {i} {'x' * 100}")


@pt.task
def wait_for(mark: str, begun: str) -> int:
    with Path(begun).open("a") as file:
        file.write("begun\n")
    while not Path(mark).exists():
        time.sleep(0.01)
    print("it is there")
    return os.getpid()


@pt.task
def note(i: int, file: str) -> int:
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, f"{i}\n".encode())
    os.close(fd)
    return i


@pt.task
def sleep(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


@pt.task
def pid() -> int:
    return os.getpid()


@pt.pipeline
def conformance() -> None:
    """Makes every task known to the workers."""
    double(1)
    fail(1)
    fail_without_text()
    return_a_lock()
    make_list(1)
    total([1])
    progress()
    wait_a_little(1)
    wait_for_ever()
    fail_async()
    sleep_long("m")
    ignore_the_end("m")
    leave_a_grandchild("m")
    send_signal(9)
    exit_hard(1)
    say_and_die("t")
    die_at_thirteen(1)
    eat_memory_in_a_child()
    write_everywhere(1)
    say(1)
    say_async(1)
    flood(1)
    wait_for("m", "b")
    note(1, "f")
    sleep(0.0)
    pid()
