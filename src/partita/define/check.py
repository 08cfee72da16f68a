"""`@check`: a quality test of an asset, which blocks what is downstream or only warns.

Rule: a check is a step of its own after its asset; a blocking one is needed by everything that reads the asset.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Unpack

from partita.define.options import Options
from partita.define.recording import Declared, declare, forgiving
from partita.define.task import TaskDef, task_of
from partita.define.where import wrong
from partita.errors import DefinitionError


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check has found, if it has more to say than True or False."""

    passed: bool
    message: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)
    severity: Literal["warn", "error"] | None = None


class CheckDef(Declared):
    """A check as written."""

    def __init__(
        self, function: Any, asset: Any, blocking: bool, severity: str | None, deps: Any, options: Mapping[str, Any]
    ) -> None:
        self.task: TaskDef = task_of(function, dict(options), "check")
        self.place = self.task.place
        self.check_name = self.task.name
        self.asset = asset
        self.blocking = blocking
        if severity not in (None, "warn", "error"):
            raise self._wrong(f'severity is "warn" or "error", not {severity!r}')
        if blocking and severity == "warn":
            raise self._wrong("a blocking check cannot have severity warn", "leave `severity` out, or blocking=False")
        self.severity: Literal["warn", "error"] = (
            "error" if severity == "error" or (blocking and severity is None) else "warn"
        )
        self.deps = tuple(deps) if isinstance(deps, list | tuple) else (deps,)
        self.name = f"{getattr(asset, 'name', asset)}:{self.check_name}"
        functools.update_wrapper(self, function)
        declare(self)

    def _wrong(self, message: str, hint: str | None = None) -> Exception:
        return wrong(f"check `{self.check_name}`: {message}", hint=hint, place=self.place)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The plain function."""
        return self.task.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<check {self.name} at {self.place}>"


def check(
    asset: Any,
    *,
    blocking: bool = False,
    severity: Literal["warn", "error"] | None = None,
    deps: Any = (),
    **options: Unpack[Options],
) -> Callable[[Callable[..., Any]], CheckDef]:
    """Make a function a check of an asset; it returns True, False or a `pt.CheckResult`.

    Its parameter named like the asset (or its first one) takes the asset's value; others are named after other assets.
    With `blocking` what is downstream of the asset does not run if it fails; else it warns, or with severity "error"
    its own step fails.

    >>> @pt.check(daily_delays, blocking=True)  # doctest: +SKIP
    ... def delays_are_plausible(daily_delays) -> bool: ...
    """
    if not isinstance(asset, str) and not hasattr(asset, "name"):
        if callable(asset):
            raise wrong("@pt.check needs the asset that it checks", hint="write @pt.check(my_asset)")
        raise wrong(f"@pt.check: {asset!r} is no asset and no name of one")

    def stand_in(function: Any, error: DefinitionError) -> CheckDef:
        bare = CheckDef(function, asset, False, None, (), {})
        bare.broken = error
        return bare

    return lambda function: forgiving(
        lambda: CheckDef(function, asset, blocking, severity, deps, options), lambda error: stand_in(function, error)
    )
