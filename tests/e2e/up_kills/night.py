"""A night of `partita up` whose processes are killed at random moments, and what must hold after each kill and at its end.

`python -m tests.e2e.up_kills.night --kills 500 --seed 0` plays nights one after the other in temporary folders and tells
what came of it as JSON: kills by victim, runs, ticks, attempts, violations.

Rule: it acts as a user's machine does, by signals and by the command line; what it checks it reads from the store, the logs
and a ledger that the steps keep.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import psutil

from partita.errors import PartitaError
from partita.settings import Home
from partita.store import backfills, schedules
from partita.store.sqlite import SqliteReader, open_reader
from partita.worker.logs import log_end, read_log

HERE = Path(__file__).parent
SCHEDULES = ("often", "each_minute", "gated")
VICTIMS = ("scheduler", "web", "host", "worker", "supervisor")
PATIENCE_S = 90.0
KILLS_A_NIGHT = 25
# The supervisor gives up a part that dies more often within a minute, which is a promise of its own.
_MOST_DEATHS = 4
_LINES = 20
_PARTITIONS = 61


class Night:
    """One project folder, the service on it, and the hand that kills."""

    def __init__(self, folder: Path, seed: str) -> None:
        self.folder = folder
        self.rng = Random(seed)
        self.home = Home(folder / ".partita")
        self.kills: Counter[str] = Counter()
        self.items = 0
        # Logs without a footer.
        self.cut = 0
        self._deaths: Counter[str] = Counter()
        self._up: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "pipelines.py", folder)
        (folder / ".killed").mkdir(exist_ok=True)

    # --- the night ------------------------------------------------------------------------------------------------

    def play(self, kills: int) -> dict[str, int]:
        """All of it; what it did, in figures. Raises `AssertionError` with what is wrong."""
        try:
            self._start()
            self._partita("backfill", "start", "daily", "--max-runs", "3")
            for _ in range(kills):
                self._wait_a_moment()
                self._kill(self._victim())
                self._check_alive()
            self._settle()
            self._end()
            return self._check_end()
        finally:
            self._clear()

    def _wait_a_moment(self) -> None:
        """The world goes on; the end of the supervisor would be a violation."""
        self.items += self.rng.randint(0, 2)
        (self.folder / "items").write_bytes(b"." * self.items)
        with contextlib.suppress(subprocess.TimeoutExpired):
            assert self._up is not None
            status = self._up.wait(self.rng.uniform(0.05, 1.2))
            raise AssertionError(f"the service ended by itself with {status}: {self._words()}")

    def _victim(self) -> str:
        victim = self.rng.choice(VICTIMS)
        return "supervisor" if self._deaths[victim] >= _MOST_DEATHS else victim

    def _kill(self, victim: str) -> None:
        pid = self._pid(victim)
        if pid is None:
            return  # between two of its lives
        os.kill(pid, signal.SIGKILL)
        self.kills[victim] += 1
        self._deaths[victim] += 1
        if victim == "supervisor":
            assert self._up is not None
            self._up.wait(PATIENCE_S)
            self._start()

    def _pid(self, victim: str) -> int | None:
        assert self._up is not None
        if victim == "supervisor":
            return self._up.pid
        part = self._parts().get("web" if victim == "web" else "scheduler")
        if part is None or victim in ("web", "scheduler"):
            return part if part is not None and psutil.pid_exists(part) else None
        try:
            hosts = psutil.Process(part).children()
            pool = hosts if victim == "host" else [w for host in hosts for w in host.children()]
        except psutil.Error:
            return None
        return self.rng.choice(sorted(p.pid for p in pool)) if pool else None

    # --- the service ----------------------------------------------------------------------------------------------

    def _environment(self) -> dict[str, str]:
        own = {"UP_KILLS_LEDGER": str(self.folder), "TZ": "UTC", "NO_COLOR": "1"}
        return {**{k: v for k, v in os.environ.items() if k != "PARTITA_HOME"}, **own}

    def _start(self) -> None:
        self._deaths.clear()
        self._said = (self.folder / "up.log").open("ab")
        with closing(self._said):
            self._up = subprocess.Popen(
                [sys.executable, "-m", "partita.cli.main", "up", "--port", "0", "--workers", "2", "--json"],
                cwd=self.folder,
                stdout=self._said,
                stderr=self._said,
                env=self._environment(),
                start_new_session=True,
            )
        self._await(lambda: self._is_healthy() and self._is_loaded(), "the service answers")

    def _partita(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "partita.cli.main", *words],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, f"partita {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def _file(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.home.service.read_bytes())
        except (OSError, ValueError):
            return {}
        return found

    def _parts(self) -> dict[str, int]:
        return dict(self._file().get("parts", {}))

    def _is_healthy(self) -> bool:
        assert self._up is not None
        found = self._file()
        if self._up.pid != found.get("pid"):
            return False  # what an earlier one has written
        address = str(found.get("address") or "").removeprefix("http://")
        if not address:
            return False
        connection = http.client.HTTPConnection(address, timeout=5.0)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        return False

    def _is_loaded(self) -> bool:
        with contextlib.suppress(PartitaError), closing(open_reader(self.home.db)) as reader:
            return schedules.schedule(reader, "default", "often") is not None
        return False

    def _await(self, is_so: Callable[[], bool], what: str) -> None:
        """Poll until it is so; the service's own end, and a deadline, are the limits."""
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < deadline, f"not within {PATIENCE_S:g} s: {what}: {self._words()}"
            assert self._up is not None
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self._up.wait(0.02)
                raise AssertionError(f"the service ended with {status}, waiting until {what}: {self._words()}")

    def _words(self) -> str:
        return (self.folder / "up.log").read_text(errors="replace")[-1500:]

    # --- after each kill ------------------------------------------------------------------------------------------

    def _check_alive(self) -> None:
        """The port answers, and a tick that came after the kill is decided: nothing that matters hangs."""
        killed_at = time.time()
        self._await(self._is_healthy, "the port answers again")
        self._await(lambda: self._last_tick() >= killed_at - 2.0, "a tick after the kill is decided")
        with closing(open_reader(self.home.db)) as reader:
            for name in SCHEDULES:
                _check_ticks(reader, name)

    def _last_tick(self) -> float:
        with contextlib.suppress(PartitaError), closing(open_reader(self.home.db)) as reader:
            row = schedules.schedule(reader, "default", "often")
            return (row.last_at or 0.0) if row is not None else 0.0
        return 0.0

    # --- at the end -----------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """No new ticks; everything that there is comes to its end."""
        for name in SCHEDULES:
            self._partita("schedules", "pause", name)
        self._await(lambda: not self._open(), "every run and backfill has ended, and every item has its run")

    def _open(self) -> list[str]:
        with closing(open_reader(self.home.db)) as reader:
            left = [f"run {row.no} of {row.pipeline}" for row in reader.open_runs()]
            left += [f"backfill {row.no}" for row in backfills.open_backfills(reader)]
            left += [f"item {n}" for n in range(self.items) if _run_of_item(reader, n) is None]
        return left

    def _end(self) -> None:
        assert self._up is not None
        self._up.send_signal(signal.SIGTERM)
        assert self._up.wait(PATIENCE_S) == 0, self._words()
        self._up = None

    def _clear(self) -> None:
        """Whatever happened, nothing of it stays."""
        if self._up is None:
            return
        mine = [self._up.pid]
        with contextlib.suppress(psutil.Error):
            mine = [p.pid for p in psutil.Process(self._up.pid).children(recursive=True)] + mine
        for pid in mine:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._up.wait(PATIENCE_S)
        self._up = None

    def _check_end(self) -> dict[str, int]:
        overlaps = [line for line in self._ledger() if line.startswith("OVERLAP")]
        assert not overlaps, f"two copies of a step ran at once: {overlaps[:3]}"
        self._partita("db", "audit")
        with closing(open_reader(self.home.db)) as reader:
            ticks = sum(_check_ticks(reader, name) for name in SCHEDULES)
            assert [str(f) for f in reader.audit()] == []
            runs = reader.runs(limit=100_000)
            bad = [f"{r.no} {r.pipeline} {r.state} {r.reason}" for r in runs if r.state != "succeeded"]
            assert not bad, f"runs that should have succeeded: {bad[:5]}"
            (row,) = backfills.backfills(reader)
            assert row.state == "succeeded", row
            assert backfills.counts(reader, row).get("succeeded") == row.total == _PARTITIONS
            attempts = sum(self._check_logs(reader, run.id, run.no) for run in runs)
        # Only who pumps the output can cut it off, and that for what runs there at that moment.
        assert self.cut <= 4 * self.kills["host"], (
            f"{self.cut} logs are cut off, {self.kills['host']} hosts were killed"
        )
        return {"ticks": ticks, "runs": len(runs), "attempts": attempts, "items": self.items, "logs cut": self.cut}

    def _ledger(self) -> list[str]:
        path = self.folder / "ledger"
        return path.read_text().splitlines() if path.exists() else []

    def _check_logs(self, reader: SqliteReader, run: str, no: int) -> int:
        """Logs are whole: with a footer that says so everything is there; else it is said to grow, and is a beginning."""
        attempts = reader.attempts(run)
        for attempt in attempts:
            if attempt.state != "succeeded":
                continue
            where = (self.home, no, attempt.step, attempt.index, attempt.attempt)
            told = [line.text for line in read_log(*where)]
            end = log_end(*where)
            wanted = [f"line {n}" for n in range(_LINES)] if attempt.step == "first" else [f"{_LINES} lines before"]
            is_whole = end is not None and end.state == "complete"
            self.cut += not is_whole
            assert told == (wanted if is_whole else wanted[: len(told)]), f"run {no} {attempt.step} {end}: {told}"
        return len(attempts)


def _check_ticks(reader: SqliteReader, name: str) -> int:
    """Each due instant has one decision and its one run, without a gap. How many there are."""
    row = schedules.schedule(reader, "default", name)
    assert row is not None
    found = schedules.ticks(reader, "default", name, limit=100_000)[::-1]
    told = [t.instant for t in found if not row.paused or t.decision == "run"]
    if not told:
        return 0
    wanted: list[float] = []
    for instant in row.spec.timetable().ticks(int(row.effective_from)):
        if instant > told[-1]:
            break
        wanted.append(float(instant))
    assert told == wanted, f"{name}: ticks lost or doubled: {sorted(set(told) ^ set(wanted))[:5]}"
    assert all(t.decision == "run" and t.run for t in found), [t for t in found if t.decision != "run"][:2]
    return len(told)


def _run_of_item(reader: SqliteReader, item: int) -> str | None:
    return reader.run_of_origin("default", f"sensor:items:item-{item}")


def main() -> int:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--kills", type=int, default=500)
    args.add_argument("--seed", type=int, default=0)
    chosen = args.parse_args()
    total: Counter[str] = Counter()
    number, wrong = chosen.seed, 0
    while sum(total[v] for v in VICTIMS) < chosen.kills and wrong < 3:
        root = Path(tempfile.mkdtemp(prefix="partita-night-"))
        night = Night(root / "project", f"night {number}")
        try:
            total.update(night.play(min(KILLS_A_NIGHT, chosen.kills)))
            shutil.rmtree(root, ignore_errors=True)
        except AssertionError as error:
            wrong += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(f"night {number} in {root}: line {where.lineno} in {where.name}: {error}", flush=True)
        total.update(night.kills)
        total.update(nights=1)
        number += 1
        print(json.dumps({**total, "violations": wrong}), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
