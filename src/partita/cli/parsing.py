"""The words of a command line, read by the signature of the command's function; and the help page of a command.

A parameter is annotated with `Argument` or `Option`; its type says what may stand there: text, a whole number, a path, one
of several words, a list (repeated), a flag. Options and arguments may stand in any order; after `--` all are arguments.

Rule: one message and one hint for what is wrong. Written by hand because a parser that imports its own type system
would be most of the time that a short command takes.
"""

from __future__ import annotations

import difflib
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from partita.cli.styled import Line
from partita.errors import DefinitionError


@dataclass(frozen=True)
class Argument:
    """A word that stands for itself."""

    name: str
    help: str


@dataclass(frozen=True)
class Option:
    """A word that begins with a dash; `value` names what follows it ("" = a flag). `least` is a bound of numbers."""

    names: tuple[str, ...]
    help: str
    value: str = ""
    least: int | None = None


@dataclass(frozen=True)
class Parameter:
    """One parameter of a command's function."""

    name: str
    about: Argument | Option
    kind: type
    default: Any
    is_list: bool = False
    choices: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """How the option is written; a flag that may be denied has a `--no-` form."""
        if not isinstance(self.about, Option):
            return ()
        no = self.about.names[-1].replace("--", "--no-", 1)
        return (*self.about.names, no) if self.kind is bool and self.default is None else self.about.names


def parse(function: Callable[..., Any], command: str, words: list[str]) -> dict[str, Any]:
    """The arguments for `function`. Raises `DefinitionError`."""
    parameters = parameters_of(function)
    found: dict[str, Any] = {}
    try:
        free = _take_options(parameters, words, found)
        _take_arguments([p for p in parameters if isinstance(p.about, Argument)], free, found)
    except _Wrong as error:
        raise DefinitionError(str(error), hint=error.hint or f"partita {command} --help") from None
    return found


def parameters_of(function: Callable[..., Any]) -> list[Parameter]:
    """The parameters of a command, in order."""
    hints = typing.get_type_hints(function, include_extras=True)
    return [_parameter(name, hints[name], p.default) for name, p in inspect.signature(function).parameters.items()]


def help_page(function: Callable[..., Any], command: str) -> list[Line]:
    """What `partita COMMAND --help` prints."""
    parameters = parameters_of(function)
    arguments = [p for p in parameters if isinstance(p.about, Argument)]
    usage = " ".join(
        f"[{p.about.name}{' ...' if p.is_list else ''}]" for p in arguments if isinstance(p.about, Argument)
    )
    lines: list[Line] = [[(f"partita {command}", "bold"), (f" {usage} [options]".replace("  ", " "), "")], []]
    lines += [[(text, "")] for text in inspect.cleandoc(function.__doc__ or "").splitlines()]
    rows = [_help_row(p) for p in parameters] + [("-h, --help", "This page")]
    width = max(len(name) for name, _ in rows)
    lines.append([])
    return lines + [[(f"  {name:<{width}}  ", "accent"), (text, "")] for name, text in rows]


class _Wrong(Exception):
    """What is wrong with the words."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


# --- what the signature says ----------------------------------------------------------------------------------------


def _parameter(name: str, annotation: Any, default: Any) -> Parameter:
    kind, about = typing.get_args(annotation)[:2]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        kind = next(k for k in typing.get_args(kind) if k is not type(None))
    is_list = typing.get_origin(kind) is list
    choices: tuple[str, ...] = ()
    if is_list:
        kind = typing.get_args(kind)[0]
    elif typing.get_origin(kind) is Literal:
        kind, choices = str, typing.get_args(kind)
    return Parameter(name, about, kind, default, is_list, choices)


def _help_row(parameter: Parameter) -> tuple[str, str]:
    about = parameter.about
    if isinstance(about, Argument):
        return about.name, about.help
    names = ", ".join(parameter.names)
    value = about.value or ("|".join(parameter.choices) if parameter.choices else "")
    shown = f" (default {parameter.default})" if isinstance(parameter.default, int) and parameter.default > 0 else ""
    return f"{names} {value}".rstrip(), about.help + shown


# --- reading --------------------------------------------------------------------------------------------------------


def _take_options(parameters: list[Parameter], words: list[str], found: dict[str, Any]) -> list[str]:
    """Read the options; the words that are none."""
    by_name = {name: p for p in parameters for name in p.names}
    free: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            return [*free, *rest]
        if not word.startswith("-") or word == "-":
            free.append(word)
            continue
        name, value = _split(word, by_name)
        parameter = by_name.get(name)
        if parameter is None:
            near = difflib.get_close_matches(name, by_name, 1)
            raise _Wrong(f"there is no option {name}", f"did you mean {near[0]}?" if near else "")
        if parameter.kind is bool:
            if value is not None:
                raise _Wrong(f"{name} takes no value")
            found[parameter.name] = not name.startswith("--no-")
            continue
        _keep(found, parameter, _value_of(name, parameter, value, rest))
    return free


def _split(word: str, by_name: dict[str, Parameter]) -> tuple[str, str | None]:
    """`--name=value`, `--name`, `-nvalue`, `-n`."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    if len(word) > 2 and word[:2] in by_name:
        return word[:2], word[2:].removeprefix("=")
    return word, None


def _value_of(name: str, parameter: Parameter, value: str | None, rest: Iterator[str]) -> Any:
    text = next(rest, None) if value is None else value
    about = parameter.about
    what = (about.value if isinstance(about, Option) else "") or "a value"
    if text is None:
        raise _Wrong(f"{name} needs {what} after it")
    return _read(text, parameter, name)


def _take_arguments(arguments: list[Parameter], free: list[str], found: dict[str, Any]) -> None:
    left = list(free)
    for argument in arguments:
        if argument.is_list:
            if left:
                found[argument.name] = [_read(word, argument, argument.name) for word in left]
            return
        if left:
            found[argument.name] = _read(left.pop(0), argument, argument.name)
    if left:
        raise _Wrong(f"there is a word too many: {left[0]!r}")


def _keep(found: dict[str, Any], parameter: Parameter, value: Any) -> None:
    if parameter.is_list:
        found.setdefault(parameter.name, []).append(value)
    else:
        found[parameter.name] = value


def _read(text: str, parameter: Parameter, name: str) -> Any:
    if parameter.kind is Path:
        return Path(text)
    if parameter.kind is int:
        least = parameter.about.least if isinstance(parameter.about, Option) else None
        try:
            number = int(text)
        except ValueError:
            raise _Wrong(f"{name} takes a whole number, not {text!r}") from None
        if least is not None and number < least:
            raise _Wrong(f"{name} takes a number from {least} on, not {number}")
        return number
    if parameter.choices and text not in parameter.choices:
        raise _Wrong(f"{name} takes {', '.join(parameter.choices)}, not {text!r}")
    return text
