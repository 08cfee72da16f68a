"""Real projects in temporary folders, and `partita` called on them: in this process, or as people call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from partita.cli import main

GOOD = '''
import partita as pt


@pt.task(retries=1, label="{source}", owner="flights")
def extract(source: str, broken: str) -> int:
    print("reading", source)
    if source == broken:
        print("columns: year, month")
        raise ValueError("column 'dep_delay' is missing")
    return len(source)


@pt.task
def total(sizes: list[int]) -> int:
    return sum(sizes)


@pt.task
def publish(count: int) -> str:
    return f"{count} rows"


@pt.task(when="any_failed")
def alert() -> None:
    print("somebody should look")


@pt.pipeline(owner="flights", schedule=pt.cron("0 3 * * *", tz="UTC"))
def daily(region: str = "eu", broken: str = "", limit: int = 3):
    """Every source, summed up."""
    done = total(extract.partial(broken=broken).map(["aa", "bbb", "cccc"]))
    publish(done) >> alert()


@pt.task
def nothing() -> None:
    pass


@pt.pipeline
def one():
    nothing()


day = pt.daily(start="2013-01-01", end="2014-01-01")


@pt.asset(partitions=day, group="raw", owner="flights")
def flights(ctx: pt.Context) -> list[int]:
    ctx.add_metadata(rows=3)
    return [1, 2, 3]


@pt.asset(partitions=day)
def delays(flights: list[int]) -> int:
    """The sum of all delays."""
    return sum(flights)


@pt.check(delays, blocking=True)
def delays_are_plausible(delays: int) -> bool:
    return delays < 100
'''


@dataclass(frozen=True)
class Said:
    """What a command has said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Partita = Callable[..., Said]


def call(capture: pytest.CaptureFixture[str], folder: Path, *words: str) -> Said:
    """Call `partita` in this process, in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    capture.readouterr()
    try:
        status = main.run(list(words))
    finally:
        os.chdir(before)
    said = capture.readouterr()
    return Said(status, said.out, said.err)


def write_project(folder: Path, text: str = GOOD) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipelines.py").write_text(text)
    return folder


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "partita.cli.main", *words]


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "PARTITA_HOME")}
    return {**kept, "PARTITA_WORKERS": "2", "TZ": "UTC", **more}


def shell(folder: Path, *words: str, **more: str) -> Said:
    """Call `partita` as a process."""
    done = subprocess.run(
        command(*words), cwd=folder, capture_output=True, text=True, timeout=60, env=environment(**more)
    )
    return Said(done.returncode, done.stdout, done.stderr)


HANGING = '''
import os
from pathlib import Path
import partita as pt

HERE = Path(__file__).parent


@pt.task(grace="20s", on_lost="retry")
def stuck() -> None:
    """Says that it has begun, then waits until somebody lets it go."""
    print("begun", flush=True)
    with open(HERE / "begun", "w") as pipe:
        pipe.write("x")
    with open(HERE / "go") as pipe:
        pipe.read()
    print("let go", flush=True)


@pt.task
def after() -> None:
    pass


@pt.pipeline
def slow():
    stuck() >> after()


@pt.pipeline
def quick():
    after()
'''


class Hanging:
    """A project whose step hangs until it is let go, and the process that runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = write_project(folder, HANGING)
        os.mkfifo(folder / "begun")
        os.mkfifo(folder / "go")
        self.process: subprocess.Popen[str] | None = None

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Run it in a process of its own, and return when the step has begun."""
        self.go_on(*words)
        with open(self.folder / "begun") as pipe:
            assert pipe.read() == "x"
        assert self.process is not None
        return self.process

    def go_on(self, *words: str) -> subprocess.Popen[str]:
        """Run it in a process of its own, without waiting for anything."""
        self.process = subprocess.Popen(
            command(*(words or ("run", "slow"))),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            start_new_session=True,
        )
        return self.process

    def let_go(self) -> None:
        with open(self.folder / "go", "w") as pipe:
            pipe.write("x")

    def end(self) -> Said:
        """Wait for the process."""
        assert self.process is not None
        out, err = self.process.communicate(timeout=30)
        return Said(self.process.returncode, out, err)

    def kill(self) -> None:
        """The engine dies; its workers do not."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate(timeout=30)
