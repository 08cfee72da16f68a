"""Schedulers that fight over one PostgreSQL: 2,000 schedules due each minute of 24 hours, on a clock that runs fast.

    python bench/fighting.py [--schedules 2000] [--hours 24] [--minutes 30] [--schedulers 3]

Each scheduler is a process of its own with the engine, the ticker and the store as `partita up` puts them together. Virtual time is
the machine's times a factor, so leases too are real ones (`--lease` seconds). Meanwhile the one that leads is stopped for half to
ten leases: anywhere, right before a commit, or in the midst of one; each minute one is killed; schedules are edited. What an
older epoch tries to write is counted as it is refused. One schedule in ten makes runs that come to their end, the
others have a run that goes on for ever and skip. Prints one line of JSON; exits with 1 if a decision is missing or doubled.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import functools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from partita.core.graph import Graph, Step
from partita.core.manifest import Manifest, PipelineSpec, ScheduleSpec
from partita.engine.service import Service
from partita.engine.tenure import stand_by
from partita.errors import Fenced, PartitaError, StoreFull, StoreLocked
from partita.executors import verdicts
from partita.executors.contract import Assignment, Demand, Ended, OpenAttempt, Placement, Report
from partita.settings import Home, Settings
from partita.store import opening
from partita.store.own_server import OwnServer
from partita.store.postgres import PostgresStore, open_store
from partita.worker.wire import Outcome

MINUTE = 60.0
# One schedule in so many makes runs that end.
QUICK = 10


class FastClock:
    """The machine's time since `began`, times `speed`, after `base`: the same in all processes."""

    def __init__(self, began: float, base: float, speed: float) -> None:
        self.began, self.base, self.speed = began, base, speed

    def now(self) -> float:
        return self.base + (time.time() - self.began) * self.speed


class FastExecutor:
    """Steps named "quick" succeed at once, all others never end."""

    def __init__(self, clock: FastClock) -> None:
        self._clock = clock
        self._reports: list[Report] = []
        self._woken = threading.Event()

    def place(self, demand: Demand) -> Placement | None:
        return Placement("here", 0)

    def unplace(self, placement: Placement) -> None: ...

    def submit(self, assignments: Sequence[Assignment]) -> None:
        now = self._clock.now()
        quick = [a for a in assignments if a.brief.step == "quick"]
        self._reports += [Ended(Outcome(a.ticket.no, "succeeded", now, now)) for a in quick]

    def kill(self, ticket_no: int, *, reason: str) -> None: ...

    def poll(self, timeout_s: float) -> list[Report]:
        if not self._reports:
            self._woken.wait(timeout_s / self._clock.speed)
        self._woken.clear()
        reports, self._reports = self._reports, []
        return reports

    def wake(self) -> None:
        self._woken.set()

    def adopt(self, attempts: Sequence[OpenAttempt]) -> None:
        now = self._clock.now()
        lost = [a for a in attempts if a.step == "quick"]
        self._reports += [Ended(verdicts.lost(a.no, "its scheduler is gone", a.started_at, now)) for a in lost]

    def describe(self) -> list[str]:
        return []

    def close(self, *, kill: bool = False) -> None: ...


def manifest(count: int, first: float, last: float, edition: int) -> Manifest:
    """So many schedules, each due every minute from `first` to `last`. Each edition says it in other words."""
    start, end = (dt.datetime.fromtimestamp(at, dt.UTC).isoformat() for at in (first, last + 1))
    dice = Random(edition)
    pipelines = []
    for i in range(count):
        kind = "quick" if i % QUICK == 0 else "held"
        # The same instants; a change of the rule is an edit of when, one of the description is not.
        rule = "cron */1 * * * *" if edition and dice.random() < 0.5 else "cron * * * * *"
        spec = ScheduleSpec(
            f"s{i}", rule, catchup="all", overlap="allow" if kind == "quick" else "skip", start=start, end=end,
            description=f"edition {edition}" if dice.random() < 0.5 else "",
        )  # fmt: skip
        pipelines.append(PipelineSpec(f"p{i}", _graph(kind), schedules=(spec,)))
    return Manifest("fight", pipelines=tuple(pipelines))


@functools.cache
def _graph(kind: str) -> Graph:
    return Graph(kind, (Step(kind),))


# --- a scheduler ------------------------------------------------------------------------------------------------------


def schedule(options: argparse.Namespace) -> int:
    """One scheduler's process: stand by, lead, end when the lease is somebody else's."""
    clock = FastClock(options.began, options.base, options.speed)
    lease_s = options.lease * options.speed
    told = os.open(options.told, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def tell(**what: object) -> None:
        os.write(told, json.dumps({"at": time.time(), "pid": os.getpid(), **what}).encode() + b"\n")

    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    holder = f"scheduler {options.scheduler}:{os.getpid()}"
    try:
        store = open_store(options.address, clock=clock.now)
    except StoreFull:
        return 3
    _make_stoppable(store, tell)

    def wait(seconds: float) -> bool:
        return ended.wait(min(seconds, options.lease / 4))

    if not stand_by(
        store, holder=holder, lease_s=lease_s, is_gone=lambda name: False, wait=wait, tell=lambda problem: None
    ):
        return 0
    home = Home(Path(options.folder) / f"home-{options.scheduler}", options.address)
    home.root.mkdir(parents=True, exist_ok=True)
    settings = Settings.of(Path(options.folder), home=home, lease_s=lease_s)
    try:
        service = Service(store, FastExecutor(clock), settings=settings, clock=clock, holder=holder)
        edition = _edition(options)
        service.load(manifest(options.schedules, options.first, options.last, edition))
        service.start()
        tell(leads=service.engine.epoch)
        while not ended.is_set():
            service.turn(5.0)
            if (newer := _edition(options)) != edition:
                edition = newer
                service.load(manifest(options.schedules, options.first, options.last, edition))
        service.close()
    except (Fenced, StoreLocked) as error:
        tell(over=type(error).__name__)
        return 3
    return 0


def _edition(options: argparse.Namespace) -> int:
    return int((Path(options.folder) / "edition").read_text())


def _make_stoppable(store: PostgresStore, tell: Callable[..., None]) -> None:
    """USR1 stops this process right before its next commit, USR2 in the midst of it; what is refused is told."""
    stops: dict[str, bool] = {"before": False, "inside": False}

    def note(where: str) -> Callable[..., None]:
        return lambda *_: stops.update({where: True})

    def stop(where: str) -> None:
        if stops[where]:
            stops[where] = False
            os.kill(os.getpid(), signal.SIGSTOP)

    signal.signal(signal.SIGUSR1, note("before"))
    signal.signal(signal.SIGUSR2, note("inside"))
    commit, fence, acquire = store.commit, store._fence, store.acquire

    def commit_after_a_stop(*args: Any, **more: Any) -> Any:
        stop("before")
        try:
            return commit(*args, **more)
        except Fenced:
            tell(refused="commit")
            raise

    def fence_before_a_stop(epoch: int | None) -> None:
        fence(epoch)
        stop("inside")

    leads: list[bool] = []

    def acquire_told(resource: str, holder: str, ttl_s: float) -> Any:
        try:
            lease = acquire(resource, holder, ttl_s)
        except StoreLocked:
            if leads:
                tell(refused="renewal")
            raise
        leads.append(True)
        return lease

    store.commit = commit_after_a_stop  # type: ignore[method-assign]
    store._fence = fence_before_a_stop  # type: ignore[method-assign]
    store.acquire = acquire_told  # type: ignore[method-assign]


# --- who starts, stops and kills them ---------------------------------------------------------------------------------


class Fight:
    """The schedulers' processes, and what is done to them."""

    def __init__(self, options: argparse.Namespace, command: Sequence[str], folder: Path, address: str) -> None:
        self._options, self._command, self._folder, self._address = options, command, folder, address
        self._dice = Random(options.seed)
        self._processes: list[subprocess.Popen[bytes]] = []
        self.done: Counter[str] = Counter()
        self.starts = 0
        # Seconds from the death of the leader until another one led.
        self.taken_over: list[float] = []
        # What was stopped goes on by a timer of its own.
        self._timers: list[threading.Timer] = []

    def begin(self) -> None:
        self._processes = [self._start(number) for number in range(self._options.schedulers)]

    def keep_alive(self) -> None:
        """Start again whoever has ended."""
        for number, process in enumerate(self._processes):
            if process.poll() is not None:
                self._processes[number] = self._start(number)

    def stop_one(self) -> None:
        """Stop the leader, or now and then somebody else, for half to ten leases."""
        leader = self._leader()
        if leader is None or _stands_still(leader.pid):
            return
        what = self._dice.choices(("before a commit", "anywhere", "inside a commit", "a standby"), (6, 2, 1, 1))[0]
        victim = leader
        if what == "a standby":
            victim = next((p for p in self._processes if p is not leader and p.poll() is None), leader)
        how = {"before a commit": signal.SIGUSR1, "inside a commit": signal.SIGUSR2}.get(what, signal.SIGSTOP)
        self.done[f"stopped {what}"] += 1
        stopped_s = self._options.lease * math.exp(self._dice.uniform(math.log(0.5), math.log(10.0)))
        with contextlib.suppress(ProcessLookupError):
            victim.send_signal(how)
        timer = threading.Timer(stopped_s, self._go_on, (victim,))
        self._timers.append(timer)
        timer.start()

    def kill_one(self) -> None:
        """Kill the leader, and see how long it takes until another one has its place."""
        leader = self._leader()
        if leader is None:
            return
        before = self._lease()
        self.done["killed"] += 1
        leader.kill()
        leader.wait()
        began = time.monotonic()
        while time.monotonic() < began + 10 * self._options.lease:
            time.sleep(0.02)
            now = self._lease()
            if now is not None and before is not None and now[1] > before[1]:
                self.taken_over.append(time.monotonic() - began)
                break

    def end(self) -> None:
        for timer in self._timers:
            timer.cancel()
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def go_on_all(self) -> None:
        for process in self._processes:
            self._go_on(process)

    def _go_on(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        self.starts += 1
        with open(self._folder / f"scheduler-{number}.log", "ab") as log:
            return subprocess.Popen([*self._command, "--scheduler", str(number)], stdout=log, stderr=log)

    def _lease(self) -> tuple[str, int] | None:
        with psycopg.connect(self._address) as connection:
            row = connection.execute("SELECT holder, epoch FROM leases WHERE resource = 'engine'").fetchone()
        return (str(row[0]), int(row[1])) if row else None

    def _leader(self) -> subprocess.Popen[bytes] | None:
        lease = self._lease()
        pid = int(lease[0].rpartition(":")[2]) if lease and lease[0] else 0
        return next((p for p in self._processes if p.pid == pid and p.poll() is None), None)


def _stands_still(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def fight(options: argparse.Namespace) -> dict[str, Any]:
    """All of it; what came of it."""
    folder = Path(tempfile.mkdtemp(prefix="partita-fight-"))
    folder.chmod(0o755)
    server = OwnServer(folder / "postgres")
    minutes = int(options.hours * 60)
    speed = minutes / options.minutes
    # Everything is loaded before the first tick is due.
    began, lead_s = time.time(), options.lead
    base = math.ceil(began / 86400) * 86400.0 - lead_s * speed
    first = base + lead_s * speed
    last = first + (minutes - 1) * MINUTE
    told = folder / "told"
    told.touch()
    (folder / "edition").write_text("0")
    (folder / "pyproject.toml").write_text('[tool.partita]\nname = "fight"\n')
    try:
        server.start()
        command = [
            sys.executable, __file__, "--schedules", options.schedules, "--lease", options.lease, "--address", server.address,
            "--folder", folder, "--told", told, "--began", repr(began), "--base", repr(base), "--speed", repr(speed),
            "--first", repr(first), "--last", repr(last),
        ]  # fmt: skip
        running = Fight(options, [str(part) for part in command], folder, server.address)
        total = options.schedules * minutes
        try:
            running.begin()
            _rage(options, running, folder, FastClock(began, base, speed), last)
            took = _finish(running, server.address, total, options)
        finally:
            running.end()
        result = {
            "schedulers": options.schedulers, "schedules": options.schedules, "virtual_hours": options.hours, "ticks": total,
            "took_min": round((took - began) / 60, 1), "speed": round(speed, 1), "lease_s": options.lease, "starts": running.starts,
            "faults": dict(running.done), "edits": int((folder / "edition").read_text()), **_told(told),
            "taken_over_s": [round(s, 2) for s in sorted(running.taken_over)[-1:]], **judged(server.address, total, minutes, first, last),
        }  # fmt: skip
    finally:
        server.stop()
    if result["is_well"]:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"kept: {folder}", file=sys.stderr)
    return result


def _rage(options: argparse.Namespace, running: Fight, folder: Path, clock: FastClock, last: float) -> None:
    """Stop, kill and edit until the last tick is due."""
    dice = Random(options.seed + 1)
    stop_at = kill_at = edit_at = time.monotonic() + options.lead
    edition = 0
    while clock.now() < last + MINUTE:
        time.sleep(0.1)
        running.keep_alive()
        now = time.monotonic()
        with contextlib.suppress(psycopg.Error):
            if now > kill_at:
                running.kill_one()
                kill_at = now + options.kill_every
            elif now > stop_at:
                running.stop_one()
                stop_at = now + options.stop_every * dice.uniform(0.5, 1.5)
        if now > edit_at:
            edition += 1
            making = folder / "edition.new"
            making.write_text(str(edition))
            making.replace(folder / "edition")
            edit_at = now + options.edit_every * dice.uniform(0.5, 1.5)


def _finish(running: Fight, address: str, total: int, options: argparse.Namespace) -> float:
    """Let all go on until everything is decided; when that was."""
    deadline = time.monotonic() + options.patience
    while time.monotonic() < deadline:
        running.go_on_all()
        running.keep_alive()
        with contextlib.suppress(psycopg.Error), psycopg.connect(address) as connection:
            if _decided(connection) >= total:
                return time.time()
        time.sleep(1.0)
    return time.time()


def _decided(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT coalesce(sum(count), 0) FROM ticks").fetchone()
    return int(row[0]) if row else 0


def _told(told: Path) -> dict[str, Any]:
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    refused = Counter(line["refused"] for line in lines if "refused" in line)
    return {
        "epochs": max((line["leads"] for line in lines if "leads" in line), default=0),
        "refused_commits": refused["commit"],
        "refused_renewals": refused["renewal"],
    }


def judged(address: str, total: int, minutes: int, first: float, last: float) -> dict[str, Any]:
    """Each instant of each schedule has one decision, each run a tick, and the audit finds nothing."""
    with psycopg.connect(address) as connection:
        decided = _decided(connection)
        gaps = connection.execute(
            "SELECT count(*) FROM (SELECT instant, lag(coalesce(until, instant)) OVER (PARTITION BY schedule ORDER BY instant)"
            " AS before FROM ticks) AS t WHERE before IS NOT NULL AND instant <> before + 60"
        ).fetchone()
        odd = connection.execute(
            "SELECT count(*) FROM (SELECT schedule FROM ticks GROUP BY schedule HAVING sum(count) <> %s OR min(instant) <> %s"
            " OR max(coalesce(until, instant)) <> %s) AS t",
            (minutes, first, last),
        ).fetchone()
        kinds = dict(connection.execute("SELECT decision, sum(count)::int8 FROM ticks GROUP BY decision").fetchall())
        runs = dict(connection.execute("SELECT state, count(*) FROM runs GROUP BY state").fetchall())
        runless = connection.execute(
            "SELECT count(*) FROM ticks AS t WHERE decision = 'run' AND NOT EXISTS (SELECT 1 FROM runs WHERE id = t.run)"
        ).fetchone()
        spare = connection.execute(
            "SELECT count(*) FROM runs AS r WHERE NOT EXISTS (SELECT 1 FROM ticks AS t WHERE t.run = r.id)"
        ).fetchone()
    began = time.monotonic()
    with contextlib.closing(opening.open_reader(Home(Path("/nonexistent"), address))) as reader:
        # Of millions of rows each question takes longer than a service may.
        reader._db.fetch("SET statement_timeout = 0")
        findings = [f"{f.invariant}: {f.message}" for f in reader.audit()]
    doubled_or_missing = (gaps[0] if gaps else -1) + (odd[0] if odd else -1)
    runless_or_spare = (runless[0] if runless else -1) + (spare[0] if spare else -1)
    return {
        "decisions": decided, "kinds": kinds, "runs": runs, "doubled_or_missing": doubled_or_missing,
        "runs_without_tick_or_back": runless_or_spare, "findings": findings[:5], "audit_s": round(time.monotonic() - began, 1),
        "is_well": decided == total and not doubled_or_missing and not runless_or_spare and not findings,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=2_000)
    parser.add_argument("--hours", type=float, default=24.0, help="virtual")
    parser.add_argument("--minutes", type=float, default=30.0, help="real minutes that they are to take")
    parser.add_argument("--schedulers", type=int, default=3)
    parser.add_argument("--lease", type=float, default=2.0, help="seconds")
    parser.add_argument("--lead", type=float, default=20.0, help="seconds before the first tick")
    parser.add_argument("--stop-every", type=float, default=8.0)
    parser.add_argument("--kill-every", type=float, default=60.0)
    parser.add_argument("--edit-every", type=float, default=20.0)
    parser.add_argument("--patience", type=float, default=3600.0, help="seconds to wait for what is left at the end")
    parser.add_argument("--seed", type=int, default=1)
    # For the schedulers themselves.
    for name, kind in (("scheduler", int), ("address", str), ("folder", str), ("told", str), ("began", float), ("base", float),
                       ("speed", float), ("first", float), ("last", float)):  # fmt: skip
        parser.add_argument(f"--{name}", type=kind, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.scheduler is not None:
        try:
            return schedule(options)
        except PartitaError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return 3
    result = fight(options)
    print(json.dumps(result), flush=True)
    return 0 if result["is_well"] else 1


if __name__ == "__main__":
    sys.exit(main())
