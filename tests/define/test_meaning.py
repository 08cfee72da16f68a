"""A pipeline means what its function means: run as a graph it gives what the plain call gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import partita as pt
from partita.define.compile import compile_pipeline
from partita.define.io import IOContext
from partita.testing import fails, run

from .building import machine_accepts


@pt.task
def numbers(n: int = 3) -> list[int]:
    return list(range(n))


@pt.task
def double(x: int) -> int:
    return 2 * x


@pt.task
def pair(x: object, y: object) -> list[object]:
    return [x, y]


@pt.task
def gather(values: object) -> object:
    return values


@pt.task
def parity(x: int) -> str:
    return "even" if x % 2 == 0 else "odd"


@pt.task
def record(x: int) -> dict[str, object]:
    return {"rows": [x, x + 1], "name": {"deep": f"n{x}"}}


@pt.task
def less(x: int, by: int = 1) -> int:
    return x - by


def chain(n: int = 4) -> Any:
    return gather(double(double(n)))


def fan_out(n: int = 4) -> Any:
    return gather(double.map(numbers(n)))


def fan_out_over_a_parameter(xs: list[int] = [5, 6]) -> Any:  # noqa: B006
    return gather(double.map(xs))


def elementwise() -> Any:
    first = double.map([1, 2, 3])
    return gather(pair.map(first, double.map(first)))


def zipped() -> Any:
    return gather(pair.map(double.map(numbers()), ["a", "b", "c"]))


def constants_beside() -> Any:
    return gather([pair.partial(y=[1]).map(numbers()), pair.map([1, 2], y="z"), pair.map([3], y=pt.const([1, 2]))])


def results_in_a_known_list() -> Any:
    return gather(double.map([double(1), double(2), 3]))


def empty() -> Any:
    return gather(double.map([]))


@pt.group
def squares(x: Any, offset: Any = 0) -> Any:
    inner = double.map(numbers(x))
    return gather([inner, offset, x])


def nested() -> Any:
    return gather(squares.map([1, 3, 2], offset=7))


def nested_over_results() -> Any:
    return gather(squares.partial(offset=double(4)).map(numbers(3)))


def gathered_from_outside() -> Any:
    outside = double.map(numbers(2))
    return gather(squares.partial(offset=outside).map([2, 1]))


def rows_of_rows() -> Any:
    @pt.group
    def each(item: Any) -> Any:
        return gather(double.map(item))

    return gather(each.map([[1, 2], [3]]))


def elementwise_after_a_group() -> Any:
    return gather(gather.map(squares.map([1, 2])))


def parts() -> Any:
    one = record(3)
    return gather([one["rows"][1], one["name"]["deep"], double.map(one["rows"])])


def parts_of_elements() -> Any:
    return gather(record.map([1, 2])["rows"])


def zip_of_parts_of_elements() -> Any:
    return gather(pair.map(record.map(numbers(2))["rows"], [1, 2]))


def branched() -> Any:
    return gather(pt.branch(parity(4), {"even": lambda: double(5), "odd": lambda: double(6)}))


def branched_by_default() -> Any:
    return gather(pt.branch(parity(3), {"even": lambda: double(5)}, default=numbers))


def branched_to_a_value() -> Any:
    return gather(pt.branch(parity(3), {"even": 1, "odd": None}))


def branched_each() -> Any:
    @pt.group
    def each(x: Any) -> Any:
        return gather(pt.branch(parity(x), {"even": lambda: double(x), "odd": lambda: gather("odd")}))

    return gather(each.map([1, 2, 3, 4]))


def branched_as_the_result_of_a_group() -> Any:
    @pt.group
    def each(x: Any) -> Any:
        return pt.branch(parity(x), {"even": lambda: double(x), "odd": lambda: gather("odd")})

    results = each.map([1, 2, 3, 4])
    return gather([results, gather.map(results)])


def branched_in_a_branch() -> Any:
    def inner() -> Any:
        return pt.branch(parity(3), {"even": 1, "odd": lambda: double(9)}, name="inner")

    return gather(pt.branch(parity(2), {"even": inner, "odd": 5}))


def looped() -> Any:
    return gather(pt.loop(less, double(5), until=lambda x: x <= 3, max_iterations=20, by=2))


def looped_to_the_limit() -> Any:
    return gather(pt.loop(less, 100, until=lambda x: x <= 3, max_iterations=4))


def looped_over_steps() -> Any:
    def body(state: Any, by: Any) -> Any:
        return less(double(state), by=by)

    return gather(pt.loop(body, 3, until=lambda x: x > 20, max_iterations=9, by=double(1)))


def looped_each() -> Any:
    @pt.group
    def each(x: Any) -> Any:
        return pt.loop(less, x, until=lambda x: x <= 0, max_iterations=9)

    return gather(each.map([3, 1, 5]))


def looped_over_a_map() -> Any:
    def body(state: Any) -> Any:
        return gather(double.map(state))

    return gather(pt.loop(body, [1, 2], until=lambda xs: xs[0] >= 8, max_iterations=9))


def set_up() -> Any:
    with pt.setup_teardown(numbers(1), gather) as made:
        result = pair(made, double(2))
    return gather.named("last")(result)


def another_pipeline() -> Any:
    sub = pt.pipeline(name="sub")(elementwise)
    return gather([sub(), pt.pipeline(name="chained")(chain).map([1, 2])])


def programs() -> Any:
    return gather(
        [pt.shell("printf '%s;%s' {a} {b}", a="it's", b=double(2)), pt.shell("echo {x}", x={"k": 1}, result="json")]
    )


@pytest.mark.parametrize(
    "build",
    [
        chain,
        fan_out,
        fan_out_over_a_parameter,
        elementwise,
        zipped,
        constants_beside,
        results_in_a_known_list,
        empty,
        nested,
        nested_over_results,
        gathered_from_outside,
        rows_of_rows,
        elementwise_after_a_group,
        parts,
        parts_of_elements,
        zip_of_parts_of_elements,
        branched,
        branched_by_default,
        branched_to_a_value,
        branched_each,
        branched_as_the_result_of_a_group,
        branched_in_a_branch,
        looped,
        looped_to_the_limit,
        looped_over_steps,
        looped_each,
        looped_over_a_map,
        set_up,
        another_pipeline,
        programs,
    ],
    ids=lambda build: str(build.__name__),
)
def test_the_graph_gives_what_the_plain_call_gives(build: Callable[[], Any]) -> None:
    defn = pt.pipeline(name="flow")(build)
    compiled = compile_pipeline(defn)
    machine_accepts(compiled.graph)
    result = run(defn, {})

    assert result.state == "succeeded", result
    last = [step.key for step in compiled.graph.steps if step.call.endswith(":gather") and not step.axes][-1]
    if build is set_up:
        last = "last"
    if build not in (parts, parts_of_elements, zip_of_parts_of_elements):
        assert result.value(last) == build()
    else:
        assert result.value(last) == PARTS[build.__name__]


# The plain call cannot take parts of a list of results, so what is meant is written here.
PARTS = {
    "parts": [4, "n3", [6, 8]],
    "parts_of_elements": [[1, 2], [2, 3]],
    "zip_of_parts_of_elements": [[[0, 1], 1], [[1, 2], 2]],
}


# --- what the plain call does not show ---


@pt.task(when="any_failed")
def alert() -> None: ...


def test_an_alert_runs_when_something_before_it_failed() -> None:
    @pt.pipeline
    def flow() -> None:
        gather(double.map([1, 2])) >> alert()

    assert run(flow, {})["alert"].state == "skipped"
    failed = run(flow, {}, script={"double[1]": [fails(ValueError("no"))]})
    assert failed["gather"].state == "upstream_failed"
    assert failed["alert"].state == "succeeded"


def test_a_teardown_runs_after_a_failure_and_not_without_its_setup() -> None:
    @pt.pipeline
    def flow() -> None:
        with pt.setup_teardown(numbers(1), gather.named("delete")) as made:
            pair(made, double(2))

    after = run(flow, {}, script={"pair": [fails(ValueError("no"))]})
    without = run(flow, {}, script={"numbers": [fails(ValueError("no"))]})

    assert (after.state, after["delete"].state) == ("failed", "succeeded")
    assert without["delete"].state == "upstream_failed"


def test_conditions_over_named_steps() -> None:
    @pt.pipeline
    def flow() -> None:
        a, b = double(1), double.named("b")(2)
        alert.options(name="either", when=pt.failed(a) | pt.failed(b))()
        alert.options(name="both", when="double.failed & b.failed")()
        alert.options(name="neither", when="!(double.failed | b.failed)")()

    result = run(flow, {}, script={"b": [fails(ValueError("no"))]})

    assert [result[name].state for name in ("either", "both", "neither")] == ["succeeded", "skipped", "skipped"]


class Shelf:
    """Keeps values of assets in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Any] = {}

    def dump(self, ctx: IOContext, value: Any) -> None:
        self.kept[ctx.asset, ctx.partition] = value

    def load(self, ctx: IOContext) -> Any:
        return self.kept[ctx.asset, ctx.partition]


def test_assets_bundles_checks_and_io_work_together() -> None:
    shelf = Shelf()
    shelf.kept["source", ""] = [1, 2, 3]
    source = pt.external_asset("source", io=shelf)

    @pt.asset(io=shelf)
    def raw(source: list[int]) -> list[int]:
        return source

    @pt.check(raw, blocking=True)
    def not_empty(raw: list[int]) -> bool:
        return bool(raw)

    @pt.multi_asset(outs=["small", "large", "none"])
    def split(raw: list[int]) -> dict[str, list[int]]:
        return {"small": raw[:1], "large": raw[1:]}

    def build(ctx: pt.Context, members: tuple[str, ...]) -> None:
        for key in members:
            with ctx.member(key) as member:
                member.returns(key.upper())

    models = pt.bundle("models", build, [pt.out("stg", deps=["small"]), pt.out("mart", deps=["stg", "large"])])

    @pt.asset
    def page(mart: str, small: list[int]) -> object:
        return [mart, small]

    flow = pt.pipeline("flow", assets=[raw, split, models, page, not_empty, source])
    result = run(flow, {})

    assert result.state == "succeeded", result.reason
    assert shelf.kept["raw", ""] == [1, 2, 3]
    assert result["none"].state == "skipped"
    assert result.value("page") == ["MART", [1]]
    assert set(result.materialized) == {"raw", "small", "large", "stg", "mart", "page"}
    assert [(row.report.asset, row.report.check, row.report.passed) for row in result.checks] == [
        ("raw", "not_empty", True)
    ]

    shelf.kept["source", ""] = []
    blocked = run(flow, {})
    assert blocked["raw:not_empty"].state == "failed"
    assert blocked["split"].state == "upstream_failed"
    assert blocked["page"].state == "upstream_failed"
