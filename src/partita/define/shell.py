"""`pt.shell` and `pt.python_script`: steps that run a program.

Rule: a value never becomes part of a command's text before the shell has read it. It travels as an environment variable
or as an argument of its own; `{x}` in a command becomes a quoted reference to such a variable.
"""

from __future__ import annotations

import os
import re
import string
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any, Literal, TextIO

from partita.define.binding import bind
from partita.define.calls import Call
from partita.define.code import code_hash
from partita.define.names import name_problem
from partita.define.options import Options, settings_of
from partita.define.tracer import Draft, Tracer, current_tracer
from partita.define.where import caller, wrong
from partita.errors import UserCodeError

Result = Literal["last_line", "json", "text", "none"]
_RESULTS = ("last_line", "json", "text", "none")
_TAIL_LINES = 20
_MOST_CHARACTERS = 10_000_000
# Between SIGTERM and SIGKILL when the step is to stop.
_GRACE_S = 5.0
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def shell(
    command: str,
    *,
    env: Mapping[str, Any] | None = None,
    cwd: Any = None,
    result: Result = "last_line",
    capture: bool = True,
    name: str = "shell",
    options: Options | None = None,
    **values: Any,
) -> Any:
    """A step that runs a shell command: `pt.shell("load --day {day} {file}", day=day, file=extract())`.

    Each `{x}` is replaced by a quoted reference to an environment variable that holds the value, so no value is ever
    read as shell. Its output goes to the step's log; the result is the last line of it (or all of it parsed as JSON,
    or the text). An exit code other than 0 is a failure.
    """
    text, used = _with_variables(command)
    for missing in (n for n in used if n not in values):
        raise wrong(f"pt.shell: there is no value for {{{missing}}}", hint=f"give it one: pt.shell(..., {missing}=...)")
    for unused in (n for n in values if n not in used):
        raise wrong(f"pt.shell: {unused!r} is not in the command", hint=f"write {{{unused}}} where it belongs")
    _check_environment(env)
    arguments = {
        "command": text,
        "values": dict(values),
        "env": dict(env or {}),
        "cwd": cwd,
        "result": _checked_result(result if capture else "none"),
    }
    return _step("shell", name, arguments, run_shell, options, command)


def python_script(
    path: str,
    args: Sequence[Any] = (),
    *,
    env: Mapping[str, Any] | None = None,
    cwd: Any = None,
    result: Result = "last_line",
    name: str | None = None,
    options: Options | None = None,
) -> Any:
    """A step that runs a Python file with the project's interpreter: `pt.python_script("load.py", args=[day, "--fast"])`."""
    _check_environment(env)
    arguments = {
        "path": str(path),
        "args": list(args),
        "env": dict(env or {}),
        "cwd": cwd,
        "result": _checked_result(result),
    }
    stem = re.sub(r"[^\w.-]", "_", os.path.splitext(os.path.basename(str(path)))[0]) or "script"
    return _step("script", name or stem, arguments, run_script, options, str(path))


# --- in the worker --------------------------------------------------------------------------------------------------


def run_shell(command: str, values: dict[str, Any], env: dict[str, Any], cwd: Any, result: str) -> Any:
    """Run a command with its values in the environment."""
    variables = {_variable(name): _as_text(value) for name, value in values.items()}
    return _run(["/bin/sh", "-c", command], {**env, **variables}, cwd, result)


def run_script(path: str, args: list[Any], env: dict[str, Any], cwd: Any, result: str) -> Any:
    """Run a Python file."""
    return _run([sys.executable, "-u", path, *(_as_text(arg) for arg in args)], env, cwd, result)


def _run(argv: list[str], env: Mapping[str, Any], cwd: Any, result: str) -> Any:
    environment = {**os.environ, **{name: _as_text(value) for name, value in env.items()}}
    try:
        process = subprocess.Popen(
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
    # What it said last, on both streams: the reason of a failure mostly stands on stderr.
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        errors = threading.Thread(target=_pass_on, args=(process.stderr, sys.stderr, tail), daemon=True)
        errors.start()
        try:
            kept = _pass_on(process.stdout, sys.stdout, tail, _TAIL_LINES if result in ("last_line", "none") else None)
        except BaseException:
            _stop(process)
            raise
        # Something that it left behind may keep the stream open for ever.
        errors.join(timeout=_GRACE_S)
    if process.returncode != 0:
        raise UserCodeError(_failure(process.returncode, tail))
    return _result_of(kept, result)


def _pass_on(source: IO[str], target: TextIO, tail: deque[str], most: int | None = 0) -> deque[str]:
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


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(timeout=_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _failure(code: int, tail: Iterable[str]) -> str:
    import signal

    what = f"exit code {code}"
    if code < 0:
        name = signal.Signals(-code).name if -code in signal.valid_signals() else str(-code)
        what = f"it was killed by {name}"
    said = "".join(tail).rstrip()
    return f"the command failed: {what}" + (
        f"; its last lines were:\n{said}" if said else "; it wrote nothing to stdout"
    )


def _result_of(lines: Sequence[str], result: str) -> Any:
    if result == "none":
        return None
    text = "".join(lines)
    if result == "text":
        return text
    if result == "json":
        import json

        try:
            return json.loads(text)
        except ValueError as error:
            raise UserCodeError(f"the command's output is no JSON: {error}") from None
    return next((line.rstrip("\r\n") for line in reversed(lines) if line.strip()), None)


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool | int | float) or value is None:
        text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    elif isinstance(value, dict | list | tuple):
        import json

        text = json.dumps(value, default=str)
    else:
        text = str(value)
    if "\0" in text:
        raise UserCodeError("a value with a NUL character cannot be given to a program")
    return text


# --- when the graph is built ------------------------------------------------------------------------------------------


def _with_variables(command: str) -> tuple[str, list[str]]:
    """The command with quoted references to variables in place of `{x}`; `{{` and `}}` are braces."""
    parts: list[str] = []
    used: list[str] = []
    quote: str | None = None
    try:
        parsed = list(string.Formatter().parse(command))
    except ValueError as error:
        raise wrong(
            f"pt.shell: {command!r} cannot be read: {error}", hint="write `{{` and `}}` for braces of the shell"
        ) from None
    for literal, field, spec, conversion in parsed:
        parts.append(literal)
        quote = _open_quote(literal, quote)
        if field is None:
            continue
        if not _VARIABLE.fullmatch(field) or spec or conversion:
            hint = "write {name} for a value, and `${{HOME}}` for a variable of the shell"
            raise wrong(f"pt.shell: {{{field}}} is no name of a value", hint=hint)
        if quote == "'":
            hint = "leave the quotes out: the value is quoted already"
            raise wrong(
                f"pt.shell: {{{field}}} stands in single quotes, in which the shell puts in no value", hint=hint
            )
        used.append(field)
        reference = "${" + _variable(field) + "}"
        parts.append(reference if quote == '"' else f'"{reference}"')
    return "".join(parts), used


def _open_quote(text: str, quote: str | None) -> str | None:
    """Which quote is open after this text."""
    escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\" and quote != "'":
            escaped = True
        elif character == quote:
            quote = None
        elif quote is None and character in "'\"":
            quote = character
    return quote


def _variable(name: str) -> str:
    return f"PARTITA_VALUE_{name}"


def _check_environment(env: Mapping[str, Any] | None) -> None:
    for name in env or {}:
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            raise wrong(f"{name!r} is no name of an environment variable")


def _checked_result(result: str) -> str:
    if result not in _RESULTS:
        raise wrong(f"there is no result {result!r}", hint=f"there is {', '.join(map(repr, _RESULTS))}")
    return result


def _step(
    kind: Literal["shell", "script"],
    name: str,
    arguments: dict[str, Any],
    function: Any,
    options: Options | None,
    shown: str,
) -> Any:
    tracer = current_tracer()
    if tracer is None:
        return function(**arguments)
    if problem := name_problem(name):
        raise wrong(f"pt.{kind}: {problem}")
    return tracer.keeping(lambda: _add(tracer, kind, name, arguments, function, options, shown))


def _add(
    tracer: Tracer,
    kind: Literal["shell", "script"],
    name: str,
    arguments: dict[str, Any],
    function: Any,
    options: Options | None,
    shown: str,
) -> Any:
    place = caller()
    raw: dict[str, Any] = {**tracer.defaults, **(options or {})}
    settings = settings_of(raw, of=f"step `{name}`", place=place)
    key = tracer.unique(settings.name or name)
    return tracer.add(
        Draft(
            key=key,
            call=Call(f"partita.define.shell:{function.__name__}", function),
            settings=settings,
            axes=tracer.scope,
            args=tuple((n, bind(tracer, value, f"`{n}` of `{name}`")) for n, value in arguments.items()),
            guards=tracer.guards,
            group=tracer.group,
            place=place,
            written_at=str(place),
            kind=kind,
            code_version=settings.version or code_hash(shown.encode("utf-8", "backslashreplace")),
            description=settings.description if settings.description is not None else shown,
        )
    )
