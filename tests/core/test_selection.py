"""Selections: what they name, what is said when they cannot be read, and the part of a graph that is theirs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partita.core.graph import (
    Axis,
    CheckOf,
    Const,
    DictOf,
    Element,
    FirstOf,
    Graph,
    Guard,
    ListOf,
    Output,
    Step,
    Stored,
)
from partita.core.manifest import AssetSpec
from partita.core.selection import cut, select
from partita.errors import SelectionError


def asset(key: str, *needs: str, group: str = "", **more: object) -> Step:
    return Step(key, kind="asset", asset=key, needs=needs, group=(group,) if group else (), **more)  # type: ignore[arg-type]


def check(asset: str, name: str, *, blocking: bool = False) -> Step:
    return Step(f"{asset}:{name}", kind="check", needs=(asset,), check=CheckOf(asset, name, blocking))


#   raw1 -> stg1 -> mart -> page        stg1 has a blocking check, mart a warning one
#   raw2 -> stg2 -> mart
ASSETS = Graph(
    "assets",
    (
        asset("raw1", group="raw", owner="ops", tags=("daily",)),
        asset("raw2", group="raw", tags=("hourly",)),
        asset("stg1", "raw1", group="stg"),
        asset("stg2", "raw2", group="stg"),
        check("stg1", "unique", blocking=True),
        asset("mart", "stg1", "stg2", "stg1:unique", args=(("stg1", Output("stg1")), ("stg2", Output("stg2")))),
        check("mart", "fresh"),
        asset("page", "mart", owner="web", args=(("mart", Output("mart")),)),
    ),
)
SPECS = (AssetSpec("raw1", kinds=("duckdb",)), AssetSpec("mart", kinds=("dbt",)))


def named(expression: str) -> set[str]:
    return set(select(expression, ASSETS, SPECS))


EVERYTHING = {step.key for step in ASSETS.steps}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("raw1", {"raw1"}),
        ("stg1", {"stg1", "stg1:unique"}),
        ("stg1:unique", {"stg1:unique"}),
        ("raw*", {"raw1", "raw2"}),
        ("stg?", {"stg1", "stg2", "stg1:unique"}),
        ("*", EVERYTHING),
        ('"raw1"', {"raw1"}),
        ("+stg1", {"raw1", "stg1", "stg1:unique"}),
        ("raw2+", {"raw2", "stg2", "mart", "mart:fresh", "page"}),
        ("raw1+1", {"raw1", "stg1", "stg1:unique"}),
        ("1+mart", {"stg1", "stg2", "stg1:unique", "mart", "mart:fresh"}),
        ("1+stg1+1", {"raw1", "stg1", "stg1:unique", "mart", "mart:fresh"}),
        ("+mart+", EVERYTHING),
        ("group:raw", {"raw1", "raw2"}),
        ("group:raw+1", {"raw1", "raw2", "stg1", "stg2", "stg1:unique"}),
        ("tag:daily", {"raw1"}),
        ("owner:w*", {"page"}),
        ("kind:check", {"stg1:unique", "mart:fresh"}),
        ("kind:duckdb", {"raw1"}),
        ("raw1, raw2", {"raw1", "raw2"}),
        ("raw1 | raw2", {"raw1", "raw2"}),
        ("raw1 or raw2", {"raw1", "raw2"}),
        ("raw* & tag:daily", {"raw1"}),
        ("raw* and tag:daily", {"raw1"}),
        ("raw* - raw2", {"raw1"}),
        ("stg1 - kind:check", {"stg1"}),
        ("!raw2+", {"raw1", "stg1", "stg1:unique"}),
        ("not (raw1+ | raw2+)  | raw2", {"raw2"}),
        ("raw1 | raw2 & tag:daily", {"raw1"}),
        ("(raw1 | raw2) & tag:hourly", {"raw2"}),
        ("raw*, stg2 - raw1", {"raw1", "raw2", "stg2"}),
    ],
)
def test_what_a_selection_names(expression: str, expected: set[str]) -> None:
    assert named(expression) == expected


def test_keys_come_in_the_order_of_the_graph() -> None:
    assert select("page, raw2, raw1", ASSETS) == ("raw1", "raw2", "page")


@pytest.mark.parametrize(
    ("expression", "says", "hint"),
    [
        ("raw3", "there is no step or asset `raw3`", "did you mean `raw2`?"),
        ("x*", "no step or asset is named like `x*`", None),
        ("group:rwa", "nothing has the group `rwa`", "did you mean `raw`?"),
        ("grup:raw", "nothing can be selected by `grup:`", "did you mean `group:`?"),
        ("raw1 raw2", "cannot be read at `raw2`", "put `,`"),
        ("(raw1", "without its `)`", None),
        ("raw1)", "cannot be read at `)`", "put `,`"),
        ("raw1 &", "ends too early", None),
        ("& raw1", "has `&` where a name should stand", "write for example"),
        ("", "is empty", "name a step"),
        ("   ", "is empty", "name a step"),
        ("raw1 ; raw2", "cannot be read at", None),
        ("raw2 & tag:daily", "matches nothing", None),
        ("* - *", "matches nothing", None),
    ],
)
def test_what_cannot_be_read_or_found_is_said(expression: str, says: str, hint: str | None) -> None:
    with pytest.raises(SelectionError) as caught:
        named(expression)
    assert says in caught.value.message
    assert hint is None or (caught.value.hint or "").startswith(hint)


@given(st.text(alphabet='raw12stgm*?+|&!,()- :gou"', max_size=20))
def test_any_text_is_a_selection_or_an_error_with_words(text: str) -> None:
    try:
        keys = set(select(text, ASSETS, SPECS))
    except SelectionError as error:
        assert error.message  # noqa: PT017
    else:
        assert keys <= EVERYTHING
        assert keys


_atoms = st.sampled_from(
    ["raw1", "raw2", "stg1", "+mart", "raw1+", "group:raw", "tag:daily", "kind:check", "1+mart", "*"]
)
_expressions = st.recursive(
    _atoms.map(lambda a: (a, named(a))),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: (f"({p[0][0]}) | ({p[1][0]})", p[0][1] | p[1][1])),
        st.tuples(inner, inner).map(lambda p: (f"({p[0][0]}) & ({p[1][0]})", p[0][1] & p[1][1])),
        st.tuples(inner, inner).map(lambda p: (f"({p[0][0]}) - ({p[1][0]})", p[0][1] - p[1][1])),
        inner.map(lambda p: (f"!({p[0]})", EVERYTHING - p[1])),
    ),
    max_leaves=6,
)


@given(_expressions)
def test_operators_are_those_of_sets(case: tuple[str, set[str]]) -> None:
    text, expected = case

    assert set(select(f"({text}) | raw1", ASSETS, SPECS)) == expected | {"raw1"}


def test_what_is_made_of_an_external_asset_is_named_by_it() -> None:
    graph = Graph("g", (asset("a", reads=("src",)), asset("b", "a"), asset("c")))
    specs = (AssetSpec("src", external=True, group="outside"),)

    assert select("src+", graph, specs) == ("a", "b")
    assert select("group:outside+1", graph, specs) == ("a",)
    with pytest.raises(SelectionError, match="nothing that can be run"):
        select("src", graph, specs)


# --- the part of a graph ---


def part(*keys: str, graph: Graph = ASSETS, reuse: bool = False) -> dict[str, Step]:
    return {step.key: step for step in cut(graph, keys, reuse=reuse).steps}


def test_the_whole_is_itself() -> None:
    assert cut(ASSETS, EVERYTHING) == ASSETS


def test_assets_outside_are_read_from_the_store_and_stay_in_the_lineage() -> None:
    steps = part("mart", "page")

    assert dict(steps["mart"].args) == {"stg1": Stored("stg1"), "stg2": Stored("stg2")}
    assert steps["mart"].needs == ()
    assert steps["mart"].reads == ("stg1", "stg2")
    assert dict(steps["page"].args) == {"mart": Output("mart")}
    assert steps["page"].needs == ("mart",)


def test_a_blocking_check_comes_with_its_asset_and_a_warning_one_does_not() -> None:
    assert set(part("stg1")) == {"stg1", "stg1:unique"}
    assert set(part("mart")) == {"mart"}


def test_a_check_alone_reads_its_asset_from_the_store() -> None:
    graph = Graph(
        "g",
        (
            asset("a"),
            Step("a:ok", kind="check", needs=("a",), args=(("a", Output("a")),), check=CheckOf("a", "ok")),
        ),
    )

    step = part("a:ok", graph=graph)["a:ok"]
    assert dict(step.args) == {"a": Stored("a")}
    assert step.needs == ()


def test_members_bring_their_bundle_and_a_bundle_brings_its_members() -> None:
    graph = Graph(
        "g",
        (
            asset("src"),
            Step("dbt", kind="bundle"),
            Step("a", kind="member", asset="a", bundle="dbt", needs=("src",)),
            Step("a:ok", kind="member", bundle="dbt", needs=("a",), check=CheckOf("a", "ok", True)),
            Step("b", kind="member", asset="b", bundle="dbt", needs=("a", "a:ok")),
        ),
    )

    assert set(part("b", graph=graph)) == {"dbt", "b"}
    assert set(part("a", graph=graph)) == {"dbt", "a", "a:ok"}
    assert set(part("dbt", graph=graph)) == {"dbt", "a", "a:ok", "b"}
    assert part("b", graph=graph)["b"].reads == ("a",)


TASKS = Graph(
    "tasks",
    (
        Step("list"),
        Step("work", axes=("work",), args=(("x", Element("work")),), needs=("list",), group=("etl", "load")),
        Step("total", args=(("xs", Output("work")),), needs=("work",), group=("etl",)),
        Step("after", needs=("total",)),
        Step("choose", reports_choice=True),
        Step("left", guards=(Guard("choose", (b"\xc3",)),), needs=("choose",)),
        Step("right", guards=(Guard("choose", (b"\xc2",)),), needs=("choose",)),
        Step("join", args=(("x", FirstOf(("left", "right"))),), needs=("left", "right")),
        Step(
            "deep", args=(("x", ListOf((DictOf((("a", Output("after")), ("b", Const(b"\xc0")))),))),), needs=("after",)
        ),
    ),
    (Axis("work", (Output("list"),)),),
)


def test_groups_of_tasks_are_selected_by_every_part_of_their_path() -> None:
    assert select("group:etl", TASKS) == ("work", "total")
    assert select("group:etl.load", TASKS) == ("work",)
    assert select("etl.load", TASKS) == ("work",)


def test_order_outside_of_the_part_is_dropped() -> None:
    graph = cut(TASKS, ["after"])

    assert graph.steps == (Step("after"),)
    assert graph.axes == ()


@pytest.mark.parametrize(
    ("keys", "user", "missing"),
    [
        (["total"], "total", "work"),
        (["work"], "work", "list"),
        (["deep"], "deep", "after"),
        (["join"], "join", "left"),
    ],
)
def test_a_task_needs_the_results_that_it_reads(keys: list[str], user: str, missing: str) -> None:
    with pytest.raises(
        SelectionError, match=f"`{user}` reads the result of `{missing}`, which is not selected"
    ) as caught:
        cut(TASKS, keys)
    assert f"+{user}" in (caught.value.hint or "")


def test_an_arm_of_a_branch_needs_what_decides() -> None:
    with pytest.raises(SelectionError, match="stands behind a branch that `choose` decides"):
        cut(TASKS, ["left"])


def test_a_branch_cut_to_one_arm_gives_the_result_of_that_arm() -> None:
    steps = part("choose", "left", "join", graph=TASKS)

    assert dict(steps["join"].args) == {"x": FirstOf(("left",))}
    assert steps["join"].needs == ("left",)


def test_with_reuse_what_is_outside_is_still_read() -> None:
    graph = cut(TASKS, ["total", "left"], reuse=True)
    steps = {step.key: step for step in graph.steps}

    assert dict(steps["total"].args) == {"xs": Output("work")}
    assert steps["total"].needs == ("work",)
    assert steps["left"].guards


def test_a_key_that_is_not_there_is_answered_with_the_nearest() -> None:
    with pytest.raises(SelectionError, match="no step `totl`") as caught:
        cut(TASKS, ["totl"])
    assert caught.value.hint == "did you mean `total`?"
