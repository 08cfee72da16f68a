"""`pt.shell` and `pt.python_script`: steps that run a program.

Rule: a value never becomes part of a command's text before the shell has read it. It travels as an environment variable
or as an argument of its own; `{x}` in a command becomes a quoted reference to such a variable.
"""

from __future__ import annotations

import os
import re
import string
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from partita.define.binding import bind
from partita.define.calls import Call
from partita.define.code import code_hash
from partita.define.names import name_problem
from partita.define.options import Options, settings_of
from partita.define.program import RESULTS, Result, as_text, run
from partita.define.tracer import Draft, Tracer, current_tracer
from partita.define.where import caller, wrong

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
    variables = {_variable(name): as_text(value) for name, value in values.items()}
    return run(["/bin/sh", "-c", command], {**env, **variables}, cwd, result)


def run_script(path: str, args: list[Any], env: dict[str, Any], cwd: Any, result: str) -> Any:
    """Run a Python file."""
    return run([sys.executable, "-u", path, *(as_text(arg) for arg in args)], env, cwd, result)


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
    if result not in RESULTS:
        raise wrong(f"there is no result {result!r}", hint=f"there is {', '.join(map(repr, RESULTS))}")
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
