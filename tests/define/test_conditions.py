"""`when=`: join rules, texts, Python conditions."""

from __future__ import annotations

from typing import get_args

import pytest

import partita as pt
from partita.core.graph import AllOf, AnyOf, Is, JoinRule, Not
from partita.define.conditions import ConditionError, parse
from partita.errors import DefinitionError

from .building import graph_of, steps_of


@pt.task
def work(x: object = None) -> object:
    return x


@pt.task(when="any_failed")
def alert() -> None: ...


def test_a_rule_of_the_decorator_is_the_rule_of_the_step() -> None:
    def flow() -> None:
        work() >> alert()

    step = steps_of(graph_of(flow))["alert"]

    assert (step.when, step.needs) == ("any_failed", ("work",))


@pytest.mark.parametrize("rule", get_args(JoinRule))
def test_every_join_rule_can_be_said(rule: str) -> None:
    def flow() -> None:
        work() >> work.options(when=rule, name="after")()

    assert steps_of(graph_of(flow))["after"].when == rule


def test_a_text_names_steps_which_become_needs() -> None:
    def flow() -> None:
        work.named("extract")()
        work.named("load")()
        work.options(name="after", when="extract.failed & (load.succeeded | !load.skipped)")()

    step = steps_of(graph_of(flow))["after"]

    assert step.when == AllOf((Is("extract", "failed"), AnyOf((Is("load", "succeeded"), Not(Is("load", "skipped"))))))
    assert set(step.needs) == {"extract", "load"}


def test_words_do_as_well_as_signs() -> None:
    assert parse("a.failed and not b.done or c.skipped", str) == parse("a.failed & !b.done | c.skipped", str)
    assert parse("~a.failed", str) == Not(Is("a", "failed"))


def test_python_conditions() -> None:
    def flow() -> None:
        a, b = work.named("a")(), work.named("b")()
        work.options(name="c", when=pt.failed(a) | ~pt.skipped(b) & a.done)()

    assert steps_of(graph_of(flow))["c"].when == AnyOf(
        (Is("a", "failed"), AllOf((Not(Is("b", "skipped")), Is("a", "done"))))
    )


def test_a_name_means_the_step_of_the_own_group_first() -> None:
    @pt.group
    def part() -> None:
        work()
        work.options(name="after", when="work.failed | other.failed")()

    def flow() -> None:
        work.named("other")()
        work()
        part()

    assert steps_of(graph_of(flow))["part.after"].when == AnyOf((Is("part.work", "failed"), Is("other", "failed")))


def test_names_of_airflow_are_answered_with_ours() -> None:
    def flow() -> None:
        work.options(when="one_failed")()

    with pytest.raises(DefinitionError) as caught:
        graph_of(flow)
    assert caught.value.hint == "it is called `any_failed` here"


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("any_faild", "no join rule", "did you mean `any_failed`?"),
        ("wrk.failed", "no step `wrk`", "did you mean `work`?"),
        ("work.broken", "no condition", "write `step.failed`"),
        ("(work.failed", "without its `)`", ""),
        ("work.failed &", "ends too early", "write `step.failed`"),
        ("work.failed work.done", "cannot be read from `work.done` on", ""),
        ("work.failed ; x", "cannot be read at", ""),
    ],
)
def test_what_cannot_be_read_is_said(text: str, says: str, hint: str) -> None:
    def flow() -> None:
        work()
        work.options(name="after", when=text)()

    with pytest.raises(DefinitionError) as caught:
        graph_of(flow)
    assert says in caught.value.message
    assert (caught.value.hint or "").startswith(hint)


def test_a_condition_is_not_true_or_false_in_python() -> None:
    def flow() -> None:
        a = work()
        work.options(when=pt.failed(a) and pt.skipped(a))()

    with pytest.raises(DefinitionError, match="no value while the graph is built"):
        graph_of(flow)


def test_a_condition_is_about_one_step() -> None:
    def flow() -> None:
        pt.failed([work(), work()])

    with pytest.raises(DefinitionError, match="stands for 2 steps"):
        graph_of(flow)


def test_a_condition_that_cannot_be_found_says_so_with_the_name() -> None:
    def find(name: str) -> str:
        raise ConditionError(f"there is no step `{name}`")

    with pytest.raises(ConditionError, match="there is no step `a`"):
        parse("a.failed", find)
