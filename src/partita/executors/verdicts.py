"""What the death of a worker means for the attempts that it held.

An attempt that had not begun is "refused": it costs nothing. A death that user code caused (a crash in native code,
`os._exit`, its own memory limit) is the user's failure, "failed", and is retried by the user's policy. A death from
outside (SIGKILL, the kernel's memory killer, the host gone) is "lost", and is ours.

Rule: facts in, outcome out.
"""

from __future__ import annotations

import signal
from typing import Final

import msgspec

from partita.core.events import Detail, Failure, Usage
from partita.core.states import AttemptState
from partita.executors.control import Died
from partita.worker.wire import Outcome

_BY_USER: Final = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS}
)


class Death(msgspec.Struct, frozen=True):
    """How a worker ended, as far as anybody knows."""

    exit_code: int | None = None
    signal: int | None = None
    peak_rss_bytes: int = 0
    over_memory: int = 0
    memory_limit: int | None = None
    last_lines: str = ""
    note: str = ""

    def how(self) -> str:
        """In three words."""
        if self.signal is not None:
            return f"killed by {_signal_name(self.signal)}"
        if self.exit_code is not None:
            return f"ended with exit code {self.exit_code}"
        return self.note or "gone"


def death_of(died: Died, memory_limit: int | None) -> Death:
    """What the host told, beside the limit that it watched."""
    return Death(
        exit_code=died.exit_code,
        signal=died.signal,
        peak_rss_bytes=died.peak_rss_bytes,
        over_memory=died.over_memory,
        memory_limit=memory_limit,
        last_lines=died.last_lines,
        note=died.note,
    )


def of_begun(no: int, death: Death, began_at: float, at: float, *, alone: bool = True) -> Outcome:
    """The outcome of an attempt whose user code had begun. `alone`: nothing else ran in that worker."""
    state, failure = _judge(death)
    if death.last_lines:
        failure = msgspec.structs.replace(failure, traceback=f"last lines of its log:\n{death.last_lines}")
    if state == "failed" and not alone:
        state = "lost"
        message = f"{failure.message}, by this or another coroutine of the async worker"
        failure = msgspec.structs.replace(failure, message=message)
    return _outcome(no, state, failure, began_at, at, death.peak_rss_bytes)


def of_unsent(no: int, death: Death, began_at: float, at: float) -> Outcome:
    """The outcome of an attempt that had begun before another one in a worker that then died: it may have ended well."""
    _, failure = _judge(death)
    message = f"its result died with the worker, in a later step: {failure.message}"
    return _outcome(no, "lost", msgspec.structs.replace(failure, message=message, cause="lost"), began_at, at, 0)


def not_begun(no: int, at: float, why: str = "not begun") -> Outcome:
    """The outcome of an attempt whose user code never ran."""
    return _outcome(no, "refused", Failure(message=why, cause="not_begun"), at, at, 0)


def stopped(no: int, reason: str, began_at: float, at: float, came: Outcome | None = None, took: str = "") -> Outcome:
    """The outcome of an attempt that was killed: `reason` "timeout" or "cancelled" is its state."""
    timed_out = reason == "timeout"
    message = took or ("timed out" if timed_out else "cancelled")
    failure = Failure(message=message, cause="timeout" if timed_out else "cancelled")
    if came and came.detail and came.detail.failure:
        # Where user code was when it was told to stop is worth keeping.
        failure = msgspec.structs.replace(failure, traceback=came.detail.failure.traceback)
    return _outcome(no, "timed_out" if timed_out else "cancelled", failure, began_at, at, 0)


def lost(no: int, message: str, began_at: float, at: float) -> Outcome:
    """The outcome of an attempt of which nobody knows more."""
    return _outcome(no, "lost", Failure(message=message, cause="lost"), began_at, at, 0)


def size(count: int) -> str:
    """Bytes for people.

    >>> size(4402341478), size(1536)
    ('4.1 GiB', '1.5 KiB')
    """
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            return f"{value:.1f}".removesuffix(".0") + f" {unit}"
        value /= 1024
    raise AssertionError


def _judge(death: Death) -> tuple[AttemptState, Failure]:
    peak = f"; peak memory {size(death.peak_rss_bytes)}" if death.peak_rss_bytes else ""
    if death.over_memory:
        limit = f", limit {size(death.memory_limit)}" if death.memory_limit else ""
        message = f"out_of_memory: {size(death.over_memory)}{limit}"
        return "failed", Failure(message=message, cause="out_of_memory", signal=death.signal)
    if death.signal is not None:
        name = _signal_name(death.signal)
        if death.signal in _BY_USER:
            return "failed", Failure(message=f"crashed with {name}{peak}", cause="signal", signal=death.signal)
        return "lost", Failure(message=f"killed by {name}{peak}", cause="signal", signal=death.signal)
    if death.exit_code is not None:
        message = f"user code ended its process with exit code {death.exit_code}{peak}"
        return "failed", Failure(message=message, cause="exit", exit_code=death.exit_code)
    return "lost", Failure(message=death.note or "the worker is gone", cause="lost")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _outcome(no: int, state: AttemptState, failure: Failure, began_at: float, ended_at: float, peak: int) -> Outcome:
    usage = Usage(peak_rss_bytes=peak) if peak else None
    return Outcome(no, state, began_at, ended_at, detail=Detail(failure=failure, usage=usage))
