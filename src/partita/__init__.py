"""Partita: the right work at the right time in the right order, and an honest answer to why."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from partita.client import Client
    from partita.define.alert import alert, apprise, deadline, digest, email, post, slack
    from partita.define.asset import asset, bundle, external_asset, member_check, multi_asset, out
    from partita.define.automation import auto, freshness
    from partita.define.binding import const
    from partita.define.branch import branch
    from partita.define.check import CheckResult, check
    from partita.define.concurrency import concurrency
    from partita.define.container import container
    from partita.define.context import Context, context
    from partita.define.dep import dep, window
    from partita.define.gate import approval, external, sleep, sleep_until, until, wait_for
    from partita.define.group import group
    from partita.define.handles import done, failed, skipped, succeeded
    from partita.define.io import IO, FileIO, IOContext
    from partita.define.loop import loop
    from partita.define.metadata import md
    from partita.define.options import backoff, cache, retry
    from partita.define.partition import daily, dynamic, hourly, monthly, product, static, weekly
    from partita.define.pipeline import pipeline
    from partita.define.ready_sensors import (
        absent,
        file_sensor,
        http_sensor,
        object_sensor,
        on_assets,
        on_run,
        sql_sensor,
        updated,
        webhook,
    )
    from partita.define.resource import resource
    from partita.define.schedule import business_days, cron, dates, every, land_by, rrule, timetable
    from partita.define.secret import Secret, secret
    from partita.define.sensor import RunRequest, SensorContext, SkipReason, sensor
    from partita.define.shell import python_script, shell
    from partita.define.signals import Fail, RetryAfter, Skip
    from partita.define.task import task
    from partita.define.teardown import setup_teardown
    from partita.errors import Cancelled, DefinitionError, ParamError, PartitaError, ScheduleError, SelectionError

__version__ = "0.1.0"

_WHERE = {
    "Cancelled": "partita.errors",
    "CheckResult": "partita.define.check",
    "Client": "partita.client",
    "Context": "partita.define.context",
    "DefinitionError": "partita.errors",
    "Fail": "partita.define.signals",
    "FileIO": "partita.define.io",
    "IO": "partita.define.io",
    "IOContext": "partita.define.io",
    "ParamError": "partita.errors",
    "PartitaError": "partita.errors",
    "RetryAfter": "partita.define.signals",
    "RunRequest": "partita.define.sensor",
    "ScheduleError": "partita.errors",
    "Secret": "partita.define.secret",
    "SelectionError": "partita.errors",
    "SensorContext": "partita.define.sensor",
    "Skip": "partita.define.signals",
    "SkipReason": "partita.define.sensor",
    "absent": "partita.define.ready_sensors",
    "alert": "partita.define.alert",
    "apprise": "partita.define.alert",
    "approval": "partita.define.gate",
    "asset": "partita.define.asset",
    "auto": "partita.define.automation",
    "backoff": "partita.define.options",
    "branch": "partita.define.branch",
    "bundle": "partita.define.asset",
    "business_days": "partita.define.schedule",
    "cache": "partita.define.options",
    "check": "partita.define.check",
    "concurrency": "partita.define.concurrency",
    "const": "partita.define.binding",
    "container": "partita.define.container",
    "context": "partita.define.context",
    "cron": "partita.define.schedule",
    "daily": "partita.define.partition",
    "dates": "partita.define.schedule",
    "deadline": "partita.define.alert",
    "dep": "partita.define.dep",
    "digest": "partita.define.alert",
    "done": "partita.define.handles",
    "dynamic": "partita.define.partition",
    "email": "partita.define.alert",
    "every": "partita.define.schedule",
    "external": "partita.define.gate",
    "external_asset": "partita.define.asset",
    "failed": "partita.define.handles",
    "freshness": "partita.define.automation",
    "file_sensor": "partita.define.ready_sensors",
    "group": "partita.define.group",
    "hourly": "partita.define.partition",
    "http_sensor": "partita.define.ready_sensors",
    "land_by": "partita.define.schedule",
    "loop": "partita.define.loop",
    "md": "partita.define.metadata",
    "member_check": "partita.define.asset",
    "monthly": "partita.define.partition",
    "multi_asset": "partita.define.asset",
    "object_sensor": "partita.define.ready_sensors",
    "on_assets": "partita.define.ready_sensors",
    "on_run": "partita.define.ready_sensors",
    "out": "partita.define.asset",
    "pipeline": "partita.define.pipeline",
    "post": "partita.define.alert",
    "product": "partita.define.partition",
    "python_script": "partita.define.shell",
    "resource": "partita.define.resource",
    "retry": "partita.define.options",
    "rrule": "partita.define.schedule",
    "secret": "partita.define.secret",
    "sensor": "partita.define.sensor",
    "setup_teardown": "partita.define.teardown",
    "shell": "partita.define.shell",
    "skipped": "partita.define.handles",
    "slack": "partita.define.alert",
    "sleep": "partita.define.gate",
    "sleep_until": "partita.define.gate",
    "sql_sensor": "partita.define.ready_sensors",
    "static": "partita.define.partition",
    "succeeded": "partita.define.handles",
    "task": "partita.define.task",
    "timetable": "partita.define.schedule",
    "until": "partita.define.gate",
    "updated": "partita.define.ready_sensors",
    "wait_for": "partita.define.gate",
    "webhook": "partita.define.ready_sensors",
    "weekly": "partita.define.partition",
    "window": "partita.define.dep",
}

__all__ = [
    "IO",
    "Cancelled",
    "CheckResult",
    "Client",
    "Context",
    "DefinitionError",
    "Fail",
    "FileIO",
    "IOContext",
    "ParamError",
    "PartitaError",
    "RetryAfter",
    "RunRequest",
    "ScheduleError",
    "Secret",
    "SelectionError",
    "SensorContext",
    "Skip",
    "SkipReason",
    "__version__",
    "absent",
    "alert",
    "apprise",
    "approval",
    "asset",
    "auto",
    "backoff",
    "branch",
    "bundle",
    "business_days",
    "cache",
    "check",
    "concurrency",
    "const",
    "container",
    "context",
    "cron",
    "daily",
    "dates",
    "deadline",
    "dep",
    "digest",
    "done",
    "dynamic",
    "email",
    "every",
    "external",
    "external_asset",
    "failed",
    "file_sensor",
    "freshness",
    "group",
    "hourly",
    "http_sensor",
    "land_by",
    "loop",
    "md",
    "member_check",
    "monthly",
    "multi_asset",
    "object_sensor",
    "on_assets",
    "on_run",
    "out",
    "pipeline",
    "post",
    "product",
    "python_script",
    "resource",
    "retry",
    "rrule",
    "secret",
    "sensor",
    "setup_teardown",
    "shell",
    "skipped",
    "slack",
    "sleep",
    "sleep_until",
    "sql_sensor",
    "static",
    "succeeded",
    "task",
    "timetable",
    "until",
    "updated",
    "wait_for",
    "webhook",
    "weekly",
    "window",
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
