"""A real service for tests: a scheduler process and a web process over a folder, as `partita up` starts them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2

PIPELINES = '''
import time
import partita as pt

# Whatever a test forgets to let go on ends by itself.
GIVE_UP = time.monotonic() + 300


@pt.task
def extract(region: str) -> int:
    print("extracting", region)
    return 5


@pt.task
def load(rows: int) -> int:
    print("loaded", rows)
    return rows


@pt.pipeline(tags=["daily"])
def nightly(region: str = "eu", days: int = 1):
    """Everything that people look at in the morning."""
    load(extract(region))


@pt.task
def breaks() -> None:
    raise ValueError("the disk is on fire")


@pt.task
def after(x) -> None: ...


@pt.pipeline
def broken():
    after(breaks())


@pt.task
def waits(file: str) -> None:
    from pathlib import Path

    print("waiting", flush=True)
    while not Path(file).exists() and time.monotonic() < GIVE_UP:
        time.sleep(0.005)


@pt.pipeline
def patient(file: str):
    waits(file)


@pt.asset(group="raw", owner="ann")
def flights() -> int:
    """All flights of a day."""
    return 3


@pt.asset
def delays(flights: int) -> int:
    return flights + 1


outside = pt.external_asset("outside", description="made by others")


@pt.task(pool="line")
def holds(file: str) -> None:
    from pathlib import Path

    while not Path(file).exists() and time.monotonic() < GIVE_UP:
        time.sleep(0.005)


@pt.pipeline(max_runs=1, schedule=pt.cron("0 3 29 2 *", tz="UTC"))
def narrow(file: str = "/nowhere"):
    holds(file)


@pt.pipeline
def wide(file: str):
    holds(file)


@pt.pipeline
def deploy():
    go = pt.approval("deploy?", name="go")
    load(extract("eu")) >> go


@pt.task
def rung(number: int) -> int:
    if number == 2:
        raise ValueError("the rung is rotten")
    return number


@pt.task(retries=1, retry_delay=0)
def shaky(ctx: pt.Context) -> list[int]:
    if ctx.attempt == 1:
        raise RuntimeError("not yet")
    return [0, 1, 2, 3]


@pt.task(when="all_done")
def top(rungs: list[int]) -> None: ...


@pt.pipeline
def ladder():
    """Retries, is mapped, and fails in one place."""
    top(rung.map(shaky()))


@pt.task
def ends(held: None) -> None: ...


@pt.pipeline
def held(file: str):
    """Something waits behind what a test holds."""
    # Not `holds` itself: other tests keep its pool full.
    ends(waits.named("holds")(file))


@pt.sensor(narrow, interval="1h")
def orders(ctx: pt.SensorContext):
    return pt.SkipReason("no new order")


@pt.asset(partitions=pt.static(["a", "b", "c"]))
def letters(ctx: pt.Context) -> str:
    return ctx.partition


@pt.asset(partitions=pt.static(["a", "b", "c"]))
def words(letters: str) -> str:
    if letters == "b":
        raise ValueError("no word begins so")
    return letters * 2
'''

SETTINGS = """
[tool.partita]
pools = { line = 1 }
"""


class Part:
    """A process of the service; `ready` is what it said when it answered."""

    def __init__(self, module: str, *arguments: str, folder: Path) -> None:
        self._errors = (folder / f"{module}.err").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=folder,
        )

    def wait_for(self, event: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said: dict[str, Any] = json.loads(line)
            assert said["event"] not in ("failed", "broken"), said
            if said["event"] == event:
                return said
        raise AssertionError(f"it ended before it said {event}: {self.errors()}")

    def errors(self) -> str:
        self._errors.flush()
        return Path(self._errors.name).read_text()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            if self.process.stdout is not None:
                self.process.stdout.close()
            self._errors.close()


class Serving:
    """Both of them."""

    def __init__(self, folder: Path, pipelines: str = PIPELINES, settings: str = SETTINGS) -> None:
        self.folder = folder
        self.home = folder / ".partita"
        (folder / "pipelines.py").write_text(pipelines)
        (folder / "pyproject.toml").write_text(settings)
        self.scheduler = Part(
            "partita.engine.main", "--home", str(self.home), "--workers", "2", str(folder), folder=folder
        )
        self.scheduler.wait_for("loaded")
        self.web = Part("partita.server.main", "--home", str(self.home), folder=folder)
        ready = self.web.wait_for("ready")
        self.address: str = ready["address"]
        self.link: str = ready["link"]
        self.token = (self.home / "token").read_text().strip()

    def client(self, **more: Any) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return httpx2.Client(base_url=self.address, headers=headers, timeout=30.0, **more)

    def end(self) -> tuple[int, int]:
        return self.web.end(), self.scheduler.end()
