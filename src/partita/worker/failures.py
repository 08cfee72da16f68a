"""What a raised exception says, as plain data: message, ancestry, traceback, cause.

Rule: nothing that an exception does may hurt us: a `__str__` that raises, lone surrogates, megabytes of text, groups
in groups. All of it becomes bounded, printable text.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from types import TracebackType

import msgspec

from partita.core.events import Failure
from partita.core.states import AttemptState
from partita.define.signals import Fail, RetryAfter, Skip
from partita.errors import Cancelled, UserCodeError, ValueCodecError

_MAX_MESSAGE = 2_000
_MAX_TRACEBACK = 16 << 10
_OUR_FOLDERS = tuple(
    os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), name) + os.sep
    for name in ("worker", "values")
)


class InputError(Exception):
    """An input of a step could not be loaded; the error itself is the cause."""


def verdict(error: BaseException, retry_if: Callable[[BaseException], object] | None) -> tuple[AttemptState, Failure]:
    """The state in which the attempt ends, and why."""
    if isinstance(error, Cancelled) or _is_cancelled_coroutine(error):
        return "cancelled", Failure(text_of(error) or "cancelled", cause="cancelled")
    if isinstance(error, Skip):
        return "failed", Failure(text_of(error) or "there was nothing to do", cause="skipped", retryable=False)
    failure = describe(error)
    if isinstance(error, Fail):
        return "failed", msgspec.structs.replace(failure, retryable=False)
    if isinstance(error, RetryAfter):
        return "failed", msgspec.structs.replace(failure, retry_after_s=error.delay_s)
    if retry_if is not None:
        failure = msgspec.structs.replace(failure, retryable=_ask(retry_if, error))
    return "failed", failure


def describe(error: BaseException) -> Failure:
    """The exception as plain data."""
    cause, exit_code = "exception", None
    if isinstance(error, InputError) and error.__cause__ is not None:
        cause, error = "input", error.__cause__
    if isinstance(error, MemoryError):
        cause = "out_of_memory"
    elif isinstance(error, SystemExit):
        cause, exit_code = "exit", _exit_code(error)
    elif isinstance(error, UserCodeError) and isinstance(code := getattr(error, "exit_code", None), int):
        # A program that the step ran, in a container.
        cause, exit_code = "exit", code
    elif isinstance(error, ValueCodecError) and cause == "exception":
        cause = "not_storable"
    return Failure(
        message=_message(error),
        types=ancestry(type(error)),
        traceback=_traceback(error),
        cause=cause,
        exit_code=exit_code,
    )


def ancestry(kind: type[BaseException]) -> tuple[str, ...]:
    """The class and its bases by dotted name, nearest first, without `object`."""
    return tuple(clean(f"{cls.__module__}.{cls.__qualname__}") for cls in kind.__mro__ if cls is not object)


def clean(text: str) -> str:
    """The text without what UTF-8 cannot carry or a terminal would choke on."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def text_of(error: BaseException) -> str:
    """`str(error)`, whatever happens, bounded."""
    try:
        text = str(error)
    except BaseException as broken:
        if isinstance(broken, Cancelled):
            raise
        text = f"<its message cannot be made: __str__ raised {type(broken).__name__}>"
    return clean(text[: _MAX_MESSAGE * 2])[:_MAX_MESSAGE]


def _is_cancelled_coroutine(error: BaseException) -> bool:
    # asyncio costs 25 ms to import; without it no error can be one of its own.
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the step called sys.exit({clean(repr(error.code)[:200]) if _is_simple(error.code) else '...'})"
    text = text_of(error)
    return text or type(error).__qualname__


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    return error.code if isinstance(error.code, int) else 1


def _is_simple(value: object) -> bool:
    return value is None or type(value) in (int, str, bool)


def _ask(retry_if: Callable[[BaseException], object], error: BaseException) -> bool:
    try:
        return bool(retry_if(error))
    except Exception:
        # A predicate that fails says nothing; the budget of retries still bounds what follows.
        return True


def _traceback(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(type(error), error, _without_ours(error)))
    except Exception as broken:
        # Seen with exceptions whose attributes raise; the frames alone are still worth having.
        frames = "".join(traceback.format_tb(_without_ours(error)))
        text = f"{frames}{type(error).__qualname__}: <cannot be formatted: {type(broken).__name__}>\n"
    return _capped(clean(text), _MAX_TRACEBACK)


def _without_ours(error: BaseException) -> TracebackType | None:
    """The traceback from the first frame of user code on."""
    start = error.__traceback__
    while start is not None and start.tb_frame.f_code.co_filename.startswith(_OUR_FOLDERS):
        start = start.tb_next
    return start if start is not None else error.__traceback__


def _capped(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    head = limit // 3
    tail = limit - head - 60
    return f"{text[:head]}\n... {len(text) - head - tail:,} characters left out ...\n{text[-tail:]}"
