"""What a user sets on a task, asset or check, read and turned into policies.

Rule: a table of readers, one per option. A reader raises `ValueError` with a text for people; this file says of which
option of which definition, and where.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from partita.core.policies import Cache, Policies, Retry
from partita.define.conditions import Condition
from partita.define.durations import Duration, seconds, size
from partita.define.executors import options_of
from partita.define.guess import did_you_mean
from partita.define.names import clean, name_problem
from partita.define.recording import forgiving
from partita.define.where import Place, wrong

Predicate = Callable[[BaseException], object]
ErrorNames = type[BaseException] | str | Sequence[type[BaseException] | str]


class Options(TypedDict, total=False):
    """The options of a step, as written."""

    name: str
    retries: int | RetryRule
    retry_delay: Duration | Sequence[Duration] | Backoff
    retry_on: ErrorNames
    never_retry_on: ErrorNames
    retry_if: Predicate
    timeout: Duration
    grace: Duration
    pool: str | tuple[str, int] | Sequence[str | tuple[str, int]] | Mapping[str, int]
    rate: str | tuple[str, int] | Sequence[str | tuple[str, int]] | Mapping[str, int]
    priority: int
    limit: int
    limit_per_run: int
    memory: str | int
    memory_on_oom: float
    memory_cap: str | int
    cpu: float
    gpu: float
    resources: Mapping[str, float]
    executor: str
    executor_options: Mapping[str, Any]
    isolation: Literal["worker", "process"]
    on_lost: Literal["retry", "fail", "ask"]
    lost_limit: int
    cache: bool | Duration | CacheRule
    when: str | Condition
    tags: str | Sequence[str]
    owner: str
    description: str
    version: str | int
    label: str


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that grow: made by `pt.backoff`."""

    initial_s: float
    factor: float
    cap_s: float | None
    jitter: Literal["none", "full"]


def backoff(initial: Duration = 1, *, factor: float = 2.0, cap: Duration | None = None, jitter: bool = True) -> Backoff:
    """Exponential backoff for `retry_delay`: `initial`, then `factor` times more each time, at most `cap`.

    With `jitter` each wait is drawn uniformly from 0 to the delay, so that many failures do not come back together.

    >>> backoff("10s", cap="5m").cap_s
    300.0
    """
    return forgiving(lambda: _backoff(initial, factor, cap, jitter), lambda error: Backoff(0.0, 1.0, None, "none"))


def _backoff(initial: Duration, factor: float, cap: Duration | None, jitter: bool) -> Backoff:
    try:
        initial_s, cap_s = seconds(initial), None if cap is None else seconds(cap)
    except ValueError as error:
        raise wrong(f"backoff: {error}") from None
    if not isinstance(factor, int | float) or factor < 1:
        raise wrong(f"backoff: the factor must be 1 or more, not {factor!r}")
    return Backoff(initial_s, float(factor), cap_s, "full" if jitter else "none")


@dataclass(frozen=True, slots=True)
class RetryRule:
    """How often and when to try again: made by `pt.retry`."""

    limit: int
    delay: Any = None
    on: Any = ()
    never_on: Any = ()
    when: Predicate | None = None


def retry(
    limit: int,
    *,
    delay: Duration | Sequence[Duration] | Backoff | None = None,
    on: ErrorNames = (),
    never_on: ErrorNames = (),
    when: Predicate | None = None,
) -> RetryRule:
    """Everything about retries in one value: `@pt.task(retries=pt.retry(3, delay="5m", on=TimeoutError))`."""
    return RetryRule(limit, delay, on, never_on, when)


@dataclass(frozen=True, slots=True)
class CacheRule:
    """When a result may be used again: made by `pt.cache`."""

    ttl: Any = None
    key: Callable[..., object] | None = None
    salt: str = ""


def cache(ttl: Duration | None = None, *, key: Callable[..., object] | None = None, salt: str = "") -> CacheRule:
    """Use a result again for `ttl` (for ever without) while the key is the same.

    The key is made of the inputs and the code version, or of what `key` returns: it is called with the step's
    arguments by keyword.
    """
    return CacheRule(ttl, key, salt)


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of a step, read."""

    name: str | None = None
    policies: Policies = field(default_factory=Policies)
    retry_if: Predicate | None = None
    cache_key: Callable[..., object] | None = None
    when: str | Condition | None = None
    tags: tuple[str, ...] = ()
    owner: str = ""
    description: str | None = None
    version: str | None = None
    label: str = ""


_NOTHING = Settings()


def settings_of(raw: Mapping[str, Any], *, of: str, place: Place, asynchronous: bool = False) -> Settings:
    """Read the options. Raises `DefinitionError` at `place`; `of` names the definition ("task `extract`")."""
    if not raw:
        return _ASYNC if asynchronous else _NOTHING
    read = _read(raw, of, place)
    try:
        retrying, predicate = _retrying(raw, read)
        _check_memory(read)
    except ValueError as error:
        raise wrong(f"{of}: {error}", place=place) from None
    rule = read.get("cache")
    policies = Policies(
        retry=retrying,
        timeout_s=read.get("timeout"),
        cache=None if rule is None else rule[0],
        asynchronous=asynchronous,
        **{_POLICY_FIELDS[option]: read[option] for option in _POLICY_FIELDS if option in read},
    )
    return Settings(
        name=read.get("name"),
        policies=policies,
        retry_if=predicate,
        cache_key=None if rule is None else rule[1],
        when=read.get("when"),
        tags=read.get("tags", ()),
        owner=read.get("owner", ""),
        description=read.get("description"),
        version=read.get("version"),
        label=read.get("label", ""),
    )


_ASYNC = Settings(policies=Policies(asynchronous=True))
_POLICY_FIELDS = {
    "grace": "grace_s",
    "pool": "pools",
    "rate": "rates",
    "priority": "priority",
    "limit": "limit",
    "limit_per_run": "limit_per_run",
    "memory": "memory_bytes",
    "memory_on_oom": "memory_on_oom",
    "memory_cap": "memory_cap_bytes",
    "cpu": "cpu",
    "gpu": "gpu",
    "resources": "resources",
    "executor": "executor",
    "executor_options": "executor_options",
    "isolation": "isolation",
    "on_lost": "on_lost",
    "lost_limit": "lost_limit",
}


def check_options(raw: Mapping[str, Any], known: Iterable[str], *, of: str, place: Place) -> None:
    """Raise for an option that does not exist."""
    for option in raw:
        if option not in known:
            hint = did_you_mean(option, known)
            raise wrong(f"{of} has no option `{option}`", hint=hint, place=place)


def _read(raw: Mapping[str, Any], of: str, place: Place) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for option, value in raw.items():
        reader = _READERS.get(option)
        if reader is None:
            raise wrong(f"{of} has no option `{option}`", hint=did_you_mean(option, _READERS), place=place)
        if value is None:
            continue
        try:
            read[option] = reader(value)
        except ValueError as error:
            raise wrong(f"option `{option}` of {of}: {error}", place=place) from None
    return read


def _check_memory(read: Mapping[str, Any]) -> None:
    memory, cap, factor = read.get("memory"), read.get("memory_cap"), read.get("memory_on_oom")
    if memory is None and factor is not None:
        raise ValueError('`memory_on_oom` says how `memory` grows, and there is none: write memory="1GiB" as well')
    if cap is not None and factor is None:
        raise ValueError("`memory_cap` bounds how `memory` grows: write memory_on_oom=2.0 as well")
    if memory is not None and cap is not None and cap < memory:
        raise ValueError(f"`memory_cap` ({cap} bytes) is less than `memory` ({memory} bytes)")


# --- retries ------------------------------------------------------------------------------------------------------


def _retrying(raw: Mapping[str, Any], read: Mapping[str, Any]) -> tuple[Retry, Predicate | None]:
    rule = read.get("retries")
    limit: int | None
    jitter: Literal["none", "full"]
    if isinstance(rule, RetryRule):
        delay, on, never_on = read_delay(rule.delay), error_names(rule.on), error_names(rule.never_on)
        limit, predicate = _count(rule.limit), None if rule.when is None else _predicate(rule.when)
    else:
        limit, predicate = rule, None
        delay, on, never_on = None, (), ()
    delay = read.get("retry_delay", delay)
    on, never_on = read.get("retry_on", on), read.get("never_retry_on", never_on)
    predicate = read.get("retry_if", predicate)
    if limit is None:
        limit = len(raw["retry_delay"]) if isinstance(raw.get("retry_delay"), list | tuple) else 0
    delays_s, factor, cap_s, jitter = delay if delay is not None else ((0.0,), 1.0, None, "none")
    return (
        Retry(
            limit=limit,
            delays_s=delays_s,
            backoff=factor,
            cap_s=cap_s,
            jitter=jitter,
            on=on,
            never_on=never_on,
            by_predicate=predicate is not None,
        ),
        predicate,
    )


def read_delay(value: Any) -> tuple[tuple[float, ...], float, float | None, Literal["none", "full"]] | None:
    """Delays, factor, cap and jitter of a `retry_delay`."""
    if value is None:
        return None
    if isinstance(value, Backoff):
        return (value.initial_s,), value.factor, value.cap_s, value.jitter
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError("a list of delays must not be empty")
        return tuple(seconds(item) for item in value), 1.0, None, "none"
    return (seconds(value),), 1.0, None, "none"


def error_names(value: Any) -> tuple[str, ...]:
    """Names of exception classes: dotted for the user's own, bare for builtins."""
    items = value if isinstance(value, list | tuple | set | frozenset) else (value,)
    return tuple(_error_name(item) for item in items)


def _error_name(item: object) -> str:
    if isinstance(item, str) and item:
        return item
    if isinstance(item, type) and issubclass(item, BaseException):
        return item.__qualname__ if item.__module__ == "builtins" else f"{item.__module__}.{item.__qualname__}"
    raise ValueError(f"{item!r} is no exception class and no name of one")


# --- readers ------------------------------------------------------------------------------------------------------


def _retries(value: Any) -> Any:
    return value if isinstance(value, RetryRule) else _count(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no number of 0 or more")
    return value


def _positive(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is no number of 1 or more")
    return value


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is no whole number")
    return value


def _long(value: Any) -> float:
    found = seconds(value)
    if found == 0:
        raise ValueError("it must be more than 0")
    return found


def text(value: Any) -> str:
    """A string as it is."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no string")
    return clean(value)


def name(value: Any) -> str:
    """A valid name."""
    if problem := name_problem(value):
        raise ValueError(problem)
    return str(value)


def words(value: Any) -> tuple[str, ...]:
    """One word or a list of words, each once."""
    items = (value,) if isinstance(value, str) else value
    if not isinstance(items, list | tuple | set | frozenset) or not all(isinstance(i, str) and i for i in items):
        raise ValueError(f"{value!r} is no word and no list of words")
    ordered = sorted(items) if isinstance(items, set | frozenset) else items
    return tuple(dict.fromkeys(map(clean, ordered)))


def _pools(value: Any) -> tuple[tuple[str, int], ...]:
    if isinstance(value, str):
        items: list[Any] = [value]
    elif isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], int):
        items = [value]
    elif isinstance(value, list | tuple):
        items = list(value)
    else:
        raise ValueError(f'{value!r} is no pool: write "db", ("db", 2) or a list of these')
    return tuple(_pool(item) for item in items)


def _pool(item: Any) -> tuple[str, int]:
    pool, slots = item if isinstance(item, tuple) and len(item) == 2 else (item, 1)
    return name(pool), _positive(slots)


def _amount(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise ValueError(f"{value!r} is no number of 0 or more")
    return float(value)


def _factor(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 < value <= 100:
        raise ValueError(f"{value!r} is no factor: write 2.0 for twice the memory after each time")
    return float(value)


def _resources(value: Any) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, Mapping):
        raise ValueError(f'{value!r} is no table of names and amounts: write {{"license": 1}}')
    for resource in value:
        if resource in ("cpu", "memory", "gpu"):
            raise ValueError(f"{resource!r} is an option of its own: write {resource}=...")
    return tuple((name(resource), _amount(amount)) for resource, amount in sorted(value.items()))


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def reader(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is none of {', '.join(map(repr, allowed))}")
        return str(value)

    return reader


def _cache(value: Any) -> tuple[Cache, Callable[..., object] | None] | None:
    if value is False:
        return None
    rule = value if isinstance(value, CacheRule) else CacheRule(None if value is True else value)
    if rule.key is not None and not callable(rule.key):
        raise ValueError(f"the cache key {rule.key!r} is no function")
    ttl_s = None if rule.ttl is None else seconds(rule.ttl)
    return Cache(ttl_s=ttl_s, key="inputs" if rule.key is None else "own", salt=text(rule.salt)), rule.key


def _predicate(value: Any) -> Predicate:
    if not callable(value) or isinstance(value, type):
        raise ValueError(f"{value!r} is no function of an exception")
    found: Predicate = value
    return found


def _when(value: Any) -> str | Condition:
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, Condition):
        return value
    raise ValueError(f'{value!r} is no rule: write "any_failed", "extract.failed & load.succeeded" or pt.failed(step)')


def _version(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float | dt.date):
        raise ValueError(f"{value!r} is no version: write a string or a number")
    return str(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "name": name,
    "retries": _retries,
    "retry_delay": read_delay,
    "retry_on": error_names,
    "never_retry_on": error_names,
    "retry_if": _predicate,
    "timeout": _long,
    "grace": seconds,
    "pool": _pools,
    "rate": _pools,
    "priority": _integer,
    "limit": _positive,
    "limit_per_run": _positive,
    "memory": size,
    "memory_on_oom": _factor,
    "memory_cap": size,
    "cpu": _amount,
    "gpu": _amount,
    "resources": _resources,
    "executor": name,
    "executor_options": options_of,
    "isolation": _one_of("worker", "process"),
    "on_lost": _one_of("retry", "fail", "ask"),
    "lost_limit": _count,
    "cache": _cache,
    "when": _when,
    "tags": words,
    "owner": text,
    "description": text,
    "version": _version,
    "label": text,
}
STEP_OPTIONS = frozenset(_READERS)
