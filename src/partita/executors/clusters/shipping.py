"""What a job writes on its way home: logs, resource curves and progress, as numbered pieces in the exchange.

The station leaves a piece about twice a second while there is something new, and a last one soon after the job's end (not
before it: an outcome waits for no log). It looks by the clock, and the last pieces of short jobs go together: a thread that is
woken as a job begins or ends takes the interpreter from that job and from the next just when it matters, and cost a short one
a third of its time. The scheduler takes the pieces in and has the same files as if the job had run there, so
whoever shows logs need not know where they were written.

Rule: bytes are moved and never read; masking was done where they were written.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from partita.errors import PartitaError
from partita.executors.clusters.cluster import Job
from partita.executors.clusters.exchange import Exchange
from partita.settings import Home
from partita.worker.logs import log_chunk, log_end, log_path
from partita.worker.wire import Progress

EVERY_S: Final = 0.5
# How often is looked for jobs that have ended, while there are jobs.
_LOOK_S: Final = 0.1
# How long the station tries to leave the last piece of a job.
_TRY_S: Final = 60.0
# How long after its end a job's log may take to be closed, and between two looks at that.
_END_S: Final = 1.0
_AGAIN_S: Final = 0.01
_CLOSING_S: Final = 5.0
_MOST_BYTES: Final = 4 << 20
# Files of a log's tail that are kept beside the one that grows (worker/logs.py keeps about so many).
_TAIL_FILES: Final = 9
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)


class Written(msgspec.Struct, frozen=True, array_like=True, tag="w"):
    """Further bytes of one of the files of the job's log."""

    number: int
    data: bytes


class Used(msgspec.Struct, frozen=True, array_like=True, tag="u"):
    """The curve of what it used, as it is now."""

    data: bytes


Item = Written | Used | Progress


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """What is new of a job; `last`: there is no more."""

    items: list[Item] = []
    last: bool = False


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Piece)


# --- where the job runs -----------------------------------------------------------------------------------------------


class _Source:
    """What is left to be shipped of one job."""

    def __init__(self, job: Job, home: Home, exchange: Exchange) -> None:
        brief, ticket = job.brief, job.ticket
        self.name = job.name
        self.exchange = exchange
        self.log = log_path(home, brief.run_no, brief.step, ticket.index, ticket.attempt)
        self.curve = self.log.with_suffix(".use")
        self.piece = 0
        self.file = 0
        self.offset = 0
        self.used = b""
        self.progress: Progress | None = None
        # Monotonic; 0.0 = it runs.
        self.ended_at = 0.0
        self._home = home
        self._place = (brief.run_no, brief.step, ticket.index, ticket.attempt)

    @property
    def is_whole(self) -> bool:
        """Whether the last line of the log is written: a worker says that it has ended before it closes its log."""
        return log_end(self._home, *self._place) is not None or time.monotonic() - self.ended_at > _END_S

    def items(self) -> list[Item]:
        """What is new since the last call."""
        found: list[Item] = []
        room = _MOST_BYTES
        while room > 0 and (data := _read(log_chunk(self.log, self.file), self.offset, room)) is not None:
            if data:
                found.append(Written(self.file, data))
                self.offset += len(data)
                room -= len(data)
            elif (following := self._following()) is not None:
                self.file, self.offset = following, 0
            else:
                break
        if (used := _read(self.curve, 0, _MOST_BYTES) or b"") != self.used:
            self.used = used
            found.append(Used(used))
        if self.progress is not None:
            found.append(self.progress)
            self.progress = None
        return found

    def _following(self) -> int | None:
        """The next of the log's files that is there: some may have been dropped before they could be shipped."""
        for number in range(self.file + 1, self.file + 1 + _TAIL_FILES):
            if log_chunk(self.log, number).exists():
                return number
        return None

    def forget(self) -> None:
        """Remove what was shipped."""
        for path in (
            self.curve,
            *(log_chunk(self.log, n) for n in range(max(0, self.file - _TAIL_FILES), self.file + 1)),
        ):
            path.unlink(missing_ok=True)


class Shipping:
    """Ships what the jobs of a station write, in a thread of its own. `flush`: see that all of it is in the files."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._lock = threading.Condition()
        self._sources: dict[str, _Source] = {}
        self._thread: threading.Thread | None = None
        # How many wait for the last pieces of what has ended: they go out at once.
        self._awaited = 0
        self._is_closed = False

    def begin(self, job: Job, home: Home, exchange: Exchange) -> None:
        """A job begins."""
        with self._lock:
            self._sources[job.name] = _Source(job, home, exchange)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="partita-shipping", daemon=True)
                self._thread.start()

    def progress(self, name: str, report: Progress) -> None:
        """A job says how far it is."""
        with self._lock:
            if source := self._sources.get(name):
                source.progress = report

    def end(self, name: str) -> None:
        """A job has ended: what is left of it goes out soon."""
        with self._lock:
            if source := self._sources.get(name):
                source.ended_at = time.monotonic()

    def wait(self, timeout_s: float) -> bool:
        """Wait until everything of jobs that have ended was shipped."""
        with self._lock:
            self._awaited += 1
            self._lock.notify_all()
            try:
                return self._lock.wait_for(lambda: not self._has_ended(), timeout_s)
            finally:
                self._awaited -= 1

    def close(self) -> None:
        """Ship nothing more; afterwards `flush` is not called again."""
        with self._lock:
            self._is_closed = True
            self._lock.notify_all()
        if self._thread is not None:
            self._thread.join(_CLOSING_S)

    def _has_ended(self) -> bool:
        return any(source.ended_at for source in self._sources.values())

    def _is_called(self) -> bool:
        return self._is_closed or (self._awaited > 0 and self._has_ended())

    def _serve(self) -> None:
        shipped_at = 0.0
        while True:
            with self._lock:
                self._lock.wait_for(self._is_called, _LOOK_S if self._sources else EVERY_S)
                if self._is_closed:
                    return
                sources = list(self._sources.values())
            ended = [source for source in sources if source.ended_at]
            if ended:
                # One for all that ended meanwhile.
                self._flush()
            is_time = time.monotonic() - shipped_at >= EVERY_S
            for source in sources if is_time else ended:
                self._ship(source, last=source in ended and source.is_whole)
            if is_time:
                shipped_at = time.monotonic()
            if any(not source.is_whole for source in ended):
                time.sleep(_AGAIN_S)

    def _ship(self, source: _Source, *, last: bool) -> None:
        try:
            items = source.items()
            while items or last:
                following = source.items() if items else []
                self._leave(source, Piece(items, last=last and not following))
                if not following:
                    break
                items = following
        except PartitaError:
            # The exchange cannot be reached. Bytes that were read are lost; the log says so by its last line.
            if not last or time.monotonic() - source.ended_at < _TRY_S:
                return
        if last:
            source.forget()
            with self._lock:
                self._sources.pop(source.name, None)
                self._lock.notify_all()

    def _leave(self, source: _Source, piece: Piece) -> None:
        data = _encoder.encode(piece)
        source.exchange.write_log(source.name, source.piece + 1, data)
        source.piece += 1


# --- where it is read -------------------------------------------------------------------------------------------------


class Receiver:
    """Takes in what one job writes. `fresh`: begin anew, for an earlier scheduler may have taken in a part."""

    def __init__(self, home: Home, name: str, run_no: int, step: str, index: str, attempt: int, *, fresh: bool) -> None:
        self._log = log_path(home, run_no, step, index, attempt)
        self._name = name
        self._taken = 0
        self.closed = False
        if fresh:
            for path in self._log.parent.glob(f"{self._log.name}*"):
                path.unlink(missing_ok=True)

    def take(self, exchange: Exchange) -> Progress | None:
        """Take in what is new; the latest progress among it. Raises `WorldError`."""
        progress: Progress | None = None
        for number, data in exchange.logs(self._name, self._taken):
            piece = _decoder.decode(data)
            for item in piece.items:
                if isinstance(item, Progress):
                    progress = item
                else:
                    self._write(item)
            self._taken = number
            self.closed = piece.last
        return progress

    def _write(self, item: Written | Used) -> None:
        # A disk that is full costs log lines, never the step.
        with contextlib.suppress(OSError):
            self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path, flags = (
                (log_chunk(self._log, item.number), _FLAGS)
                if isinstance(item, Written)
                else (self._log.with_suffix(".use"), _FLAGS | os.O_TRUNC)
            )
            with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
                file.write(item.data)
            if isinstance(item, Written) and item.number > _TAIL_FILES:
                log_chunk(self._log, item.number - _TAIL_FILES).unlink(missing_ok=True)


def _read(path: Path, offset: int, most: int) -> bytes | None:
    """Bytes of a file from an offset; None if there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(most)
    except OSError:
        return None
