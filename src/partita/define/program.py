"""Running a program for a step: its output is in the step's log as it comes, and its end has a reason in words.

Rule: a list of arguments, never a text for a shell. What it wrote last is kept, for the reason of a failure mostly stands there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TextIO

from partita.errors import UserCodeError

Result = Literal["last_line", "json", "text", "none"]
RESULTS = ("last_line", "json", "text", "none")
TAIL_LINES = 20
_MOST_CHARACTERS = 10_000_000
# Between SIGTERM and SIGKILL when the step is to stop.
_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Done:
    """How a program ended: its exit code (negative: the signal that killed it), what was kept of its output, its last lines."""

    code: int
    kept: Sequence[str]
    tail: Sequence[str]


def run(argv: Sequence[str], env: Mapping[str, Any], cwd: Any, result: str) -> Any:
    """Run a program to its end; the result is made of what it wrote to stdout. Raises `UserCodeError` if it failed."""
    done = execute(argv, env=env, cwd=cwd, result=result)
    if done.code != 0:
        raise UserCodeError(f"the command failed: {ending(done.code)}{last_lines(done.tail)}")
    return result_of(done.kept, result)


def execute(
    argv: Sequence[str],
    *,
    env: Mapping[str, Any],
    cwd: Any = None,
    result: str = "none",
    stop: Callable[[subprocess.Popen[str]], None] | None = None,
) -> Done:
    """Run a program to its end. When the step is to stop (or anything else is raised here), `stop` ends it."""
    process = _started(argv, {**os.environ, **{name: as_text(value) for name, value in env.items()}}, cwd)
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        errors = threading.Thread(target=pass_on, args=(process.stderr, sys.stderr, tail), daemon=True)
        errors.start()
        try:
            most = TAIL_LINES if result in ("last_line", "none") else None
            kept = pass_on(process.stdout, sys.stdout, tail, most)
            code = process.wait()
        except BaseException:
            (stop or _stop)(process)
            raise
        # Something that it left behind may keep the stream open for ever.
        errors.join(timeout=_GRACE_S)
    return Done(code, kept, tail)


def pass_on(source: Iterable[str], target: TextIO, tail: deque[str], most: int | None = 0) -> deque[str]:
    """Write what comes to the step's own stream, so that it is in the log; the last `most` lines are the answer."""
    kept: deque[str] = deque(maxlen=most)
    size = 0
    for line in source:
        target.write(line)
        tail.append(line)
        kept.append(line)
        size += len(line) if most is None else 0
        if size > _MOST_CHARACTERS:
            raise UserCodeError(
                f"the command wrote more than {_MOST_CHARACTERS:,} characters, which is no result",
                hint='let it write to a file, and use result="last_line" with the name of the file',
            )
    target.flush()
    return kept


def ending(code: int) -> str:
    """An exit code in words; of a program that a shell or a container ran, 128 and more is a signal, too."""
    number = -code if code < 0 else code - 128
    if code < 0 or (code > 128 and number in signal.valid_signals()):
        name = signal.Signals(number).name if number in signal.valid_signals() else str(number)
        return f"it was killed by {name}" if code < 0 else f"exit code {code} ({name})"
    return f"exit code {code}"


def last_lines(tail: Iterable[str]) -> str:
    """What it said last, for the end of a message."""
    said = "".join(tail).rstrip()
    return f"; its last lines were:\n{said}" if said else "; it wrote nothing to stdout"


def result_of(lines: Sequence[str], result: str) -> Any:
    """What a program's output is worth: its last line, all of it, or all of it read as JSON."""
    if result == "none":
        return None
    text = "".join(lines)
    if result == "text":
        return text
    if result == "json":
        try:
            return json.loads(text)
        except ValueError as error:
            raise UserCodeError(f"the command's output is no JSON: {error}") from None
    return next((line.rstrip("\r\n") for line in reversed(lines) if line.strip()), None)


def as_text(value: Any) -> str:
    """A value as an argument or a variable: text as it is, true and false, numbers, nothing as "", all else as JSON."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool | int | float) or value is None:
        text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    elif isinstance(value, dict | list | tuple):
        text = json.dumps(value, default=str)
    else:
        text = str(value)
    if "\0" in text:
        raise UserCodeError("a value with a NUL character cannot be given to a program")
    return text


def _started(argv: Sequence[str], environment: Mapping[str, str], cwd: Any) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=None if cwd is None else str(cwd),
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise UserCodeError(f"{argv[0]} cannot be started: {error.strerror or error}") from error


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(timeout=_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
