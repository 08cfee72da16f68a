"""What is worth telling, to whom, and when: topics, rules, quiet hours, repetition. Pure.

Rule: one message for each cause. A run with forty failed steps behind one failure happens once ("run.failed"), and the
same cause of the same subject is not told again before its rule's `repeat` is over.
"""

from __future__ import annotations

import datetime as dt
from fnmatch import fnmatchcase
from typing import Final, Literal

import msgspec

from partita.core.manifest import AlertSpec
from partita.core.timetable import at as moment_of
from partita.core.zones import tzinfo

Severity = Literal["error", "warn", "ok", "info"]

TOPICS: Final[dict[str, str]] = {
    "run.failed": "a run failed, with its first causes and what they hold up",
    "run.succeeded": "a run succeeded",
    "run.cancelled": "a run was cancelled",
    "run.recovered": "a pipeline whose last run failed has succeeded",
    "step.failed": "a step failed by itself, after its retries",
    "step.retried": "a step failed and is tried again",
    "asset.made": "an asset was made",
    "check.failed": "a check failed (severity error)",
    "check.warned": "a check failed (severity warn)",
    "freshness.warn": "an asset is older than its policy warns about",
    "freshness.fail": "an asset is older than its policy allows",
    "freshness.recovered": "an asset is fresh again",
    "deadline.predicted": "a run will be late, by what it usually takes",
    "deadline.missed": "a run, step or asset was not done by its deadline",
    "schedule.skipped": "a due instant was skipped",
    "schedule.paused": "a schedule paused itself after too many failures",
    "sensor.failed": "a sensor failed",
    "backfill.ended": "a backfill ended",
    "approval.waiting": "a step waits for a person",
    "service.unwell": "a part of the service is unwell",
    "service.recovered": "a part of the service is well again",
    "digest": "the morning report",
}


class Happening(msgspec.Struct, frozen=True):
    """Something that rules may want to tell. `subject` is "pipeline:nightly", "asset:delays", "schedule:nightly" ...

    `cause` names what is behind it, so that the same cause is known again; `key` makes this happening one.
    """

    topic: str
    subject: str
    at: float
    title: str
    key: str
    severity: Severity = "info"
    lines: tuple[str, ...] = ()
    namespace: str = "default"
    project: str = ""
    cause: str = ""
    run: str = ""
    run_no: int = 0
    tags: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()


class AlertOptions(msgspec.Struct, frozen=True):
    """What a rule has beyond topics, subjects and channels. `quiet`: "22:00-07:00" in `tz`; seconds; `at` is the
    timetable of a digest ("cron 0 7 * * *").
    """

    quiet: str = ""
    tz: str = "UTC"
    repeat_s: float = 3600.0
    recovery: bool = True
    at: str = ""


class Message(msgspec.Struct, frozen=True):
    """What is sent, as plain data. `fields` are for templates and for programs."""

    key: str
    topic: str
    severity: Severity
    title: str
    lines: tuple[str, ...] = ()
    url: str = ""
    fields: dict[str, str] = {}


_options = msgspec.msgpack.Decoder(AlertOptions)


def options_of(rule: AlertSpec) -> AlertOptions:
    """The options of a rule."""
    return _options.decode(rule.options) if rule.options else AlertOptions()


def is_wanted(rule: AlertSpec, happening: Happening) -> bool:
    """Whether a rule wants to tell this.

    >>> rule = AlertSpec("ops", on=("run.*",), to=("slack",), subjects="pipeline:night*")
    >>> is_wanted(rule, Happening("run.failed", "pipeline:nightly", 0.0, "", "k"))
    True
    """
    topic = happening.topic
    wanted = any(fnmatchcase(topic, pattern) for pattern in rule.on)
    # Who asked to hear of the failure hears of its end.
    failure = {
        "run.recovered": "run.failed",
        "freshness.recovered": "freshness.fail",
        "service.recovered": "service.unwell",
    }
    if not wanted and topic in failure and options_of(rule).recovery:
        wanted = any(fnmatchcase(failure[topic], pattern) for pattern in rule.on)
    return wanted and (not rule.subjects or any(_is_about(p.strip(), happening) for p in rule.subjects.split(",")))


def _is_about(pattern: str, happening: Happening) -> bool:
    kind, _, rest = pattern.rpartition(":")
    if kind == "tag":
        return any(fnmatchcase(tag, rest) for tag in happening.tags)
    if kind == "owner":
        return any(fnmatchcase(owner, rest) for owner in happening.owners)
    subject_kind, _, name = happening.subject.partition(":")
    return (not kind or kind == subject_kind) and fnmatchcase(name, rest)


def held_until(options: AlertOptions, now: float) -> float:
    """When something may be told: now, or at the end of the quiet hours.

    >>> held_until(AlertOptions(quiet="22:00-07:00"), 0.0)
    25200.0
    """
    if not options.quiet:
        return now
    first, last = (dt.time.fromisoformat(part.strip()) for part in options.quiet.split("-"))
    local = moment_of(now).astimezone(tzinfo(options.tz))
    time = local.time()
    is_quiet = first <= time < last if first <= last else time >= first or time < last
    if not is_quiet:
        return now
    end = dt.datetime.combine(local.date() + dt.timedelta(days=int(first > last and time >= first)), last, local.tzinfo)
    return end.timestamp()


def is_repetition(options: AlertOptions, told_at: float | None, now: float) -> bool:
    """Whether the same cause was told so lately that it is not told again."""
    return told_at is not None and 0 <= now - told_at < options.repeat_s
