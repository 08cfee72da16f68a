"""Log files: one per attempt, made when there is output, bounded, closed with a line that says whether all is there.

A file `<logs>/<run number>/<step hash>.<index>.<attempt>.log` has lines `2026-11-02T03:00:01.123Z text`, stamped when
the host read them. Lines that begin with `#` are ours: `#end state=... bytes=... lines=... sha256=...` is the last
one, `#more N bytes=... lines=...` the first of a further file. When the first `head_bytes` are full the log goes on in
files `.log.1`, `.log.2` ..., of which the last `tail_bytes` are kept.

Rule: one process writes a log (the host of its worker), anybody reads it, also while it grows. A disk that is full costs
log lines, never the step.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from partita.settings import Home
from partita.values.blobs import sync_file
from partita.worker.markers import Known, Splitter, Text, log_name
from partita.worker.masking import Masker

LogState = Literal["complete", "truncated", "lost"]

_MAX_LINE = 64 << 10
_TAIL_PARTS = 8
# So many files are synced at once when a worker ends; more are left to the kernel, which writes them in seconds.
_FEW = 64
_LEVEL = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL) ")
_MORE = re.compile(rb"#more (\d+) bytes=(\d+) lines=(\d+)")
_END = re.compile(r"#end state=(\w+) bytes=(\d+) lines=(\d+) sha256=([0-9a-f]{64})")
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)


class LogLine(NamedTuple):
    """One line of a log. `offset` is where the next line begins: `read_log(offset=...)` goes on there."""

    at: str
    level: str
    text: str
    offset: int


class LogEnd(NamedTuple):
    """What the last line of a closed log says."""

    state: LogState
    bytes: int
    lines: int
    sha256: str


# --- writing ----------------------------------------------------------------------------------------------------


class PipeLog:
    """The logs of one worker, out of the stream that its stdout and stderr share.

    The host calls `feed` with whatever it reads, `idle` when nothing has come for a moment, `sync` once a second, and
    `close` when the pipe has ended. Reading in large pieces (wait some 20 ms between reads) costs the least.
    """

    def __init__(
        self, folder: Path, nonce: str, mask: Masker, *, head_bytes: int = 16 << 20, tail_bytes: int = 48 << 20
    ) -> None:
        self._folder = folder
        self._mask = mask
        self._sizes = (head_bytes, tail_bytes)
        self._splitter = Splitter(nonce)
        # What no attempt wrote (before the first step, after the last) is kept beside the runs.
        self._own = f"workers/{nonce}"
        self._files: dict[str, LogFile] = {}
        self._dirty: dict[Path, None] = {}

    @property
    def attempt(self) -> str:
        """The name of the log of the attempt that runs; "" = none."""
        return self._splitter.attempt

    def feed(self, data: bytes, now: float) -> None:
        """The next bytes of the stream, read at `now` (seconds since the epoch)."""
        for piece in self._splitter.feed(data):
            if isinstance(piece, Text):
                self._write(piece, now)
            elif isinstance(piece, Known):
                self._mask.add(piece.secret)
            else:
                self._close(piece.name, now, "complete")

    def idle(self, now: float) -> None:
        """Nothing came for a moment: lines without an end, held back until now, are written."""
        for file in self._files.values():
            file.flush(now)
            self._note(file)

    def sync(self, limit: int | None = 32) -> int:
        """Bring at most `limit` of the changed files to the disk; how many are left for the next call."""
        for path in list(self._dirty)[:limit]:
            del self._dirty[path]
            try:
                sync_file(path)
            except OSError:
                continue  # dropped from the tail or by retention, or the disk is in trouble and the store says so
        return len(self._dirty)

    def last_lines(self, count: int = 20) -> list[str]:
        """The last lines of the attempt that wrote last, for the cause of a death."""
        file = self._files.get(self._splitter.current)
        return list(file.last)[-count:] if file is not None else []

    def close(self, now: float, state: LogState = "complete") -> None:
        """The stream has ended; all logs are closed."""
        for piece in self._splitter.close():
            if isinstance(piece, Text):
                self._write(piece, now)
        for name in list(self._files):
            self._close(name, now, state)
        self.sync(None if len(self._dirty) < _FEW else 0)

    def _write(self, piece: Text, now: float) -> None:
        name = piece.name or self._own
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = LogFile(self._folder / f"{name}.log", self._mask, *self._sizes)
        file.write(piece.data, now)
        self._note(file)

    def _close(self, name: str, now: float, state: LogState) -> None:
        file = self._files.pop(name, None)
        if file is not None:
            file.close(now, state)
            self._note(file)

    def _note(self, file: LogFile) -> None:
        self._dirty.update(dict.fromkeys(file.take_unsynced()))


class LogFile:
    """One log that is being written. Its file is opened for each write, so ten thousand logs need no descriptors."""

    def __init__(self, path: Path, mask: Masker, head_bytes: int = 16 << 20, tail_bytes: int = 48 << 20) -> None:
        self.path = path
        # The last lines as text, for the cause of a death.
        self.last: deque[str] = deque(maxlen=20)
        self._mask = mask
        self._head_bytes = head_bytes
        self._tail_bytes = tail_bytes
        self._raw = b""
        self._line = b""
        self._hash = hashlib.sha256()
        self._bytes = 0
        self._lines = 0
        self._number = 0
        self._chunk_bytes = 0
        self._tail: deque[tuple[int, int]] = deque()
        self._damaged = False
        self._unsynced: set[int] = set()

    def write(self, data: bytes, now: float) -> None:
        """Take in output, read at `now` (seconds since the epoch); whole lines are written at once."""
        masked, self._raw = self._mask.take(self._raw + data if self._raw else data, last=False)
        self._take_lines(masked, now, last=False)

    def flush(self, now: float) -> None:
        """Nothing more came for a moment: write what has no line end yet."""
        masked, self._raw = self._mask.take(self._raw, last=True)
        self._take_lines(masked, now, last=True)

    def take_unsynced(self) -> list[Path]:
        """Files that were written to since the last call."""
        numbers, self._unsynced = self._unsynced, set()
        return [log_chunk(self.path, number) for number in numbers]

    def close(self, now: float, state: LogState) -> None:
        """Nothing more comes: the last line says what is there."""
        self.flush(now)
        if self._damaged and state == "complete":
            state = "truncated"
        end = f"#end state={state} bytes={self._bytes} lines={self._lines} sha256={self._hash.hexdigest()}\n"
        self._append(end.encode())

    def _take_lines(self, data: bytes, now: float, *, last: bool) -> None:
        block = self._line + data if self._line else data
        cut = len(block) if last or len(block) - block.rfind(b"\n") > _MAX_LINE else block.rfind(b"\n") + 1
        block, self._line = block[:cut], block[cut:]
        if not block:
            return
        text = block.decode("utf-8", "backslashreplace")
        if "\0" in text:
            text = text.replace("\0", "\\x00")
        lines = text.removesuffix("\n").split("\n")
        if "\r" in text:
            lines = [_last_state(line) for line in lines]
        lines = [part for line in lines for part in _bounded(line)]
        self.last.extend(lines[-20:])
        stamp = dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="milliseconds")[:-6]
        self._write_lines("".join([f"{stamp}Z {line}\n" for line in lines]).encode(), len(lines))

    def _write_lines(self, data: bytes, lines: int) -> None:
        limit = self._head_bytes if self._number == 0 else max(self._tail_bytes // _TAIL_PARTS, 1)
        if self._chunk_bytes >= limit:
            self._roll()
        self._append(data)
        self._hash.update(data)
        self._bytes += len(data)
        self._lines += lines
        self._chunk_bytes += len(data)

    def _roll(self) -> None:
        """Go on in the next file, and drop the oldest of the tail when it is too long."""
        if self._number:
            self._tail.append((self._number, self._chunk_bytes))
        self._number += 1
        self._chunk_bytes = 0
        while sum(size for _, size in self._tail) > self._tail_bytes:
            number, _ = self._tail.popleft()
            log_chunk(self.path, number).unlink(missing_ok=True)
            self._damaged = True
        self._append(f"#more {self._number} bytes={self._bytes} lines={self._lines}\n".encode())

    def _append(self, data: bytes) -> None:
        path = log_chunk(self.path, self._number)
        try:
            try:
                fd = os.open(path, _FLAGS, 0o600)
            except FileNotFoundError:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                fd = os.open(path, _FLAGS, 0o600)
            try:
                if os.write(fd, data) < len(data):
                    self._damaged = True
            finally:
                os.close(fd)
        except OSError:
            self._damaged = True
            return
        self._unsynced.add(self._number)


def _last_state(line: str) -> str:
    """What a terminal would show of a line with carriage returns: progress bars overwrite themselves."""
    return next((part for part in reversed(line.split("\r")) if part), "")


def _bounded(line: str) -> list[str]:
    if len(line) <= _MAX_LINE:
        return [line]
    return [line[i : i + _MAX_LINE] for i in range(0, len(line), _MAX_LINE)]


def log_chunk(path: Path, number: int) -> Path:
    """One of the files of a log."""
    return path.with_name(f"{path.name}.{number}") if number else path


# --- reading ----------------------------------------------------------------------------------------------------


def log_path(home: Home, run_no: int, step: str, index: str, attempt: int) -> Path:
    """Where the log of an attempt begins; there is no such file if it wrote nothing."""
    return home.logs / f"{log_name(run_no, step, index, attempt)}.log"


def read_log(
    home: Home,
    run_no: int,
    step: str,
    index: str,
    attempt: int,
    *,
    offset: int = 0,
    tail: int | None = None,
    follow: Callable[[], bool] | None = None,
) -> Iterator[LogLine]:
    """The lines of a log from `offset`, or its last `tail` lines; none if there is no log.

    With `follow` the iterator goes on while the log grows: at its end `follow` is called to wait a little, until the
    log is closed or it answers False.
    """
    path = log_path(home, run_no, step, index, attempt)
    if tail is not None:
        offset = max(offset, _offset_of_tail(path, tail))
    reader = _Reader(path, offset)
    while True:
        yield from reader.lines()
        if reader.ended or follow is None:
            return
        if not follow():
            yield from reader.lines()
            return


def log_end(home: Home, run_no: int, step: str, index: str, attempt: int) -> LogEnd | None:
    """What the last line of the log says; None while it is open (or if its host died before it could close it)."""
    path = log_path(home, run_no, step, index, attempt)
    numbers = log_numbers(path)
    if not numbers:
        return None
    with log_chunk(path, numbers[-1]).open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 300))
        match = _END.search(file.read().decode("utf-8", "replace"))
    if match is None:
        return None
    return LogEnd(match[1], int(match[2]), int(match[3]), match[4])  # type: ignore[arg-type]


class _Reader:
    """Goes through the files of a log, as far as they are written."""

    def __init__(self, path: Path, offset: int) -> None:
        self.ended = False
        self._path = path
        self._start = offset
        self._offset = 0
        self._number = -1
        # Where in its file the next unread line begins.
        self._at = 0

    def lines(self) -> Iterator[LogLine]:
        """All whole lines that are there and were not read yet."""
        while not self.ended:
            if self._number >= 0:
                yield from self._rest_of_file()
            following = next((n for n in log_numbers(self._path) if n > self._number), None)
            if self.ended or following is None:
                return
            self._number, self._at = following, 0

    def _rest_of_file(self) -> Iterator[LogLine]:
        try:
            file = log_chunk(self._path, self._number).open("rb")
        except FileNotFoundError:
            return  # dropped from the tail while we read
        with file:
            file.seek(self._at)
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                self._at += len(raw)
                yield from self._line(raw)

    def _line(self, raw: bytes) -> Iterator[LogLine]:
        if raw.startswith(b"#"):
            more = _MORE.match(raw)
            if more is not None and int(more[2]) > self._offset:
                missing = int(more[2]) - self._offset
                self._offset = int(more[2])
                if self._offset > self._start:
                    yield LogLine("", "", f"... {missing:,} bytes left out, the log is too long ...", self._offset)
            self.ended = self.ended or raw.startswith(b"#end ")
            return
        self._offset += len(raw)
        if self._offset > self._start:
            at, _, text = raw[:-1].decode("utf-8", "replace").partition(" ")
            level = _LEVEL.match(text)
            yield LogLine(at, level[1] if level else "", text, self._offset)


def log_numbers(path: Path) -> list[int]:
    """The numbers of the files of a log that exist, in order; the first is 0."""
    found = [0] if path.exists() else []
    if found:
        prefix = f"{path.name}."
        names = [name[len(prefix) :] for name in os.listdir(path.parent) if name.startswith(prefix)]
        found += sorted(int(name) for name in names if name.isdigit())
    return found


def _offset_of_tail(path: Path, count: int) -> int:
    """The offset at which the last `count` lines begin, found from the end."""
    for number in reversed(log_numbers(path)):
        try:
            start, found = _start_of_last(log_chunk(path, number), count)
        except FileNotFoundError:
            continue
        if found >= count or number == 0:
            return start
        count -= found
    return 0


def _start_of_last(path: Path, count: int) -> tuple[int, int]:
    """The log offset of the last `count` lines of one file, or of its first line; and how many lines there are."""
    with path.open("rb") as file:
        head = file.readline()
        more = _MORE.match(head)
        base, skip = (int(more[2]), len(head)) if more is not None else (0, 0)
        end = file.seek(0, os.SEEK_END)
        data, at = b"", end
        # One line more than is wanted, for the first may be cut, and one for our own last line.
        while at > skip and data.count(b"\n") <= count + 1:
            step = min(1 << 16, at - skip)
            at -= step
            file.seek(at)
            data = file.read(step) + data
    lines = [line for line in data.splitlines(keepends=True) if not line.startswith(b"#")]
    footer = sum(len(line) for line in data.splitlines(keepends=True) if line.startswith(b"#"))
    wanted = lines[-count:] if count else []
    return base + end - skip - footer - sum(map(len, wanted)), len(wanted)
