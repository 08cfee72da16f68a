"""How a user's function is called: its parameters, which of them is the context, and which call does not fit it.

Rule: inside Partita functions are called by keyword only; what cannot be (positional-only, `*args`) is adapted once.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

from partita.define.guess import did_you_mean

_CONTEXT_NAMES = ("ctx", "context")
_CONTEXT_TEXT = re.compile(r"\bContext\b")
_EMPTY = inspect.Parameter.empty
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class WrongCall(Exception):
    """Arguments do not fit the parameters; `hint` says what would."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Signature:
    """The parameters of a user's function, without its context."""

    __slots__ = ("_whole", "context_param", "parameters", "returns", "spread")

    def __init__(self, function: Callable[..., Any], *, without: Iterable[str] = ()) -> None:
        self._whole = inspect.signature(function)
        if without:
            kept = [p for n, p in self._whole.parameters.items() if n not in without]
            # Without validation: as below.
            self._whole = inspect.Signature(
                kept, return_annotation=self._whole.return_annotation, __validate_parameters__=False
            )
        self.returns = self._whole.return_annotation
        self.context_param = next((p.name for p in self._whole.parameters.values() if _is_context(p)), None)
        self.parameters = {n: p for n, p in self._whole.parameters.items() if n != self.context_param}
        if self.context_param is not None:
            # Without validation: dropping one parameter may leave `(a=1, b)`, which we only ever bind by name.
            self._whole = inspect.Signature(list(self.parameters.values()), __validate_parameters__=False)
        # The name of `**kwargs`, whose entries become arguments of their own.
        self.spread = next((p.name for p in self.parameters.values() if p.kind is p.VAR_KEYWORD), None)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by parameter name. Raises `WrongCall`."""
        try:
            bound = self._whole.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise self._explained(error, kwargs) from None
        return self._flat(bound)

    def bind_some(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by parameter name; some may be missing. Raises `WrongCall`."""
        try:
            bound = self._whole.bind_partial(*args, **kwargs).arguments
        except TypeError as error:
            raise self._explained(error, kwargs) from None
        return self._flat(bound)

    def missing(self, arguments: dict[str, Any]) -> list[str]:
        """Required parameters that have no argument."""
        return [
            p.name
            for p in self.parameters.values()
            if p.default is _EMPTY and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name not in arguments
        ]

    def _flat(self, bound: dict[str, Any]) -> dict[str, Any]:
        if self.spread is None or self.spread not in bound:
            return bound
        return {**{n: v for n, v in bound.items() if n != self.spread}, **bound[self.spread]}

    def _explained(self, error: TypeError, kwargs: dict[str, Any]) -> WrongCall:
        unknown = [name for name in kwargs if name not in self.parameters]
        if unknown and self.spread is None:
            hint = did_you_mean(unknown[0], self.parameters) or "it has no parameters"
            return WrongCall(f"it has no parameter `{unknown[0]}`", hint)
        return WrongCall(str(error), f"its parameters are ({', '.join(map(str, self.parameters.values()))})")


def _is_context(parameter: inspect.Parameter) -> bool:
    annotation = parameter.annotation
    if annotation is _EMPTY:
        return parameter.name in _CONTEXT_NAMES
    if isinstance(annotation, str):
        return _CONTEXT_TEXT.search(annotation) is not None
    if isinstance(annotation, type):
        return annotation.__module__ == "partita.define.context" and annotation.__name__ == "Context"
    return any(isinstance(a, type) and a.__name__ == "Context" for a in getattr(annotation, "__args__", ()))


def by_keyword(function: Callable[..., Any], parameters: dict[str, inspect.Parameter]) -> Callable[..., Any]:
    """The function, or a wrapper of it that can be called by keyword only."""
    rest = next((n for n, p in parameters.items() if p.kind is p.VAR_POSITIONAL), None)
    only = [n for n, p in parameters.items() if p.kind is p.POSITIONAL_ONLY]
    if rest is None and not only:
        return function
    before = [n for n, p in parameters.items() if p.kind in _POSITIONAL] if rest is not None else only

    def call(**kwargs: Any) -> Any:
        args: list[Any] = []
        for name in before:
            if name not in kwargs:
                break
            args.append(kwargs.pop(name))
        return function(*args, *(kwargs.pop(rest, ()) if rest is not None else ()), **kwargs)

    return call
