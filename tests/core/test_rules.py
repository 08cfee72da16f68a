"""The thirteen join rules against a written table, and the boolean forms."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest

from partita.core.graph import AllOf, AnyOf, Is, JoinRule, Not
from partita.core.rules import EAGER, Tally, decide, holds

ENDS = ("succeeded", "failed", "upstream_failed", "skipped")
RULES = get_args(JoinRule)


def tally(*ends: str) -> Tally:
    found = Tally()
    for end in ends:
        found.count(end)
    return found


def tallies(**ends: str | tuple[str, ...]) -> dict[str, Tally]:
    return {k: tally(*((e,) if isinstance(e, str) else e)) for k, e in ends.items()}


# Which ends are there (s, f, u, k = succeeded, failed, upstream_failed, skipped), and what each rule makes of it:
# R = run, S = skipped, U = upstream_failed.
TABLE = """
                             -  s  f  u  k  sf su sk fu fk uk sfu sfk suk fuk sfuk
all_succeeded                R  R  U  U  S  U  U  S  U  U  U  U   U   U   U   U
all_failed                   R  S  R  R  S  S  S  S  R  S  S  S   S   S   S   S
all_done                     R  R  R  R  R  R  R  R  R  R  R  R   R   R   R   R
all_done_any_succeeded       R  R  U  U  S  R  R  R  U  U  U  R   R   R   U   R
all_done_setup_succeeded     R  R  R  R  R  R  R  R  R  R  R  R   R   R   R   R
any_succeeded                R  R  U  U  S  R  R  R  U  U  U  R   R   R   U   R
any_failed                   S  S  R  R  S  R  R  S  R  R  R  R   R   R   R   R
any_done                     R  R  R  R  R  R  R  R  R  R  R  R   R   R   R   R
none_failed                  R  R  U  U  R  U  U  R  U  U  U  U   U   U   U   U
none_skipped                 R  R  R  R  S  R  R  S  R  S  S  R   S   S   S   S
none_failed_any_succeeded    R  R  U  U  S  U  U  R  U  U  U  U   U   U   U   U
all_skipped                  R  S  S  S  R  S  S  S  S  S  S  S   S   S   S   S
always                       R  R  R  R  R  R  R  R  R  R  R  R   R   R   R   R
"""
LETTERS = {"s": "succeeded", "f": "failed", "u": "upstream_failed", "k": "skipped"}
VERDICTS = {"R": "run", "S": "skipped", "U": "upstream_failed"}


def written() -> dict[str, dict[str, str]]:
    header, *rows = TABLE.strip().splitlines()
    return {row.split()[0]: dict(zip(header.split(), row.split()[1:], strict=True)) for row in rows}


def test_the_table_is_complete() -> None:
    table = written()
    assert set(table) == set(RULES)
    assert all(len(row) == 2 ** len(LETTERS) for row in table.values())


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_decides_as_the_table_says_however_often_each_end_is_there(rule: JoinRule) -> None:
    for counts in itertools.product(range(3), repeat=4):
        kinds = "".join(k for k, n in zip("sfuk", counts, strict=True) if n) or "-"
        ends = [LETTERS[k] for k, n in zip("sfuk", counts, strict=True) for _ in range(n)]

        together = decide(rule, {"need": tally(*ends)})
        apart = decide(rule, {f"need{i}": tally(e) for i, e in enumerate(ends)})

        assert together == apart == VERDICTS[written()[rule][kinds]], (rule, counts)


@pytest.mark.parametrize("end", ["cancelled", "needs_attention"])
def test_what_was_cancelled_or_needs_attention_counts_as_failed(end: str) -> None:
    assert decide("all_succeeded", tallies(a=end)) == "upstream_failed"
    assert decide("any_failed", tallies(a=end)) == "run"
    assert tally(end).failed == 1
    assert tally(end).has(end)


def test_a_teardown_asks_only_its_setup_steps() -> None:
    rule: JoinRule = "all_done_setup_succeeded"
    assert decide(rule, tallies(setup="succeeded", work="failed"), ("setup",)) == "run"
    assert decide(rule, tallies(setup="failed", work="upstream_failed"), ("setup",)) == "upstream_failed"
    assert decide(rule, tallies(setup="skipped", work="skipped"), ("setup",)) == "skipped"
    assert decide(rule, tallies(one="failed", two="succeeded", work="succeeded"), ("one", "two")) == "run"
    assert decide(rule, tallies(work="failed"), ("not_in_the_graph",)) == "run"


def test_an_eager_rule_names_just_the_ends_that_make_it_run_alone() -> None:
    for rule, ends in EAGER.items():
        for end in (*ENDS, "cancelled", "needs_attention"):
            assert (decide(rule, tallies(a=end)) == "run") == (end in ends), (rule, end)  # type: ignore[arg-type]


def test_a_tally_knows_which_ends_it_has() -> None:
    for end in ENDS:
        assert [e for e in ENDS if tally(end).has(e)] == [end]


class TestBooleanForms:
    def test_a_mapped_need_has_succeeded_when_none_failed_and_not_all_were_skipped(self) -> None:
        assert holds(Is("a", "succeeded"), tallies(a=("succeeded", "skipped")))
        assert not holds(Is("a", "succeeded"), tallies(a=("skipped", "skipped")))
        assert not holds(Is("a", "succeeded"), tallies(a=("succeeded", "failed")))
        assert holds(Is("a", "succeeded"), {"a": Tally()})

    def test_failed_includes_upstream_failed_and_one_of_many(self) -> None:
        assert holds(Is("a", "failed"), tallies(a="upstream_failed"))
        assert holds(Is("a", "failed"), tallies(a=("succeeded", "failed")))
        assert not holds(Is("a", "failed"), tallies(a=("succeeded", "skipped")))

    def test_skipped_is_all_skipped_and_done_is_any_end(self) -> None:
        assert holds(Is("a", "skipped"), tallies(a=("skipped", "skipped")))
        assert not holds(Is("a", "skipped"), tallies(a=("skipped", "succeeded")))
        assert not holds(Is("a", "skipped"), {"a": Tally()})
        assert holds(Is("a", "done"), tallies(a="failed"))
        assert not holds(Is("a", "done"), {"a": Tally(open=1)})

    def test_and_or_and_not_are_those_of_logic(self) -> None:
        a, b = Is("a", "succeeded"), Is("b", "succeeded")
        for x, y in itertools.product(("succeeded", "failed"), repeat=2):
            found = tallies(a=x, b=y)
            p, q = x == "succeeded", y == "succeeded"
            assert holds(AllOf((a, b)), found) == (p and q)
            assert holds(AnyOf((a, b)), found) == (p or q)
            assert holds(Not(a), found) == (not p)
            assert holds(Not(AllOf((a, Not(b)))), found) == (not (p and not q))

    def test_a_form_that_is_false_blames_a_failure_unless_it_asks_for_failures(self) -> None:
        assert decide(Is("a", "succeeded"), tallies(a="failed")) == "upstream_failed"
        assert decide(Is("a", "succeeded"), tallies(a="skipped")) == "skipped"
        assert decide(Is("a", "failed"), tallies(a="succeeded")) == "skipped"
        assert decide(AllOf((Is("a", "failed"), Is("b", "succeeded"))), tallies(a="failed", b="failed")) == "skipped"
        assert decide(AnyOf((Is("a", "failed"), Is("b", "failed"))), tallies(a="failed", b="succeeded")) == "run"
