"""Two schedulers on one PostgreSQL, whose connections are ended and which is stopped again and again, and then is down for long.

    python bench/database_away.py [--minutes 30] [--down 600] [--seed 1]

Real processes: two `partita up` (one leads, one stands by), a schedule due each second with a map of eight steps, a task that takes
half a minute and one that outlasts the long time down. Connections are ended every 0.2 to 5 s, the server is stopped every 5 to 40 s
for up to 2 s (one time in four it is killed). Tasks note their begin and end in a file: one that began and has not ended was killed.
Prints one line of JSON; exits with 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import psycopg

from partita.errors import PartitaError
from partita.settings import Home
from partita.store import opening
from partita.store.own_server import OwnServer
from partita.store.reading import SqlReader

PROJECT = """
import os, time
from pathlib import Path
import partita as pt

MARKS = os.environ["AWAY_MARKS"]

def note(what):
    fd = os.open(MARKS, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (what + "\\n").encode())
    os.close(fd)

@pt.task
def many() -> list[int]:
    return list(range(8))

@pt.task(retries=2)
def one(x: int) -> int:
    name = f"one {time.time_ns()} {os.getpid()} {x}"
    note("begin " + name)
    time.sleep(0.05)
    note("end " + name)
    return x

@pt.pipeline(schedule=pt.every("1s"), catchup="all")
def often():
    one.map(many())

@pt.task
def long(seconds: float) -> float:
    name = f"long {time.time_ns()} {os.getpid()}"
    note("begin " + name)
    end = time.monotonic() + (seconds if not Path(MARKS + ".soon").exists() else float(os.environ["AWAY_DOWN"]) + 60)
    while time.monotonic() < end:
        time.sleep(0.5)
    note("end " + name)
    return seconds

@pt.pipeline(schedule=pt.every("35s", overlap="skip"))
def seldom():
    long(30.0)
"""


class Faults:
    """What is done to the server, until told to end."""

    def __init__(self, server: OwnServer, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self._server = server
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(Random(seed), 0.2, 5.0, self._connections)),
            threading.Thread(target=self._repeat, args=(Random(seed + 1), 5.0, 40.0, self._stop)),
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, dice: Random, least_s: float, most_s: float, what: object) -> None:
        while not self._ended.wait(dice.uniform(least_s, most_s)):
            with suppress(psycopg.Error, PartitaError, OSError):
                what(dice)  # type: ignore[operator]

    def _connections(self, dice: Random) -> None:
        share = dice.choice((0.3, 0.8, 1.0))
        with psycopg.connect(self._server.address, autocommit=True, connect_timeout=2) as connection:
            ended = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND application_name = 'partita' AND random() < %s",
                (share,),
            ).fetchone()
        self.done["connections"] += ended[0] if ended else 0

    def _stop(self, dice: Random) -> None:
        if dice.random() < 0.25:
            self.done["killed"] += 1
            self._server.kill()
        else:
            self.done["stopped"] += 1
            self._server.stop()
        time.sleep(dice.uniform(0.0, 2.0))
        while True:
            try:
                self._server.start()
                return
            except PartitaError:
                time.sleep(0.5)


def up(folder: Path, address: str, marks: Path, down_s: float) -> subprocess.Popen[bytes]:
    folder.mkdir()
    (folder / "pipelines.py").write_text(PROJECT)
    (folder / "pyproject.toml").write_text('[tool.partita]\nname = "away"\n')
    environment = {**os.environ, "PARTITA_STORE": address, "AWAY_MARKS": str(marks), "AWAY_DOWN": str(down_s)}
    command = [str(Path(sys.executable).parent / "partita"), "up", "--no-web"]
    with open(folder / "up.log", "wb") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


def wait_until_caught_up(address: str, timeout_s: float) -> float:
    """Seconds until what was missed was made up for."""
    began = time.monotonic()
    while time.monotonic() < began + timeout_s:
        with suppress(PartitaError), closing(opening.open_reader(Home(Path("/nonexistent"), address))) as reader:
            newest = reader.runs(limit=1)
            if newest and newest[0].created_at > time.time() - 3 and len(reader.open_runs()) < 4:
                return time.monotonic() - began
        time.sleep(0.5)
    raise AssertionError("the schedulers have not caught up")


def judged(reader: SqlReader, marks: Path) -> dict[str, object]:
    """What was kept, and what was broken."""
    findings = [f"{f.invariant}: {f.message}" for f in reader.audit()]
    count, first, last = reader.fetch_raw(
        "SELECT sum(count), min(instant), max(coalesce(until, instant)) FROM ticks WHERE schedule = 'often'"
    )
    states = dict(reader.fetch_rows("SELECT state, count(*) FROM attempts GROUP BY state"))
    runs = dict(reader.fetch_rows("SELECT state, count(*) FROM runs GROUP BY state"))
    lines = marks.read_text().splitlines()
    begun = {line.removeprefix("begin ") for line in lines if line.startswith("begin ")}
    ended = {line.removeprefix("end ") for line in lines if line.startswith("end ")}
    return {
        "findings": findings,
        "ticks": int(count),
        "ticks_missing": int(last - first) + 1 - int(count),
        "runs": runs,
        "attempts": states,
        "tasks_begun": len(begun),
        "tasks_killed": len(begun - ended),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--down", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="partita-away-"))
    folder.chmod(0o755)
    marks = folder / "marks"
    server = OwnServer(folder / "postgres")
    processes: list[subprocess.Popen[bytes]] = []
    try:
        server.start()
        processes = [up(folder / name, server.address, marks, options.down) for name in ("a", "b")]
        wait_until_caught_up(server.address, 60)
        faults = Faults(server, options.seed)
        end = time.monotonic() + options.minutes * 60
        while time.monotonic() < end:
            if time.monotonic() > end - 100 and options.down:
                Path(f"{marks}.soon").touch()
            time.sleep(1.0)
        faults.end()
        wait_until_caught_up(server.address, 120)
        server.stop()
        time.sleep(options.down)
        server.start()
        back_s = wait_until_caught_up(server.address, 600)
        Path(f"{marks}.soon").unlink(missing_ok=True)
        # The task that outlasted it is to end, and whatever else runs.
        time.sleep(100.0 if options.down else 40.0)
        for process in processes:
            process.send_signal(signal.SIGINT)
        statuses = [process.wait(60) for process in processes]
        # Workers finish what they have.
        time.sleep(40.0)
        with closing(opening.open_reader(Home(Path("/nonexistent"), server.address))) as reader:
            figures = judged(_Raw(reader), marks)
    finally:
        for process in processes:
            process.kill()
            process.wait()
        server.stop()
    result = {
        "minutes": options.minutes, "down_s": options.down, "faults": dict(faults.done), "caught_up_s": round(back_s, 1),
        "statuses": statuses, **figures,
    }  # fmt: skip
    print(json.dumps(result), flush=True)
    is_well = (
        not figures["findings"] and not figures["ticks_missing"] and not figures["tasks_killed"] and not any(statuses)
    )
    if is_well:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"kept: {folder}", file=sys.stderr)
    return 0 if is_well else 1


class _Raw:
    """A reader, and questions that are only asked here."""

    def __init__(self, reader: SqlReader) -> None:
        self._reader = reader
        self.audit = reader.audit

    def fetch_rows(self, sql: str) -> list[tuple[object, ...]]:
        return self._reader._db.fetch(sql)

    def fetch_raw(self, sql: str) -> tuple[object, ...]:
        return self.fetch_rows(sql)[0]


if __name__ == "__main__":
    sys.exit(main())
