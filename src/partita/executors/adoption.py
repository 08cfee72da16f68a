"""What an earlier engine left running: watched until it ends, its outcome taken from the spool.

A worker that lost its engine finishes its step and spools the outcome; its host notes how a worker died. So an attempt is
open for as long as its worker lives (the same process, not only the same pid), and then there is an outcome, a
note, or nothing: nothing is "lost".

Rule: nothing is killed for being unknown. A spooled outcome that was reported is only put aside (`spool/taken`), for
nobody here knows when it is committed: the next adoption looks at it once more, and removes what nobody waits for.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from partita.executors import verdicts
from partita.executors.contract import Ended, OpenAttempt, Report
from partita.executors.deaths import forget_deaths, read_death
from partita.executors.identity import is_alive, pid_of
from partita.executors.killing import kill_session, members, signal_group
from partita.settings import Home
from partita.worker.spool import read_spool, take
from partita.worker.wire import Outcome, Spooled

_LOOK_S = 0.1
# How long after a death its host may take to write down why.
_NOTE_S = 1.0
_NEVER = float("inf")
GONE = "the scheduler was restarted and the worker is gone"


class _Adopted:
    """An attempt that is watched."""

    def __init__(self, attempt: OpenAttempt) -> None:
        self.attempt = attempt
        self.pid = pid_of(attempt.worker)
        self.reason = ""
        self.asked_at = 0.0
        self.came: Outcome | None = None
        # All monotonic.
        self.kill_at = _NEVER
        self.gone_at = _NEVER
        timeout_s = attempt.policies.timeout_s
        left_s = _NEVER if timeout_s is None else attempt.started_at + timeout_s - time.time()
        self.times_out_at = time.monotonic() + max(0.0, left_s)


class Adoption:
    """Open attempts of an earlier engine, by ticket number. `wake` is called when it is worth looking at once."""

    def __init__(self, home: Home, selector: selectors.BaseSelector, wake: Callable[[], None]) -> None:
        self._spool = home.spool
        self._selector = selector
        self._wake = wake
        self._open: dict[int, _Adopted] = {}
        self._watches: dict[str, int] = {}
        self._taken = home.spool / "taken"
        self._left: set[str] = set()
        # The spool is to be gone through even if nothing is open: what lies there is of no more use.
        self._unread = False
        self.notes: list[str] = []

    def take_over(self, attempts: Sequence[OpenAttempt]) -> None:
        """Watch these attempts from now on."""
        for attempt in attempts:
            self._open[attempt.no] = _Adopted(attempt)
        for worker in {attempt.worker for attempt in attempts}:
            self._watch(worker)
        self._put_back()
        self._unread = True
        forget_deaths(self._spool, keep={adopted.attempt.worker for adopted in self._open.values()})

    def kill(self, no: int, reason: str) -> None:
        """End an adopted attempt: its worker's process group, politely first."""
        adopted = self._open.get(no)
        if adopted is None or adopted.reason:
            return
        adopted.reason = reason
        adopted.asked_at = time.time()
        adopted.kill_at = time.monotonic() + adopted.attempt.policies.grace_s
        if adopted.pid and is_alive(adopted.attempt.worker):
            signal_group(adopted.pid, signal.SIGTERM)
        self._wake()

    def look(self, now: float) -> list[Report]:
        """What was found since the last look: outcomes, and before that of a bundle what it said of its members."""
        if not self._open and not self._unread:
            return []
        self._unread = False
        reports = self._from_spool()
        for adopted in list(self._open.values()):
            if adopted.times_out_at <= now:
                self.kill(adopted.attempt.no, "timeout")
            if outcome := self._look_at(adopted, now):
                reports.append(Ended(outcome))
        for report in reports:
            if isinstance(report, Ended):
                self._open.pop(report.outcome.no, None)
        return reports

    def next_look(self, now: float) -> float:
        """When to look again, by the monotonic clock."""
        if self._unread:
            return now
        return now + _LOOK_S if self._open else _NEVER

    def describe(self, now: float) -> list[str]:
        """One line per adopted attempt, and what was dropped."""
        lines = [
            f"adopted worker {a.pid or '(of another machine)'}: run {a.attempt.run} {a.attempt.step}"
            f"{f'[{a.attempt.index}]' if a.attempt.index else ''} for {max(0.0, now - a.attempt.started_at):.1f} s"
            for a in self._open.values()
        ]
        return lines + self.notes

    def close(self) -> None:
        """Stop watching; nothing that runs is touched."""
        for worker in list(self._watches):
            self._unwatch(worker)
        self._open.clear()

    # --- the spool ------------------------------------------------------------------------------------------------

    def _from_spool(self) -> list[Report]:
        by_key = {_key(a.attempt): a for a in self._open.values()}
        reports: list[Report] = []
        for path, spooled in read_spool(self._spool):
            if path.name in self._left:
                continue
            adopted = by_key.get(_key(spooled))
            if adopted is None:
                # Committed before the earlier engine died, or of an attempt that was given up.
                take(path)
            elif spooled.epoch != adopted.attempt.epoch:
                self.notes.append(
                    f"dropped a spooled outcome of {spooled.step} attempt {spooled.attempt} in run {spooled.run}:"
                    f" its epoch is {spooled.epoch}, the attempt's is {adopted.attempt.epoch}"
                )
                take(path)
            else:
                no = adopted.attempt.no
                reports += [msgspec.structs.replace(member, no=no) for member in spooled.members]
                reports += [Ended(outcome) for outcome in self._accepted(adopted, spooled.outcome)]
                self._put_aside(path)
        return reports

    def _accepted(self, adopted: _Adopted, outcome: Outcome) -> list[Outcome]:
        outcome = msgspec.structs.replace(outcome, no=adopted.attempt.no)
        finished_before = outcome.state in ("succeeded", "failed") and outcome.ended_at <= adopted.asked_at
        if adopted.reason and not finished_before:
            # Told when nothing of it runs any more.
            adopted.came = outcome
            return []
        return [outcome]

    def _put_aside(self, path: Path) -> None:
        try:
            self._taken.mkdir(mode=0o700, exist_ok=True)
            path.rename(self._taken / path.name)
        except OSError:
            # A full disk, say: it stays where it is, and is not looked at again.
            self._left.add(path.name)

    def _put_back(self) -> None:
        """What an earlier engine had taken may not have been committed."""
        if self._taken.is_dir():
            for path in self._taken.iterdir():
                path.rename(self._spool / path.name)

    # --- processes ------------------------------------------------------------------------------------------------

    def _look_at(self, adopted: _Adopted, now: float) -> Outcome | None:
        """The outcome of an attempt whose worker is gone, once it is known that none will be spooled."""
        worker = adopted.attempt.worker
        if is_alive(worker):
            if adopted.kill_at <= now and adopted.pid:
                kill_session(adopted.pid)
            return None
        self._unwatch(worker)
        if adopted.pid and adopted.reason and [pid for pid in members(adopted.pid) if pid != adopted.pid]:
            if adopted.kill_at <= now:
                kill_session(adopted.pid)
            return None
        if adopted.gone_at == _NEVER:
            # The spool was read before the worker was seen to be gone: read it once more first.
            adopted.gone_at = now
            return None
        return self._verdict(adopted, now)

    def _verdict(self, adopted: _Adopted, now: float) -> Outcome | None:
        attempt, at = adopted.attempt, time.time()
        if adopted.reason:
            return verdicts.stopped(attempt.no, adopted.reason, attempt.started_at, at, adopted.came)
        died = read_death(self._spool, attempt.worker)
        if died is not None:
            death = verdicts.death_of(died, attempt.policies.memory_bytes)
            alone = sum(1 for a in self._open.values() if a.attempt.worker == attempt.worker) == 1
            return verdicts.of_begun(attempt.no, death, attempt.started_at, at, alone=alone)
        if now - adopted.gone_at < _NOTE_S and adopted.pid:
            return None
        return verdicts.lost(attempt.no, GONE, attempt.started_at, at)

    def _watch(self, worker: str) -> None:
        pid = pid_of(worker)
        if pid is None or worker in self._watches or not hasattr(os, "pidfd_open"):
            return
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            return
        self._watches[worker] = fd
        self._selector.register(fd, selectors.EVENT_READ, lambda: self._ended(worker))

    def _ended(self, worker: str) -> None:
        self._unwatch(worker)
        self._wake()

    def _unwatch(self, worker: str) -> None:
        fd = self._watches.pop(worker, None)
        if fd is not None:
            self._selector.unregister(fd)
            os.close(fd)


def _key(of: OpenAttempt | Spooled) -> tuple[str, str, str, int]:
    return of.run, of.step, of.index, of.attempt
