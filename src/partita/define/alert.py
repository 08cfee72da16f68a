"""Who is told of what: `pt.alert("broken", on="run.failed", to=ops)`, and where to: `pt.slack(...)`, `pt.email(...)`.

Rule: declarations only. A channel holds names of secrets, never what they are; those are found where the message is sent.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from partita.core.alerts import TOPICS, AlertOptions
from partita.core.manifest import AlertSpec, ChannelSpec, DeadlineSpec, ScheduleSpec
from partita.core.plain import pack
from partita.define.durations import Duration, seconds
from partita.define.guess import did_you_mean
from partita.define.names import name_problem
from partita.define.options import words
from partita.define.recording import Declared, declare, forgiving
from partita.define.secret import Secret
from partita.define.where import Place, caller, wrong
from partita.errors import DefinitionError, ScheduleError


class Channel(Declared):
    """Where messages go, as written."""

    def __init__(self, spec: ChannelSpec, place: Place) -> None:
        self.spec = spec
        self.name = spec.name
        self.place = place
        declare(self)

    def __repr__(self) -> str:
        return f"<{self.spec.of} channel {self.name}>"


class Alert(Declared):
    """A rule, as written."""

    def __init__(self, spec: AlertSpec, place: Place) -> None:
        self.spec = spec
        self.name = spec.name
        self.place = place
        declare(self)

    def __repr__(self) -> str:
        return f"<alert {self.name} at {self.place}>"


def slack(name: str, *, url: str | Secret) -> Channel:
    """A Slack channel, by the address of its incoming webhook: `pt.slack("ops", url=pt.secret("SLACK_URL"))`."""
    return _channel(name, "slack", url=url)


def email(
    name: str,
    *,
    to: str | Sequence[str],
    host: str,
    sender: str = "",
    port: int = 587,
    user: str = "",
    password: str | Secret = "",
    tls: bool = True,
) -> Channel:
    """E-mail over SMTP: `pt.email("oncall", to="oncall@example.com", host="smtp.example.com", password=pt.secret("SMTP"))`."""
    return _channel(
        name, "email", to=list(words(to)), host=host, sender=sender, port=port, user=user, password=password, tls=tls
    )


def post(name: str, *, url: str | Secret, secret: str | Secret = "", headers: dict[str, str] | None = None) -> Channel:
    """A POST of JSON to another service; with `secret`, signed by HMAC-SHA256 over the raw body (`X-Partita-Signature`)."""
    return _channel(name, "webhook", url=url, secret=secret, headers=headers or {})


def apprise(name: str, *, url: str | Secret) -> Channel:
    """Any of the services that apprise knows, by its address: `pt.apprise("teams", url=pt.secret("TEAMS"))`. An extra."""
    return _channel(name, "apprise", url=url)


def alert(
    name: str,
    *,
    on: str | Sequence[str] = ("run.failed", "deadline.*", "freshness.fail"),
    to: Channel | Sequence[Channel],
    subjects: str | Sequence[str] = (),
    template: str = "",
    quiet: str = "",
    tz: str = "UTC",
    repeat: Duration = "1h",
    recovery: bool = True,
) -> Alert:
    """Tell `to` of what happens: `on` are topics ("run.failed", "check.*"), `subjects` narrow them down.

    Subjects are patterns, any of which fits: "pipeline:nightly", "asset:raw_*", "tag:core", "owner:ana". During `quiet`
    hours ("22:00-07:00" in `tz`) messages wait. The same cause is told again after `repeat` only; its end is told, too,
    unless `recovery` is off. `template` is a text with names in braces: "{title}", "{run}", "{subject}", "{lines}", "{url}".
    """
    place = caller()
    stand_in = AlertSpec(name="broken", on=(), to=())
    return forgiving(
        lambda: _alert(name, on, to, subjects, template, quiet, tz, repeat, recovery, place),
        lambda error: _broken(Alert(stand_in, place), error),
    )


def digest(
    name: str, *, at: str | ScheduleSpec = "0 7 * * *", to: Channel | Sequence[Channel], tz: str = "UTC",
    subjects: str | Sequence[str] = (),
) -> Alert:  # fmt: skip
    """The morning report by schedule: what ran since the last one, what broke first, what is late, what waits for a person."""
    place = caller()

    def build() -> Alert:
        from partita.define.schedule import cron

        schedule = at if isinstance(at, ScheduleSpec) else cron(at, tz=tz)
        options = AlertOptions(tz=schedule.tz, at=schedule.rule)
        spec = AlertSpec(
            name=_checked(name, "digest"),
            on=("digest",),
            to=_names(to),
            subjects=",".join(words(subjects)),
            options=msgspec.msgpack.encode(options),
            written_at=str(place),
        )
        return Alert(spec, place)

    return forgiving(build, lambda error: _broken(Alert(AlertSpec("broken", (), ()), place), error))


def deadline(
    after: Duration | None = None, *, by: str = "", tz: str = "UTC", step: str = "", asset: str = ""
) -> DeadlineSpec:
    """By when a run (or one step, or one asset, of it) is to be done: `after` its start, or `by` a time of day.

    >>> deadline("2h").after_s
    7200.0
    """
    if (after is None) == (not by):
        raise ValueError('a deadline is either after so long, "2h", or by="06:00"')
    if step and asset:
        raise ValueError("a deadline is of a step or of an asset, not of both")
    if by:
        try:
            dt.time.fromisoformat(by)
        except ValueError:
            raise ValueError(f'{by!r} is no time of day: write "06:00"') from None
        from partita.define.schedule import zone

        zone(tz)
    of: Any = "task" if step else "asset" if asset else "run"
    return DeadlineSpec(of, step or asset, None if after is None else seconds(after), by, tz)


def read_deadlines(value: Any) -> tuple[DeadlineSpec, ...]:
    """What a pipeline was given as its deadlines: "2h", "06:00", `pt.deadline(...)` or a list. Raises `ValueError`."""
    items = value if isinstance(value, list | tuple) else () if value is None else (value,)
    found = []
    for item in items:
        if isinstance(item, DeadlineSpec):
            found.append(item)
        elif isinstance(item, str) and ":" in item:
            found.append(deadline(by=item))
        else:
            found.append(deadline(item))
    return tuple(found)


def alert_specs(
    declared: Sequence[Declared],
) -> tuple[tuple[AlertSpec, ...], tuple[ChannelSpec, ...], list[DefinitionError]]:
    """The rules and channels of a project, and what is wrong between them."""
    problems: list[DefinitionError] = []
    alerts: dict[str, Alert] = {}
    channels: dict[str, Channel] = {}
    for made in declared:
        if made.broken is not None or not isinstance(made, Alert | Channel):
            continue
        known: dict[str, Any] = alerts if isinstance(made, Alert) else channels
        if made.name in known:
            kind = "alert" if isinstance(made, Alert) else "channel"
            problems.append(
                wrong(f"{kind} `{made.name}` is defined twice", hint="rename one of them", place=made.place)
            )
            continue
        known[made.name] = made
    return (
        tuple(alert.spec for alert in alerts.values()),
        tuple(channel.spec for channel in channels.values()),
        problems,
    )


def _alert(
    name: str, on: Any, to: Any, subjects: Any, template: str, quiet: str, tz: str, repeat: Any, recovery: bool,
    place: Place,
) -> Alert:  # fmt: skip
    try:
        topics = words(on)
        repeat_s = seconds(repeat)
        subject_text = ",".join(words(subjects))
    except ValueError as error:
        raise wrong(f"alert `{name}`: {error}", place=place) from None
    for topic in topics:
        if not any(fnmatchcase(known, topic) for known in TOPICS):
            raise wrong(
                f"alert `{name}`: there is no topic {topic!r}",
                hint=did_you_mean(topic, TOPICS) or f"there are {', '.join(TOPICS)}",
                place=place,
            )
    _check_quiet(name, quiet, tz, place)
    options = AlertOptions(quiet, tz, repeat_s, bool(recovery))
    return Alert(
        AlertSpec(
            name=_checked(name, "alert"),
            on=topics,
            to=_names(to),
            subjects=subject_text,
            template=template,
            options=msgspec.msgpack.encode(options),
            written_at=str(place),
        ),
        place,
    )


def _check_quiet(name: str, quiet: str, tz: str, place: Place) -> None:
    from partita.define.schedule import zone

    try:
        zone(tz)
    except ScheduleError as error:
        raise wrong(f"alert `{name}`: {error.message}", hint=error.hint, place=place) from None
    if not quiet:
        return
    try:
        first, last = quiet.split("-")
        dt.time.fromisoformat(first.strip()), dt.time.fromisoformat(last.strip())
    except ValueError:
        raise wrong(f"alert `{name}`: {quiet!r} are no hours", hint='write "22:00-07:00"', place=place) from None


def _names(to: Any) -> tuple[str, ...]:
    items = to if isinstance(to, list | tuple) else (to,)
    for item in items:
        if not isinstance(item, Channel):
            raise wrong(f"{item!r} is no channel", hint='write to=pt.slack("ops", url=pt.secret("SLACK_URL"))')
    return tuple(item.name for item in items)


def _channel(name: str, of: str, **options: Any) -> Channel:
    place = caller()

    def build() -> Channel:
        plain = {k: {"secret": v.name} if isinstance(v, Secret) else v for k, v in options.items()}
        return Channel(ChannelSpec(_checked(name, "channel"), of, pack(plain)), place)

    return forgiving(build, lambda error: _broken_channel(place, error))


def _checked(name: str, of: str) -> str:
    if problem := name_problem(name):
        raise wrong(f"{of} {name!r}: {problem}")
    return name


def _broken(made: Alert, error: DefinitionError) -> Alert:
    made.broken = error
    return made


def _broken_channel(place: Place, error: DefinitionError) -> Channel:
    made = Channel(ChannelSpec("broken", "webhook"), place)
    made.broken = error
    return made
