"""Partita: the right work at the right time in the right order, and an honest answer to why."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from partita.define.asset import asset, bundle, external_asset, member_check, multi_asset, out
    from partita.define.binding import const
    from partita.define.branch import branch
    from partita.define.check import CheckResult, check
    from partita.define.context import Context, context
    from partita.define.group import group
    from partita.define.handles import done, failed, skipped, succeeded
    from partita.define.io import IO, FileIO, IOContext
    from partita.define.loop import loop
    from partita.define.metadata import md
    from partita.define.options import backoff, cache, retry
    from partita.define.partition import daily, hourly, monthly, product, static, weekly
    from partita.define.pipeline import pipeline
    from partita.define.schedule import cron
    from partita.define.shell import python_script, shell
    from partita.define.signals import Fail, RetryAfter, Skip
    from partita.define.task import task
    from partita.define.teardown import setup_teardown
    from partita.errors import Cancelled, DefinitionError, ParamError, PartitaError, SelectionError

__version__ = "0.1.0"

_WHERE = {
    "Cancelled": "partita.errors",
    "CheckResult": "partita.define.check",
    "Context": "partita.define.context",
    "DefinitionError": "partita.errors",
    "Fail": "partita.define.signals",
    "FileIO": "partita.define.io",
    "IO": "partita.define.io",
    "IOContext": "partita.define.io",
    "ParamError": "partita.errors",
    "PartitaError": "partita.errors",
    "RetryAfter": "partita.define.signals",
    "SelectionError": "partita.errors",
    "Skip": "partita.define.signals",
    "asset": "partita.define.asset",
    "backoff": "partita.define.options",
    "branch": "partita.define.branch",
    "bundle": "partita.define.asset",
    "cache": "partita.define.options",
    "check": "partita.define.check",
    "const": "partita.define.binding",
    "context": "partita.define.context",
    "cron": "partita.define.schedule",
    "daily": "partita.define.partition",
    "done": "partita.define.handles",
    "external_asset": "partita.define.asset",
    "failed": "partita.define.handles",
    "group": "partita.define.group",
    "hourly": "partita.define.partition",
    "loop": "partita.define.loop",
    "md": "partita.define.metadata",
    "member_check": "partita.define.asset",
    "monthly": "partita.define.partition",
    "multi_asset": "partita.define.asset",
    "out": "partita.define.asset",
    "pipeline": "partita.define.pipeline",
    "product": "partita.define.partition",
    "python_script": "partita.define.shell",
    "retry": "partita.define.options",
    "setup_teardown": "partita.define.teardown",
    "shell": "partita.define.shell",
    "skipped": "partita.define.handles",
    "static": "partita.define.partition",
    "succeeded": "partita.define.handles",
    "task": "partita.define.task",
    "weekly": "partita.define.partition",
}

__all__ = [
    "IO",
    "Cancelled",
    "CheckResult",
    "Context",
    "DefinitionError",
    "Fail",
    "FileIO",
    "IOContext",
    "ParamError",
    "PartitaError",
    "RetryAfter",
    "SelectionError",
    "Skip",
    "__version__",
    "asset",
    "backoff",
    "branch",
    "bundle",
    "cache",
    "check",
    "const",
    "context",
    "cron",
    "daily",
    "done",
    "external_asset",
    "failed",
    "group",
    "hourly",
    "loop",
    "md",
    "member_check",
    "monthly",
    "multi_asset",
    "out",
    "pipeline",
    "product",
    "python_script",
    "retry",
    "setup_teardown",
    "shell",
    "skipped",
    "static",
    "succeeded",
    "task",
    "weekly",
]


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used, so that `import partita` is cheap."""
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module 'partita' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
