"""Steps that wait instead of running: `pt.approval`, `pt.external`, `pt.sleep`, `pt.sleep_until`, `pt.wait_for`.

Rule: what is waited for becomes a `GateSpec` and the step's arguments, plain data both; nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NoReturn

import msgspec

from partita.core.gates import duration as in_words
from partita.core.gates import instant as instant_in_words
from partita.core.gates import instant_of
from partita.core.graph import Binding, Const, GateSpec, Token
from partita.core.plain import pack
from partita.define.binding import bind, packed
from partita.define.calls import Call, call_base
from partita.define.code import code_version
from partita.define.durations import Duration, seconds
from partita.define.gate_options import (
    check_choices,
    deadline_of,
    named,
    one_of,
    people_of,
    question_of,
    quorum_of,
    schema_of,
    seconds_of,
    texts_of,
)
from partita.define.guess import did_you_mean
from partita.define.handles import Handle
from partita.define.names import clean, name_problem
from partita.define.options import settings_of
from partita.define.signature import Signature, WrongCall, by_keyword
from partita.define.tracer import Draft, Tracer, current_tracer, whole_step
from partita.define.where import caller, wrong

OnTimeout = Literal["fail", "skip"]
_MISSING: Final[Any] = object()


def approval(
    question: str,
    *,
    by: str | Sequence[str] = (),
    choices: Sequence[str] = ("approve", "reject"),
    rejecting: str | Sequence[str] = _MISSING,
    on_reject: Literal["fail", "skip", "continue"] = "fail",
    answer: Any = None,
    quorum: int = 1,
    four_eyes: bool = False,
    show: Mapping[str, Any] | None = None,
    remind: Duration | None = None,
    timeout: Duration | None = None,
    default: str | None = None,
    on_timeout: OnTimeout = "fail",
    name: str = "approval",
    **options: Any,
) -> Any:
    """A step that waits, without a slot, until people have answered.

    `show` is the material to decide on: values, and results of steps (`pt.md.table(...)` and its sisters keep their kinds).
    The result is a dict with `choice`, `approved`, `by`, `comment` and `answer`; `pt.branch` goes by the choice.

    >>> pt.approval("deploy {version}?", by="role:operator", show={"version": build()}, timeout="2d")  # doctest: +SKIP
    """

    def build(tracer: Tracer) -> Handle:
        of = named("approval", name)
        said = texts_of(choices, f"{of}: choices")
        refused = (
            tuple(c for c in ("reject",) if c in said)
            if rejecting is _MISSING
            else texts_of(rejecting, f"{of}: rejecting")
        )
        check_choices(of, said, refused, default)
        one_of(of, "on_reject", on_reject, ("fail", "skip", "continue"))
        spec = GateSpec(
            "approval",
            text=question_of(of, question),
            by=people_of(of, by),
            quorum=quorum_of(of, quorum, people_of(of, by)),
            four_eyes=bool(four_eyes),
            choices=said,
            rejecting=refused,
            on_reject=on_reject,
            schema=schema_of(of, answer),
            remind_s=seconds_of(of, "remind", remind),
            **deadline_of(of, timeout, on_timeout, default is not None),
            default=default or "",
        )
        return _add(tracer, name, spec, _material(tracer, of, show), options)

    return _build("approval", build)


class ExternalHandle(Handle):
    """What `pt.external` gives: the value that the other system reports, and the token with which it does."""

    __slots__ = ()

    @property
    def token(self) -> Handle:
        """The token to hand to a step before: `start_job(cb.token) >> cb`."""
        return Handle(self._tracer, Token(self._lasts[0]), self._axes)


def external(
    what: str = "",
    *,
    timeout: Duration | None = None,
    heartbeat: Duration | None = None,
    default: Any = _MISSING,
    on_timeout: OnTimeout = "fail",
    name: str = "external",
    **options: Any,
) -> Any:
    """A step that waits, without a slot, for another system's callback; its result is the value that is reported.

    The other system calls back with the token: `POST /api/v1/callbacks`. With `heartbeat` it fails when nothing is
    heard for that long.

    >>> cb = pt.external("the training job", timeout="6h", heartbeat="10m")  # doctest: +SKIP
    >>> start_job(cb.token) >> cb  # doctest: +SKIP
    """

    def build(tracer: Tracer) -> Handle:
        of = named("external", name)
        spec = GateSpec(
            "external",
            text=question_of(of, what) if what else "",
            heartbeat_s=seconds_of(of, "heartbeat", heartbeat),
            **deadline_of(of, timeout, on_timeout, default is not _MISSING),
            default_value=None if default is _MISSING else packed(default, f"{of}: default"),
        )
        step = _add(tracer, name, spec, (), options)
        key = step._lasts[0]
        return ExternalHandle(tracer, step._binding, step._axes, firsts=(key,), lasts=(key,))

    return _build("external", build)


def sleep(duration: Any, *, name: str = "sleep", **options: Any) -> Any:
    """A step that waits so long, without a slot: `extract() >> pt.sleep("10m") >> check()`.

    The duration may be the result of a step or a parameter (seconds, a timedelta or "1h30m").
    """

    def build(tracer: Tracer) -> Handle:
        of = named("sleep", name)
        if isinstance(duration, Handle):
            spec, binding = GateSpec("timer", text="a while"), bind(tracer, duration, f"{of}: duration")
        else:
            length = seconds_of(of, "duration", duration)
            spec, binding = GateSpec("timer", text=in_words(length or 0.0)), Const(pack(length))
        return _add(tracer, name, spec, (("for", binding),), options)

    return _build("sleep", build)


def sleep_until(instant: Any, *, name: str = "sleep_until", **options: Any) -> Any:
    """A step that waits until an instant, without a slot: a datetime, ISO text (UTC if it has no offset), or a handle of one.

    >>> pt.sleep_until("2026-01-01T06:00:00+01:00")  # doctest: +SKIP
    """

    def build(tracer: Tracer) -> Handle:
        of = named("sleep_until", name)
        if isinstance(instant, Handle):
            spec, binding = GateSpec("timer", text="an instant"), bind(tracer, instant, f"{of}: instant")
        else:
            at = instant_of(instant)
            if at is None or isinstance(instant, int | float):
                raise wrong(
                    f"{of}: {instant!r} is no instant", hint='write "2026-01-01T06:00:00+01:00" or give a datetime'
                )
            spec, binding = GateSpec("timer", text=instant_in_words(at)), Const(pack(at))
        return _add(tracer, name, spec, (("until", binding),), options)

    return _build("sleep_until", build)


class Condition(msgspec.Struct, frozen=True):
    """Something that a step can wait for; made by `pt.until.file(...)` and its sisters."""

    of: str
    text: str
    options: dict[str, Any]
    function: Callable[..., Any] | None = None


class until:
    """Makers of conditions: `pt.wait_for(pt.until.file("in/*.csv"), timeout="2h")`. Options may be results of steps."""

    @staticmethod
    def file(path: Any, *, at_least: int = 1, settle: Duration = 0) -> Condition:
        """Files match a pattern, and have not grown for `settle`. The result is the list of their paths."""
        options = {"path": path, "at_least": at_least, "settle_s": seconds(settle)}
        return Condition("file", f"files {_said(path)}", options)

    @staticmethod
    def object(
        url: Any, *, at_least: int = 1, settle: Duration = 0, options: Mapping[str, Any] | None = None
    ) -> Condition:
        """Objects of a store match a pattern ("s3://bucket/in/*.csv", by fsspec)."""
        found = {"url": url, "at_least": at_least, "settle_s": seconds(settle), "options": dict(options or {})}
        return Condition("object", f"objects {_said(url)}", found)

    @staticmethod
    def http(
        url: Any,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        status: int | Sequence[int] = 200,
        json: Mapping[str, Any] | None = None,
        contains: str = "",
        when: Callable[[Any], Any] | None = None,
    ) -> Condition:
        """An address answers as wanted: `json={"job.state": "done"}` looks into the answer, `when` is a function of it."""
        statuses = [status] if isinstance(status, int) else list(status)
        options = {"url": url, "method": method, "headers": dict(headers or {}), "body": body, "status": statuses}
        options |= {"json": dict(json or {}), "contains": contains}
        return Condition("http", f"{method} {_said(url)}", options, when)

    @staticmethod
    def sql(query: Any, *, connect: str | Callable[[], Any], params: Mapping[str, Any] | None = None) -> Condition:
        """A query's first column of its first row is true. `connect`: "sqlite:///x.db", or a function that connects."""
        options = {"query": query, "params": dict(params or {})}
        if callable(connect):
            return Condition("sql", "a query", options, connect)
        return Condition("sql", f"a query of {connect}", {**options, "connect": connect})

    @staticmethod
    def run(
        pipeline: Any,
        *,
        state: Literal["succeeded", "failed", "ended"] = "succeeded",
        partition: Any = "",
        within: Duration | None = None,
    ) -> Condition:
        """A run of another pipeline has ended so.

        Of a partitioned run the same partition is meant; else a run that ended `within` this time (a day if not given).
        """
        if state not in ("succeeded", "failed", "ended"):
            raise wrong(f"pt.until.run: {state!r} is no state", hint='write "succeeded", "failed" or "ended"')
        name = pipeline if isinstance(pipeline, str) else str(getattr(pipeline, "name", pipeline))
        options = {"name": name, "state": state, "partition": partition}
        return Condition("run", f"a run of {name} that has {state}", _windowed(options, within))

    @staticmethod
    def asset(asset: Any, *, partition: Any = "", within: Duration | None = None) -> Condition:
        """An asset (partition) was made: that of the run's own partition, or one made `within` this time (a day)."""
        name = asset if isinstance(asset, str) else str(getattr(asset, "name", asset))
        return Condition("asset", f"asset {name}", _windowed({"name": name, "partition": partition}, within))


def wait_for(
    condition: Condition | Callable[..., object],
    *,
    poke: Duration = "30s",
    timeout: Duration | None = None,
    default: Any = _MISSING,
    on_timeout: OnTimeout = "fail",
    name: str | None = None,
    when: Any = None,
    description: str | None = None,
    owner: str = "",
    tags: Sequence[str] = (),
    **arguments: Any,
) -> Any:
    """A step that waits, without a slot, until a condition holds; it is looked at every `poke`.

    The condition is a function of the project (called with `arguments`; what it returns is the result once it is true),
    or one of `pt.until`: `file`, `object`, `http`, `sql`, `run`, `asset`.

    >>> pt.wait_for(pt.until.file("in/orders.csv"), poke="1m", timeout="2h")  # doctest: +SKIP
    >>> pt.wait_for(is_open, market="XETR")  # doctest: +SKIP
    """

    def build(tracer: Tracer) -> Handle:
        found = _condition(condition, arguments)
        title = name or ("wait_for" if found.of != "function" else _own_name(found.function))
        of = named("wait_for", title)
        spec = GateSpec(
            "condition",
            text=found.text,
            condition=found.of,
            poke_s=_poke(of, poke),
            **deadline_of(of, timeout, on_timeout, default is not _MISSING),
            default_value=None if default is _MISSING else packed(default, f"{of}: default"),
        )
        args = tuple((n, bind(tracer, v, f"argument `{n}` of {of}")) for n, v in found.options.items())
        options = {"when": when, "description": description, "owner": owner, "tags": tags}
        given = {n: v for n, v in options.items() if v}
        return _add(tracer, title, spec, args, given, function=found.function)

    return _build("wait_for", build)


# --- building -------------------------------------------------------------------------------------------------------


def _build(kind: str, build: Callable[[Tracer], Handle]) -> Any:
    tracer = current_tracer()
    if tracer is None:
        _outside(kind)

    def built() -> Handle:
        try:
            return build(tracer)
        except ValueError as error:
            raise wrong(f"pt.{kind}: {error}") from None

    return tracer.keeping(built)


def _outside(kind: str) -> NoReturn:
    raise wrong(
        f"pt.{kind} is a step of a pipeline, and no pipeline is being built here",
        hint="call it in the function of a @pt.pipeline or @pt.group; inside of a task use plain Python",
    )


_OPTIONS: Final = ("when", "description", "owner", "tags")


def _add(
    tracer: Tracer,
    name: str,
    spec: GateSpec,
    args: tuple[tuple[str, Binding], ...],
    options: Mapping[str, Any],
    *,
    function: Callable[..., Any] | None = None,
) -> Handle:
    if problem := name_problem(name):
        raise wrong(f"pt.{spec.of}: {problem}")
    for option in options:
        if option not in _OPTIONS:
            near = did_you_mean(option, (*_OPTIONS, "timeout", "default", "name", "show", "by", "remind", "poke"))
            raise wrong(
                f"step `{name}`: there is no option `{option}`", hint=near or f"there are {', '.join(_OPTIONS)}"
            )
    place = caller()
    settings = settings_of(dict(options), of=f"step `{name}`", place=place)
    return tracer.add(
        Draft(
            key=tracer.unique(name),
            call=_call(function) if function is not None else None,
            settings=settings,
            axes=tracer.scope,
            args=args,
            guards=tracer.guards,
            group=tracer.group,
            place=place,
            written_at=str(place),
            kind="gate",
            code_version="1" if function is None else (lambda: code_version(function)),
            description=settings.description or spec.text,
            gate=spec,
        )
    )


def _call(function: Callable[..., Any]) -> Call:
    signature = Signature(function)
    return Call(name=call_base(function), function=by_keyword(function, signature.parameters))


def _material(tracer: Tracer, of: str, show: Any) -> tuple[tuple[str, Binding], ...]:
    if show is None:
        return ()
    if isinstance(show, Handle):
        show = {whole_step(show) or "material": show}
    if not isinstance(show, Mapping):
        raise wrong(f"{of}: show is {show!r:.80}", hint='give it names: show={"plan": plan, "link": url}')
    return tuple((_name(of, key), bind(tracer, value, f"{of}: {key}")) for key, value in show.items())


def _name(of: str, key: object) -> str:
    if isinstance(key, str) and key:
        return clean(key)
    raise wrong(f"{of}: show has the name {key!r}", hint="names are texts")


# --- conditions -----------------------------------------------------------------------------------------------------


def _condition(condition: Any, arguments: Mapping[str, Any]) -> Condition:
    if isinstance(condition, Condition):
        if arguments:
            given = next(iter(arguments))
            raise wrong(f"pt.wait_for: there is no option `{given}`", hint="only a function is called with arguments")
        return condition
    function = getattr(condition, "function", condition)
    if not callable(function) or isinstance(function, type):
        raise wrong(
            f"pt.wait_for: {condition!r:.80} is nothing to wait for",
            hint="give it a function of yours, or pt.until.file(...), .http(...), .sql(...), .run(...), .asset(...)",
        )
    try:
        bound = Signature(function).bind((), dict(arguments))
    except WrongCall as error:
        raise wrong(f"pt.wait_for: `{_own_name(function)}` is called wrongly: {error}", hint=error.hint) from None
    return Condition("function", f"{_own_name(function)}()", bound, function)


def _own_name(function: Any) -> str:
    found = getattr(function, "__name__", "") or type(function).__name__
    return "wait_for" if name_problem(found) else found


def _windowed(options: dict[str, Any], within: Duration | None) -> dict[str, Any]:
    return {**options, "within": None if within is None else seconds(within)}


def _said(value: Any) -> str:
    return f"({value!r})" if isinstance(value, Handle) else str(value)


def _poke(of: str, poke: Duration) -> float:
    found = seconds_of(of, "poke", poke) or 0.0
    if found < 0.1:
        raise wrong(f"{of}: poke is {poke!r}", hint='look every 0.1 s at most: poke="30s"')
    return found
