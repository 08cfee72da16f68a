"""The project of the worker's tests: functions, and the process that serves them.

`python steps.py SOCK CLAIMS SETUP` is a worker as a host would start it.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from partita.define.calls import Call, CheckInfo
from partita.define.context import Context, context
from partita.define.signals import Fail, RetryAfter, Skip


def noop() -> None: ...


def add(a: Any, b: Any = 1) -> Any:
    return a + b


def echo(value: Any = None) -> Any:
    return value


class StrRaises(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def raises(kind: str) -> None:
    errors: dict[str, BaseException] = {
        "value": ValueError("no such flight"),
        "str": StrRaises(),
        "exit": SystemExit(3),
        "interrupt": KeyboardInterrupt(),
        "memory": MemoryError("asked for too much"),
        "skip": Skip("no new files"),
        "fail": Fail("wrong key"),
        "later": RetryAfter("30s", "rate limited"),
        "long": ValueError("x" * 1_000_000),
        "surrogate": ValueError("\ud800 and \0"),
        "group": ExceptionGroup("two", [ValueError("one"), ExceptionGroup("inner", [KeyError("deep")])]),
    }
    raise errors[kind]


def chained() -> None:
    try:
        raise KeyError("cause of it")
    except KeyError as error:
        raise ValueError("what it led to") from error


def deep(n: int = 0) -> int:
    return deep(n + 1) + 1


def unstorable() -> Any:
    return {"lock": threading.Lock()}


def whoami(ctx: Context) -> dict[str, Any]:
    return {
        "run_id": ctx.run_id,
        "step": ctx.step,
        "index": ctx.index,
        "attempt": ctx.attempt,
        "max_attempts": ctx.max_attempts,
        "previous": [(past.attempt, past.state, past.reason) for past in ctx.previous],
        "fencing_token": ctx.fencing_token,
        "idempotency_key": ctx.idempotency_key,
        "partition": ctx.partition,
        "interval": ctx.data_interval,
    }


def step_of_context() -> str:
    return context().step


def counts_up() -> int:
    ctx = context()
    count = ctx.load(default=0) + 1
    ctx.save(count)
    if count < 3:
        raise ValueError(f"only {count}")
    return count


def reports() -> str:
    ctx = context()
    ctx.progress(1, 4, "loading")
    ctx.progress(2, 4)
    ctx.progress(4, 4, "done with hunter2-secret")
    ctx.add_metadata(rows=17, note="token is hunter2-secret")
    return "rows"


def surrogate_metadata() -> None:
    context().add_metadata("\ud800", 1)


def says(text: str, lines: int = 1) -> None:
    for _ in range(lines):
        print(text)


def says_in_every_way() -> None:
    print("printed")
    print("on stderr", file=sys.stderr)
    logging.getLogger("flights").info("logged")
    subprocess.run(["echo", "by a child"], check=True)
    os.write(1, b"native\n")
    ctypes.CDLL(None).write(2, b"by libc\n", 8)
    print("without end", end="")


def tells_secret() -> None:
    print("the secret is hunter2-secret")
    raise ValueError("hunter2-secret was refused")


def eats(megabytes: int) -> int:
    data = bytearray(megabytes << 20)
    return len(data) >> 20


def waits(started: str) -> None:
    Path(started).touch()
    threading.Event().wait(60)


def waits_and_cleans(started: str, cleaned: str) -> None:
    try:
        waits(started)
    finally:
        Path(cleaned).touch()


def waits_for(path: str) -> str:
    """Ends when the file is there: the test decides when."""
    Path(path).with_suffix(".began").touch()
    while not Path(path).exists():
        threading.Event().wait(0.01)
    return "done"


def changes_folder(to: str) -> str:
    os.chdir(to)
    return "changed"


def folder() -> str:
    return os.getcwd()


def forks_and_kills() -> int:
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        # Python forgets signals that come while it is still forking.
        os.write(into, b"x")
        threading.Event().wait(60)
        os._exit(0)
    os.read(out, 1)
    os.kill(pid, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def is_positive(value: int) -> bool:
    return value > 0


class Result:
    """What a CheckResult looks like."""

    def __init__(self, passed: bool, message: str) -> None:
        self.passed = passed
        self.message = message
        self.metadata = {"seen": 3}


def judged(value: int) -> Result:
    return Result(value > 0, f"{value} is what there is")


def two_assets() -> dict[str, Any]:
    context().add_asset_metadata("a", rows=1)
    return {"a": [1, 2], "b": "text"}


def two_assets_one_by_hand(ctx: Context) -> tuple[str, str]:
    with ctx.member("a") as member:
        member.returns("by hand")
    return "again", "b"


def performs_members(ctx: Context, members: tuple[str, ...]) -> None:
    for name in members:
        with ctx.member(name) as member:
            print(f"making {name}")
            member.returns(name.upper())
    print("all made")


def members_take_turns(ctx: Context, members: tuple[str, ...]) -> None:
    for name in members:
        ctx.member_began(name)
    for turn in (1, 2):
        for name in members:
            ctx.member_log(name, f"{name} {turn}")
    for name in members:
        ctx.member_ended(name, cached_from="run-0/x//1")
    print("all done")


def member_fails(ctx: Context, members: tuple[str, ...]) -> None:
    for name in members:
        ctx.member_began(name)
        state = "failed" if name == "b" else "succeeded"
        ctx.member_ended(name, state, failure=ValueError("no b") if name == "b" else None)


class MemoryIO:
    """Keeps values in files as text."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def dump(self, ctx: Any, value: Any) -> None:
        (self.folder / "kept").write_text(f"{ctx.partition}:{value}")

    def load(self, ctx: Any) -> Any:
        return (self.folder / "kept").read_text()

    def is_there(self, ctx: Any) -> bool:
        return (self.folder / "kept").exists()


async def async_add(a: int, b: int = 1) -> int:
    await asyncio.sleep(0)
    return a + b


async def async_waits(started: str = "") -> None:
    if started:
        Path(started).touch()
    await asyncio.Event().wait()


async def async_raises() -> None:
    raise ValueError("no such flight")


async def async_says(text: str) -> str:
    for n in range(3):
        print(f"{text} {n}")
        print(f"{text} partial", end="")
        await asyncio.sleep(0)
        print(f" {text} rest")
        await asyncio.to_thread(print, f"{text} from a thread")
    return step_of_context()


def calls(home: str) -> dict[str, Call]:
    """All calls of this project."""
    io = MemoryIO(home)
    plain = [
        noop, add, echo, raises, chained, deep, unstorable, step_of_context, counts_up, reports, surrogate_metadata,
        says, says_in_every_way, tells_secret, eats, waits, waits_and_cleans, waits_for, changes_folder, folder,
        forks_and_kills,
    ]  # fmt: skip
    made = [
        *(Call(f.__name__, f) for f in plain),
        *(Call(f.__name__, f, asynchronous=True) for f in (async_add, async_waits, async_raises, async_says)),
        Call("whoami", whoami, context_param="ctx"),
        Call("retried", raises, retry_if=lambda error: isinstance(error, ValueError)),
        Call("predicate_raises", raises, retry_if=lambda error: 1 / 0),
        Call("is_positive", is_positive, check=CheckInfo("flights", "positive", "warn")),
        Call("judged", judged, check=CheckInfo("flights", "judged")),
        Call("until_ten", add, until=lambda state: state >= 10),
        Call("two_assets", two_assets, outs=("a", "b")),
        Call("one_by_hand", two_assets_one_by_hand, context_param="ctx", outs=("a", "b")),
        Call("performs_members", performs_members, context_param="ctx", members_param="members"),
        Call("members_take_turns", members_take_turns, context_param="ctx", members_param="members"),
        Call("member_fails", member_fails, context_param="ctx", members_param="members"),
        Call("stores_itself", echo, io=io),  # type: ignore[arg-type]
        Call("loads_itself", echo, input_io={"value": io}),  # type: ignore[dict-item]
        Call("own_key", add, cache_key=lambda a, b: a),
    ]
    return {call.name: call for call in made}


if __name__ == "__main__":
    import msgspec

    from partita.worker.main import Setup, serve

    with os.fdopen(int(sys.argv[3]), "rb") as file:
        setup = msgspec.msgpack.decode(file.read(), type=Setup)
    sys.modules["worker.steps"] = sys.modules["__main__"]
    serve(int(sys.argv[1]), int(sys.argv[2]), calls(setup.home), setup)
