"""What a user sets on a task becomes policies; what is wrong is said with the name of the option."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

import partita as pt
from partita.core.policies import Cache, Policies, Retry
from partita.define.compile import compile_pipeline
from partita.errors import DefinitionError

from .building import graph_of, steps_of


def nothing(x: object = None) -> None: ...


def policies(**options: Any) -> Policies:
    return pt.task(**options)(nothing).settings.policies


def test_without_options_all_is_default() -> None:
    assert policies() == Policies()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"retries": 3}, Retry(limit=3)),
        ({"retries": 3, "retry_delay": "5m"}, Retry(limit=3, delays_s=(300.0,))),
        ({"retries": 3, "retry_delay": 7}, Retry(limit=3, delays_s=(7.0,))),
        ({"retries": 3, "retry_delay": dt.timedelta(minutes=1)}, Retry(limit=3, delays_s=(60.0,))),
        ({"retry_delay": ["1s", "10s", 60]}, Retry(limit=3, delays_s=(1.0, 10.0, 60.0))),
        ({"retries": 5, "retry_delay": ["1s", "10s"]}, Retry(limit=5, delays_s=(1.0, 10.0))),
        (
            {"retries": 5, "retry_delay": pt.backoff("10s", factor=3, cap="5m")},
            Retry(limit=5, delays_s=(10.0,), backoff=3.0, cap_s=300.0, jitter="full"),
        ),
        (
            {"retries": 5, "retry_delay": pt.backoff("10s", jitter=False)},
            Retry(limit=5, delays_s=(10.0,), backoff=2.0, jitter="none"),
        ),
        ({"retries": 1, "retry_on": TimeoutError}, Retry(limit=1, on=("TimeoutError",))),
        ({"retries": 1, "retry_on": [TimeoutError, "a.B"]}, Retry(limit=1, on=("TimeoutError", "a.B"))),
        ({"retries": 1, "never_retry_on": pt.Fail}, Retry(limit=1, never_on=("partita.define.signals.Fail",))),
        ({"retries": 1, "retry_if": lambda error: True}, Retry(limit=1, by_predicate=True)),
        (
            {"retries": pt.retry(2, delay="1s", on=OSError, never_on="x.Y", when=lambda error: True)},
            Retry(limit=2, delays_s=(1.0,), on=("OSError",), never_on=("x.Y",), by_predicate=True),
        ),
    ],
)
def test_retries(options: dict[str, Any], expected: Retry) -> None:
    assert policies(**options).retry == expected


@pytest.mark.parametrize(
    ("options", "field", "expected"),
    [
        ({"timeout": "1h"}, "timeout_s", 3600.0),
        ({"grace": 0}, "grace_s", 0.0),
        ({"pool": "db"}, "pools", (("db", 1),)),
        ({"pool": ("db", 2)}, "pools", (("db", 2),)),
        ({"pool": ["db", ("gpu", 2)]}, "pools", (("db", 1), ("gpu", 2))),
        ({"pool": {"db": 3}}, "pools", (("db", 3),)),
        ({"priority": -5}, "priority", -5),
        ({"limit": 4}, "limit", 4),
        ({"limit_per_run": 2}, "limit_per_run", 2),
        ({"memory": "512MiB"}, "memory_bytes", 512 << 20),
        ({"isolation": "process"}, "isolation", "process"),
        ({"on_lost": "ask"}, "on_lost", "ask"),
        ({"lost_limit": 0}, "lost_limit", 0),
        ({"cache": True}, "cache", Cache()),
        ({"cache": False}, "cache", None),
        ({"cache": "7d"}, "cache", Cache(ttl_s=604800.0)),
        ({"cache": pt.cache("1h", salt="v2")}, "cache", Cache(ttl_s=3600.0, salt="v2")),
        ({"cache": pt.cache(key=lambda x: x)}, "cache", Cache(key="own")),
    ],
)
def test_policies(options: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(policies(**options), field) == expected


def test_what_is_said_about_a_task_is_said_about_its_step() -> None:
    @pt.task(tags=["a", "b", "a"], owner="ops", description="Own words.", version=3, label="{x}")
    def work(x: int) -> None:
        """Not these."""

    def flow() -> None:
        work.map([1])

    step = steps_of(graph_of(flow))["work"]

    assert (step.tags, step.owner, step.description) == (("a", "b"), "ops", "Own words.")
    assert (step.code_version, step.label) == ("3", "{x}")


def test_predicates_and_keys_are_with_the_call() -> None:
    def key(x: object) -> object:
        return x

    def again(error: BaseException) -> bool:
        return True

    @pt.task(retries=1, retry_if=again, cache=pt.cache(key=key))
    def work(x: int) -> None: ...

    @pt.pipeline
    def flow() -> None:
        work(1)
        work.options(cache=False, name="again")(1)

    compiled = compile_pipeline(flow)
    first, second = (compiled.calls[step.call] for step in compiled.graph.steps)

    assert (first.cache_key, first.retry_if) == (key, again)
    assert (second.cache_key, second.retry_if) == (None, again)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"retries": -1}, "option `retries` of task `nothing`: -1 is no number of 0 or more"),
        ({"retries": True}, "option `retries`"),
        ({"retries": pt.retry(-2)}, "-2 is no number"),
        ({"retry_delay": "soon"}, "'soon' is no duration"),
        ({"retry_delay": []}, "must not be empty"),
        ({"retry_on": int}, "is no exception class"),
        ({"retry_if": 3}, "is no function"),
        ({"timeout": 0}, "more than 0"),
        ({"timeout": "-5s"}, "no duration"),
        ({"pool": ("db", 0)}, "0 is no number of 1 or more"),
        ({"pool": 3}, "3 is no pool"),
        ({"memory": "much"}, "'much' is no size"),
        ({"isolation": "thread"}, "none of 'worker', 'process'"),
        ({"on_lost": "cry"}, "none of 'retry', 'fail', 'ask'"),
        ({"limit": 0}, "1 or more"),
        ({"priority": "high"}, "no whole number"),
        ({"cache": "often"}, "'often' is no duration"),
        ({"tags": 3}, "no list of words"),
        ({"owner": 3}, "no string"),
        ({"when": 3}, "is no rule"),
        ({"version": object()}, "is no version"),
    ],
)
def test_a_wrong_value_is_said_with_its_option(options: dict[str, Any], says: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        policies(**options)
    assert says in caught.value.message
    assert caught.value.file == "test_options.py"
    assert caught.value.line


def test_an_unknown_option_is_answered_with_the_nearest() -> None:
    with pytest.raises(DefinitionError, match="no option `retires`") as caught:
        policies(retires=3)
    assert caught.value.hint == "did you mean `retries`?"


def test_a_wrong_backoff_is_refused() -> None:
    assert pt.backoff(1, factor=1).factor == 1.0
    with pytest.raises(DefinitionError, match="factor"):
        pt.backoff(1, factor=0.5)
    with pytest.raises(DefinitionError, match="no duration"):
        pt.backoff("x")


def test_a_task_is_no_task_of_a_task_and_no_class() -> None:
    with pytest.raises(DefinitionError, match="is a task already"):
        pt.task(pt.task(nothing))
    with pytest.raises(DefinitionError, match="is for functions"):
        pt.task(int)


def test_surrogates_in_texts_do_not_reach_what_is_stored() -> None:
    settings = pt.task(owner="a\ud800", tags=["b\ud800"])(nothing).settings

    assert (settings.owner, settings.tags) == ("a\\ud800", ("b\\ud800",))
