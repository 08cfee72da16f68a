"""Partita: the right work at the right time in the right order, and an honest answer to why."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from partita.define.asset import asset, bundle, external_asset, member_check, multi_asset, out
    from partita.define.binding import const
    from partita.define.branch import branch
    from partita.define.check import CheckResult, check
    from partita.define.concurrency import concurrency
    from partita.define.context import Context, context
    from partita.define.gate import approval, external, sleep, sleep_until, until, wait_for
    from partita.define.group import group
    from partita.define.handles import done, failed, skipped, succeeded
    from partita.define.io import IO, FileIO, IOContext
    from partita.define.loop import loop
    from partita.define.metadata import md
    from partita.define.options import backoff, cache, retry
    from partita.define.partition import daily, hourly, monthly, product, static, weekly
    from partita.define.pipeline import pipeline
    from partita.define.schedule import business_days, cron, dates, every, land_by, rrule, timetable
    from partita.define.shell import python_script, shell
    from partita.define.signals import Fail, RetryAfter, Skip
    from partita.define.task import task
    from partita.define.teardown import setup_teardown
    from partita.errors import Cancelled, DefinitionError, ParamError, PartitaError, ScheduleError, SelectionError

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
    "ScheduleError": "partita.errors",
    "SelectionError": "partita.errors",
    "Skip": "partita.define.signals",
    "approval": "partita.define.gate",
    "asset": "partita.define.asset",
    "backoff": "partita.define.options",
    "branch": "partita.define.branch",
    "bundle": "partita.define.asset",
    "business_days": "partita.define.schedule",
    "cache": "partita.define.options",
    "check": "partita.define.check",
    "concurrency": "partita.define.concurrency",
    "const": "partita.define.binding",
    "context": "partita.define.context",
    "cron": "partita.define.schedule",
    "daily": "partita.define.partition",
    "dates": "partita.define.schedule",
    "done": "partita.define.handles",
    "every": "partita.define.schedule",
    "external": "partita.define.gate",
    "external_asset": "partita.define.asset",
    "failed": "partita.define.handles",
    "group": "partita.define.group",
    "hourly": "partita.define.partition",
    "land_by": "partita.define.schedule",
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
    "rrule": "partita.define.schedule",
    "setup_teardown": "partita.define.teardown",
    "shell": "partita.define.shell",
    "skipped": "partita.define.handles",
    "sleep": "partita.define.gate",
    "sleep_until": "partita.define.gate",
    "static": "partita.define.partition",
    "succeeded": "partita.define.handles",
    "task": "partita.define.task",
    "timetable": "partita.define.schedule",
    "until": "partita.define.gate",
    "wait_for": "partita.define.gate",
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
    "ScheduleError",
    "SelectionError",
    "Skip",
    "__version__",
    "approval",
    "asset",
    "backoff",
    "branch",
    "bundle",
    "business_days",
    "cache",
    "check",
    "concurrency",
    "const",
    "context",
    "cron",
    "daily",
    "dates",
    "done",
    "every",
    "external",
    "external_asset",
    "failed",
    "group",
    "hourly",
    "land_by",
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
    "rrule",
    "setup_teardown",
    "shell",
    "skipped",
    "sleep",
    "sleep_until",
    "static",
    "succeeded",
    "task",
    "timetable",
    "until",
    "wait_for",
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
