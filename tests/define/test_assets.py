"""Assets: dependencies, bundles, checks, external assets, selections as pipelines."""

from __future__ import annotations

from typing import Any

import pytest

import partita as pt
from partita.core.graph import CheckOf, Const, Output, Stored
from partita.core.manifest import AssetSpec, Freshness, PartitionSpec
from partita.define.asset_graph import Universe
from partita.define.asset_selection import compile_assets
from partita.define.calls import Calls
from partita.define.compile import Compiled, compile_pipeline
from partita.define.io import IOContext
from partita.errors import DefinitionError

from .building import args_of, machine_accepts, steps_of


class Shelf:
    """An IO object that keeps values in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Any] = {}

    def dump(self, ctx: IOContext, value: Any) -> None:
        self.kept[ctx.asset, ctx.partition] = value

    def load(self, ctx: IOContext) -> Any:
        return self.kept[ctx.asset, ctx.partition]


day = pt.daily(start="2013-01-01", tz="America/New_York")


@pt.asset(
    partitions=day,
    owner="flights-team",
    group="raw",
    tags=["daily"],
    kinds=["duckdb"],
    retries=3,
    columns={"a": "int"},
    lineage={"a": "base.x.b", "c": ["base.d", "base.e"]},
)
def flights(ctx: pt.Context) -> list[int]:
    """All flights."""
    return [1]


@pt.asset(freshness="26h")
def delays(flights: list[int], window: int = 3) -> list[int]:
    return flights


@pt.asset(deps=[delays, "flights"])
def dashboard() -> None: ...


@pt.check(delays, blocking=True)
def plausible(delays: list[int]) -> bool:
    return bool(delays)


@pt.check("delays")
def recent(value: list[int], flights: list[int]) -> pt.CheckResult:
    return pt.CheckResult(True, "fine")


ALL = [flights, delays, dashboard, plausible, recent]
nightly = pt.pipeline("nightly", assets="group:raw+", schedule=pt.cron("0 3 * * *"))


def compiled(*definitions: Any, assets: Any = "*") -> Compiled:
    made = compile_assets(definitions, assets)
    machine_accepts(made.graph)
    return made


def specs(*definitions: Any) -> dict[str, AssetSpec]:
    universe = Universe.of(definitions, Calls())
    assert not universe.problems
    return {spec.name: spec for spec in universe.specs}


def test_a_dependency_is_a_parameter_or_named() -> None:
    steps = steps_of(compiled(*ALL).graph)

    assert args_of(steps["delays"]) == {"flights": Output("flights")}
    assert steps["delays"].needs == ("flights",)
    assert args_of(steps["dashboard"]) == {}
    assert set(steps["dashboard"].needs) == {"delays", "flights", "delays:plausible"}
    assert (steps["flights"].kind, steps["flights"].asset, steps["flights"].group) == ("asset", "flights", ("raw",))
    assert steps["flights"].policies.retry.limit == 3


def test_what_is_said_about_an_asset_is_in_its_specification() -> None:
    spec = specs(*ALL)["flights"]

    assert spec.partitions == PartitionSpec("daily", start="2013-01-01", tz="America/New_York")
    assert (spec.group, spec.owner, spec.tags, spec.kinds) == ("raw", "flights-team", ("daily",), ("duckdb",))
    assert (spec.columns, spec.description, spec.step) == ((("a", "int"),), "All flights.", "flights")
    # A name of an asset may have dots; that of a column has none.
    assert spec.lineage == (("a", (("base.x", "b"),)), ("c", (("base", "d"), ("base", "e"))))
    assert specs(*ALL)["dashboard"].deps == ("delays", "flights")
    assert specs(*ALL)["delays"].freshness == Freshness(fail_s=26 * 3600)


def test_a_blocking_check_stands_before_what_is_downstream_and_a_warning_one_does_not() -> None:
    steps = steps_of(compiled(*ALL).graph)

    assert steps["delays:plausible"].check == CheckOf("delays", "plausible", blocking=True)
    assert args_of(steps["delays:plausible"]) == {"delays": Output("delays")}
    assert args_of(steps["delays:recent"]) == {"value": Output("delays"), "flights": Output("flights")}
    assert "delays:recent" not in steps["dashboard"].needs
    assert steps["delays:plausible"].asset is None


def test_the_severity_of_a_check_follows_its_blocking() -> None:
    made = compiled(*ALL)

    severities = {
        key: made.calls[step.call].check.severity  # type: ignore[union-attr]
        for key, step in steps_of(made.graph).items()
        if step.check
    }
    assert severities == {"delays:plausible": "error", "delays:recent": "warn"}


def test_a_check_is_found_under_the_group_owner_and_tags_of_its_asset() -> None:
    @pt.check(flights)
    def first() -> bool:
        return True

    @pt.check(flights, owner="someone", tags="mine")
    def second() -> bool:
        return True

    steps = steps_of(compiled(flights, first, second).graph)

    assert (steps["flights:first"].group, steps["flights:first"].owner) == (("raw",), "flights-team")
    assert steps["flights:first"].tags == ("daily",)
    assert (steps["flights:second"].owner, steps["flights:second"].tags) == ("someone", ("mine",))


def test_a_check_that_blocks_must_not_only_warn() -> None:
    with pytest.raises(DefinitionError, match="cannot have severity warn"):
        pt.check("a", blocking=True, severity="warn")(lambda: True)


def test_an_asset_called_outside_is_the_plain_function() -> None:
    assert delays([3]) == [3]
    assert plausible([1])


def test_an_asset_is_not_called_in_a_pipeline_of_tasks() -> None:
    @pt.pipeline
    def flow() -> None:
        dashboard()

    with pytest.raises(DefinitionError, match="which is made of tasks"):
        compile_pipeline(flow)


def test_deps_that_are_named_for_no_parameter_go_into_its_keyword_arguments() -> None:
    @pt.asset(deps={"flights": "flights", "by-day": delays})
    def overview(ctx: pt.Context, **tables: list[int]) -> None: ...

    made = compiled(*ALL, overview)
    assert args_of(steps_of(made.graph)["overview"]) == {"flights": Output("flights"), "by-day": Output("delays")}
    assert set(steps_of(made.graph)["overview"].needs) == {"flights", "delays", "delays:plausible"}


def test_a_blocking_check_does_not_hold_up_what_it_reads_itself() -> None:
    @pt.asset(deps=["flights"])
    def carriers() -> None: ...

    @pt.check("flights", blocking=True, deps=["carriers"])
    def of_known_carriers(flights: list[int]) -> bool:
        return True

    steps = steps_of(compiled(flights, delays, carriers, of_known_carriers).graph)
    assert steps["carriers"].needs == ("flights",)
    assert set(steps["delays"].needs) == {"flights", "flights:of_known_carriers"}


# --- several assets from one step ---


@pt.multi_asset(outs=[pt.out("orders", group="shop", deps=["flights"]), pt.out("lines"), "totals"], owner="shop-team")
def shop(flights: list[int], delays: list[int]) -> dict[str, int]:
    return {"orders": 1}


@pt.asset
def report(orders: int, lines: int) -> None: ...


def test_a_multi_asset_is_a_bundle_with_a_member_for_each() -> None:
    made = compiled(*ALL, shop, report)
    steps = steps_of(made.graph)

    assert (steps["shop"].kind, steps["orders"].kind, steps["orders"].bundle) == ("bundle", "member", "shop")
    assert steps["orders"].asset == "orders"
    assert steps["shop"].asset is None
    assert args_of(steps["shop"]) == {"flights": Output("flights"), "delays": Output("delays")}
    assert steps["orders"].needs == ("flights",)
    assert set(steps["lines"].needs) == {"flights", "delays", "delays:plausible"}
    assert args_of(steps["report"]) == {"orders": Output("orders"), "lines": Output("lines")}
    assert steps["orders"].call == ""
    assert made.calls[steps["shop"].call].outs == ("orders", "lines", "totals")
    assert specs(*ALL, shop)["lines"].owner == "shop-team"


def build(ctx: pt.Context, members: tuple[str, ...]) -> None: ...


def dbt() -> Any:
    return pt.bundle(
        "dbt",
        build,
        [
            pt.out("stg", deps=["flights"]),
            pt.member_check("stg", "not_null"),
            pt.member_check("stg", "fresh", blocking=False),
            pt.out("mart", deps=["stg"], group="marts"),
        ],
        group="models",
    )


def test_a_bundle_has_assets_and_checks_with_needs_of_their_own() -> None:
    @pt.asset
    def page(mart: int) -> None: ...

    made = compiled(*ALL, dbt(), page)
    steps = steps_of(made.graph)

    assert steps["dbt"].needs == ()
    assert steps["stg"].needs == ("flights",)
    assert steps["stg:not_null"].needs == ("stg",)
    assert steps["mart"].needs == ("stg", "stg:not_null")
    assert steps["page"].needs == ("mart",)
    assert (steps["stg"].group, steps["mart"].group) == (("models",), ("marts",))
    call = made.calls[steps["dbt"].call]
    assert (call.members_param, call.context_param) == ("members", "ctx")


def test_a_step_after_a_bundle_that_is_needed_by_it_is_a_circle() -> None:
    @pt.asset
    def between(stg: int) -> None: ...

    bundle = pt.bundle("dbt", build, [pt.out("stg"), pt.out("mart", deps=["between"])])

    with pytest.raises(DefinitionError, match=r"circle: .*dbt"):
        compiled(between, bundle)


def test_a_check_from_outside_does_not_gate_within_its_bundle() -> None:
    @pt.check("stg", blocking=True)
    def outer(stg: int) -> bool:
        return True

    @pt.asset
    def page(stg: int) -> None: ...

    steps = steps_of(compiled(*ALL, dbt(), outer, page).graph)

    assert "stg:outer" not in steps["mart"].needs
    assert set(steps["page"].needs) == {"stg", "stg:not_null", "stg:outer"}


def test_the_function_of_a_bundle_takes_context_and_members() -> None:
    with pytest.raises(DefinitionError, match=r"must take \(ctx, members\)"):
        pt.bundle("b", lambda x: None, [pt.out("a")])


# --- external assets and IO ---


def test_an_external_asset_is_lineage_without_a_step() -> None:
    source = pt.external_asset("src.orders", group="src")

    @pt.asset(deps=[source])
    def orders() -> None: ...

    made = compiled(orders, source)
    spec = specs(orders, source)

    assert list(steps_of(made.graph)) == ["orders"]
    assert made.graph.step("orders").reads == ("src.orders",)
    assert spec["src.orders"].external
    assert spec["orders"].deps == ("src.orders",)


def test_the_value_of_an_external_asset_is_read_by_its_io() -> None:
    shelf = Shelf()
    shelf.kept["source", "2013-01-01"] = 7
    source = pt.external_asset("source", io=shelf)

    @pt.asset(io=shelf)
    def doubled(source: int) -> int:
        return 2 * source

    made = compiled(doubled, source)
    step = made.graph.step("doubled")
    call = made.calls[step.call]
    ctx = pt.Context(partition="2013-01-01", asset="doubled")

    assert args_of(step) == {"source": Const(b"\xc0")}
    assert call.io is not None
    call.io.dump(ctx, call.function(source=call.input_io["source"].load(ctx)))
    assert shelf.kept["doubled", "2013-01-01"] == 14


def test_an_external_asset_without_io_has_no_value() -> None:
    @pt.asset
    def reader(source: int) -> None: ...

    with pytest.raises(DefinitionError, match="has no `io`"):
        compiled(reader, pt.external_asset("source"))


def test_dependencies_may_be_given_by_parameter() -> None:
    @pt.asset(name="raw/flights.v2")
    def raw() -> int:
        return 1

    @pt.asset(deps={"rows": raw})
    def copy(rows: int) -> int:
        return rows

    made = compiled(raw, copy)

    assert args_of(made.graph.step("copy")) == {"rows": Output("raw/flights.v2")}


# --- what is wrong ---


def problems_of(*definitions: Any) -> list[DefinitionError]:
    return list(Universe.of(definitions, Calls()).problems)


def test_an_unknown_dependency_is_answered_with_the_nearest() -> None:
    @pt.asset
    def page(fligths: int) -> None: ...

    @pt.asset(deps=["delay"])
    def other() -> None: ...

    found = problems_of(*ALL, page, other)

    assert [problem.message for problem in found] == [
        "`page` depends on `fligths`, which is no asset",
        "`other` depends on `delay`, which is no asset",
    ]
    assert [problem.hint for problem in found] == ["did you mean `flights`?", "did you mean `delays`?"]
    assert all(problem.file == "test_assets.py" and problem.line for problem in found)


def test_what_depends_on_something_wrong_is_left_out_without_another_error() -> None:
    @pt.asset
    def broken(nowhere: int) -> None: ...

    @pt.asset
    def after(broken: int) -> None: ...

    @pt.check(after)
    def tested(after: int) -> bool:
        return True

    universe = Universe.of([*ALL, broken, after, tested], Calls())

    assert len(universe.problems) == 1
    assert universe.left_out == {"broken", "after", "after:tested"}
    assert {s.key for s in universe.graph.steps} == {
        "flights",
        "delays",
        "dashboard",
        "delays:plausible",
        "delays:recent",
    }


def test_names_are_used_once() -> None:
    @pt.asset(name="flights")
    def again() -> None: ...

    @pt.check(delays, name="plausible")
    def other() -> bool:
        return True

    messages = [problem.message for problem in problems_of(*ALL, again, other)]

    assert messages[0].startswith("asset `flights` is defined twice: at test_assets.py:")
    assert messages[1].startswith("check `delays:plausible` is defined twice")


def test_a_circle_of_assets_is_named() -> None:
    @pt.asset
    def a(c: int) -> None: ...

    @pt.asset
    def b(a: int) -> None: ...

    @pt.asset
    def c(b: int) -> None: ...

    @pt.asset
    def d(c: int) -> None: ...

    universe = Universe.of([a, b, c, d, flights], Calls())

    assert [problem.message for problem in universe.problems] == ["assets go around in a circle: a -> b -> c -> a"]
    assert [step.key for step in universe.graph.steps] == ["flights"]


def test_a_check_of_no_asset_is_refused() -> None:
    @pt.check("delay")
    def lost() -> bool:
        return True

    (found,) = problems_of(*ALL, lost)
    assert found.message == "check `delay:lost` is about `delay`, which is no asset"
    with pytest.raises(DefinitionError, match="needs the asset"):
        pt.check(lambda: True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"partitions": "daily"}, "no partition definition"),
        ({"io": 3}, "no IO object"),
        ({"freshness": "x"}, "no duration"),
        ({"columns": 3}, "no dict of columns"),
        ({"lineage": ["delay"]}, "no dict of columns and what they are made from"),
        ({"lineage": {"delay": "dep_delay"}}, "no column of an asset"),
        ({"gruop": "x"}, "no option `gruop`"),
        ({"group": "a b"}, "no name may have"),
        ({"deps": [3]}, "depends on 3"),
        ({"deps": {"x": "flights"}}, "no parameter `x`"),
    ],
)
def test_wrong_options_of_assets_are_said(options: dict[str, Any], says: str) -> None:
    def wrong() -> None: ...

    with pytest.raises(DefinitionError) as caught:
        compiled(flights, pt.asset(**options)(wrong))
    assert says in caught.value.message


# --- pipelines ---


def test_a_pipeline_of_assets_is_a_selection_of_them() -> None:
    graph = compile_pipeline(nightly).graph

    assert graph.name == "nightly"
    assert {"flights", "delays", "dashboard", "delays:plausible", "delays:recent"} <= set(steps_of(graph))
    assert nightly.schedules[0].name == "nightly"


def test_assets_outside_of_the_selection_are_read_from_where_they_are_stored() -> None:
    graph = compiled(*ALL, shop, assets=[shop, "dashboard"]).graph
    steps = steps_of(graph)

    assert args_of(steps["shop"]) == {"flights": Stored("flights"), "delays": Stored("delays")}
    assert set(steps) == {"dashboard", "shop", "orders", "lines", "totals"}
    assert steps["orders"].needs == ()
    assert steps["orders"].reads == ("flights",)


def test_a_selection_that_finds_nothing_is_an_error_of_the_pipeline() -> None:
    lost = pt.pipeline("lost", assets="flihgts")

    with pytest.raises(DefinitionError, match="pipeline `lost`: there is no step or asset `flihgts`") as caught:
        compile_pipeline(lost)
    assert caught.value.hint == "did you mean `flights`?"


def test_a_pipeline_of_assets_cannot_be_called() -> None:
    with pytest.raises(DefinitionError, match="cannot be called"):
        nightly()


def test_definitions_that_a_selection_names_are_found_without_a_project() -> None:
    @pt.asset
    def far(near: int) -> int:
        return near

    @pt.asset(deps=[far])
    def last() -> None: ...

    @pt.asset
    def near() -> int:
        return 1

    pipeline = pt.pipeline("some", assets=[last, near])

    with pytest.raises(DefinitionError, match="`far` depends on `near`") as caught:
        compile_pipeline(pt.pipeline("some", assets=[last]))
    assert caught.value.hint
    assert list(steps_of(compile_pipeline(pipeline).graph)) == ["near", "last"]
