"""`.map`: axes, zips, constants beside them, nesting, gathering."""

from __future__ import annotations

import pytest

import partita as pt
from partita.core.graph import Axis, Const, Element, ListOf, Output, Param
from partita.core.plain import pack
from partita.errors import DefinitionError

from .building import args_of, axes_of, graph_of, steps_of


@pt.task
def listing() -> list[str]:
    return ["a", "b"]


@pt.task
def one(x: object, conn: str = "") -> object:
    return x


@pt.task
def two(x: object, y: object) -> object:
    return x, y


@pt.task
def total(xs: object) -> int:
    return 0


def known(*values: object) -> ListOf:
    return ListOf(tuple(Const(pack(value)) for value in values))


def test_a_map_over_a_known_list_makes_an_axis_of_its_elements() -> None:
    def flow() -> None:
        total(one.map(["a", "b"]))

    graph = graph_of(flow)
    steps = steps_of(graph)

    assert graph.axes == (Axis("one", (known("a", "b"),)),)
    assert steps["one"].axes == ("one",)
    assert args_of(steps["one"]) == {"x": Element("one", 0)}
    assert steps["total"].axes == ()
    assert args_of(steps["total"]) == {"xs": Output("one")}


def test_a_map_over_a_result_waits_for_it() -> None:
    def flow() -> None:
        one.map(listing())

    graph = graph_of(flow)

    assert axes_of(graph)["one"].sources == (Output("listing"),)
    assert steps_of(graph)["one"].needs == ("listing",)


def test_a_map_over_a_parameter() -> None:
    def flow(xs: list[str]) -> None:
        one.map(xs)

    assert axes_of(graph_of(flow))["one"].sources == (Param("xs"),)


def test_a_map_over_a_mapped_step_goes_element_by_element_on_the_same_axis() -> None:
    def flow() -> None:
        first = one.map(["a", "b"])
        second = one.map(first)
        two.map(first, second)

    graph = graph_of(flow)
    steps = steps_of(graph)

    assert list(axes_of(graph)) == ["one"]
    assert steps["one_2"].axes == ("one",)
    assert args_of(steps["one_2"]) == {"x": Output("one")}
    assert args_of(steps["two"]) == {"x": Output("one"), "y": Output("one_2")}


def test_several_lists_are_zipped() -> None:
    def flow() -> None:
        two.map([1, 2], y=("a", "b"))

    graph = graph_of(flow)

    assert axes_of(graph)["two"].sources == (known(1, 2), known("a", "b"))
    assert args_of(steps_of(graph)["two"]) == {"x": Element("two", 0), "y": Element("two", 1)}


def test_a_mapped_step_zipped_with_a_list_is_gathered_on_a_new_axis() -> None:
    def flow() -> None:
        two.map(one.map(listing()), [1, 2])

    graph = graph_of(flow)

    assert axes_of(graph)["two"] == Axis("two", (Output("one"), known(1, 2)))
    assert args_of(steps_of(graph)["two"]) == {"x": Element("two", 0), "y": Element("two", 1)}


def test_constants_stand_beside_mapped_arguments() -> None:
    def flow() -> None:
        one.map(["a"], conn="db")
        one.partial(conn="db").map(["a"])
        two.map([1], y=pt.const([1, 2]))
        two.partial(y=listing()).map([1])

    steps = steps_of(graph_of(flow))

    assert args_of(steps["one"])["conn"] == Const(pack("db"))
    assert args_of(steps["one_2"])["conn"] == Const(pack("db"))
    assert args_of(steps["two"])["y"] == Const(pack([1, 2]))
    assert args_of(steps["two_2"])["y"] == Output("listing")


def test_generators_and_ranges_are_lists() -> None:
    def flow() -> None:
        one.map(range(2))
        one.map(str(i) for i in range(2))
        one.map({"k": 1}.items())

    axes = axes_of(graph_of(flow))

    assert axes["one"].sources == (known(0, 1),)
    assert axes["one_2"].sources == (known("0", "1"),)
    assert axes["one_3"].sources == (known(("k", 1)),)


def test_results_may_be_elements_of_a_known_list() -> None:
    def flow() -> None:
        one.map([listing(), 3])

    graph = graph_of(flow)

    assert axes_of(graph)["one"].sources == (ListOf((Output("listing"), Const(pack(3)))),)
    assert steps_of(graph)["one"].needs == ("listing",)


def test_a_part_of_a_result_becomes_a_result_before_it_is_mapped_over() -> None:
    def flow() -> None:
        one.map(listing()["rows"])

    graph = graph_of(flow)
    steps = steps_of(graph)

    assert axes_of(graph)["one"].sources == (Output("one_items"),)
    assert args_of(steps["one_items"]) == {"value": Output("listing", ("rows",))}
    assert steps["one"].needs == ("one_items",)


def test_a_part_of_each_element_is_gathered_after_it_was_taken() -> None:
    def flow() -> None:
        two.map(one.map(listing())["k"], [1, 2])

    graph = graph_of(flow)
    steps = steps_of(graph)

    assert steps["two_items"].axes == ("one",)
    assert args_of(steps["two_items"]) == {"value": Output("one", ("k",))}
    assert axes_of(graph)["two"].sources[0] == Output("two_items")


@pytest.mark.parametrize(
    ("value", "says"),
    [("abc", "no list but str"), (3, "no list but int"), ({"a": 1}, "no list but dict"), ({1}, "no list but set")],
)
def test_a_map_over_something_that_is_no_list_is_refused(value: object, says: str) -> None:
    def flow() -> None:
        one.map(value)

    with pytest.raises(DefinitionError, match=says):
        graph_of(flow)


def test_a_map_over_a_value_that_is_declared_as_no_list_is_refused() -> None:
    def over_result() -> None:
        one.map(total([1]))

    def over_parameter(n: int = 3) -> None:
        one.map(n)

    with pytest.raises(DefinitionError, match="the result of `total` is declared as `int`"):
        graph_of(over_result)
    with pytest.raises(DefinitionError, match="the parameter `n` is declared as `int`"):
        graph_of(over_parameter)


def test_beside_a_list_a_value_that_is_declared_as_no_list_goes_to_every_instance() -> None:
    def flow(n: int = 3) -> None:
        two.map([1, 2], n)
        two.named("summed").map([1, 2], total([1]))

    graph = graph_of(flow)
    assert len(axes_of(graph)["two"].sources) == 1
    assert args_of(steps_of(graph)["two"])["y"] == Param("n")
    assert args_of(steps_of(graph)["summed"])["y"] == Output("total")


def test_known_lists_of_different_lengths_are_refused() -> None:
    def flow() -> None:
        two.map([1, 2], [1])

    with pytest.raises(DefinitionError, match="different lengths: `x` has 2, `y` has 1"):
        graph_of(flow)


def test_an_argument_that_is_missing_or_given_twice_is_refused() -> None:
    def missing() -> None:
        two.map([1])

    def twice() -> None:
        two.partial(y=1).map([1], y=2)

    with pytest.raises(DefinitionError, match="needs an argument for `y`"):
        graph_of(missing)
    with pytest.raises(DefinitionError, match="was given by `partial`"):
        graph_of(twice)


def test_an_element_that_cannot_be_stored_is_named() -> None:
    def flow() -> None:
        one.map([1, object()])

    with pytest.raises(DefinitionError, match=r"element 1 of `x` of `one\.map` cannot be stored"):
        graph_of(flow)


# --- groups ---


@pt.group
def per_source(source: str, factor: int = 1) -> object:
    raw = one(source)
    return two(raw, factor)


def test_a_group_puts_its_name_before_its_steps() -> None:
    def flow() -> None:
        total(per_source("a"))
        per_source("b")

    steps = steps_of(graph_of(flow))

    assert list(steps) == ["per_source.one", "per_source.two", "total", "per_source_2.one", "per_source_2.two"]
    assert steps["per_source.one"].group == ("per_source",)
    assert args_of(steps["total"]) == {"xs": Output("per_source.two")}


def test_a_mapped_group_is_one_axis_for_all_its_steps() -> None:
    def flow() -> None:
        total(per_source.map(listing(), factor=2))

    graph = graph_of(flow)
    steps = steps_of(graph)

    assert graph.axes == (Axis("per_source", (Output("listing"),)),)
    assert steps["per_source.one"].axes == steps["per_source.two"].axes == ("per_source",)
    assert args_of(steps["per_source.one"]) == {"x": Element("per_source", 0)}
    assert args_of(steps["per_source.two"]) == {"x": Output("per_source.one"), "y": Const(pack(2))}
    assert steps["total"].axes == ()
    assert steps["per_source.one"].needs == ("listing",)
    assert steps["per_source.two"].needs == ("per_source.one",)


def test_whatever_reads_an_element_needs_the_list() -> None:
    @pt.group
    def each(x: object) -> object:
        return two(one("a"), x)

    def flow() -> None:
        each.map(listing())

    steps = steps_of(graph_of(flow))

    assert steps["each.one"].needs == ("listing",)
    assert steps["each.two"].needs == ("each.one", "listing")


def test_maps_nest() -> None:
    @pt.group
    def outer(x: object) -> object:
        inner = one.map(listing())
        return total([inner, x])

    def flow() -> None:
        results = outer.map([1, 2])
        one.map(results)
        total(results)

    graph = graph_of(flow)
    steps, axes = steps_of(graph), axes_of(graph)

    assert axes["outer.one"] == Axis("outer.one", (Output("outer.listing"),), ("outer",))
    assert steps["outer.one"].axes == ("outer", "outer.one")
    # It reads nothing of the element, and stands in the map all the same.
    assert steps["outer.listing"].axes == ("outer",)
    assert steps["outer.total"].axes == ("outer",)
    assert steps["one"].axes == ("outer",)
    assert steps["total"].axes == ()


def test_a_list_of_lists_is_mapped_over_in_a_group() -> None:
    @pt.group
    def each(xs: object) -> object:
        return total(one.map(xs))

    def flow(table: list[list[int]]) -> None:
        each.map(table)

    graph = graph_of(flow)
    steps, axes = steps_of(graph), axes_of(graph)

    # The engine sees lengths of whole results only, so the element becomes one.
    assert args_of(steps["each.one_items"]) == {"value": Element("each", 0)}
    assert axes["each.one"] == Axis("each.one", (Output("each.one_items"),), ("each",))


def test_a_group_reads_values_from_outside_and_gathers_maps_from_outside() -> None:
    @pt.group
    def each(x: object, all_of_it: object) -> object:
        return two(x, all_of_it)

    def flow() -> None:
        mapped = one.map([1, 2, 3])
        each.partial(all_of_it=mapped).map(["a"])

    steps = steps_of(graph_of(flow))

    assert steps["each.two"].axes == ("each",)
    assert args_of(steps["each.two"])["y"] == Output("one")
    assert steps["one"].axes == ("one",)


def test_an_element_used_outside_of_its_map_is_refused() -> None:
    leaked: list[object] = []

    @pt.group
    def each(x: object) -> None:
        leaked.append(x)
        one(x)

    def flow() -> None:
        each.map([1])
        one(leaked[0])

    with pytest.raises(DefinitionError, match="used outside of it"):
        graph_of(flow)


def test_a_group_that_returns_its_element_returns_a_result() -> None:
    @pt.group
    def each(x: object) -> object:
        one(x)
        return x

    def flow() -> None:
        total(each.map([1, 2]))

    steps = steps_of(graph_of(flow))

    assert args_of(steps["total"]) == {"xs": Output("each.each_result")}
    assert steps["each.each_result"].axes == ("each",)


def test_groups_are_put_in_order_as_a_whole() -> None:
    @pt.group
    def work() -> None:
        a = one("a")
        two(a, one.named("b")("b"))
        one.named("c")("c")

    def flow() -> None:
        start = listing()
        start >> work() >> total("end")

    steps = steps_of(graph_of(flow))

    assert steps["work.one"].needs == ("listing",)
    assert steps["work.b"].needs == ("listing",)
    assert steps["work.two"].needs == ("work.one", "work.b")
    assert steps["total"].needs == ("work.two", "work.c")


def test_a_group_without_a_result_is_no_argument() -> None:
    @pt.group
    def work() -> None:
        one("a")

    def flow() -> None:
        total(work())

    with pytest.raises(DefinitionError, match="returns no value"):
        graph_of(flow)


def test_plain_functions_are_groups_without_a_name() -> None:
    def helper(x: object) -> object:
        return two(one(x), "b")

    def flow() -> None:
        helper("a")

    assert list(steps_of(graph_of(flow))) == ["one", "two"]


# --- pipelines in pipelines ---


@pt.pipeline
def inner(source: str, factor: int = 7) -> object:
    return two(one(source), factor)


def test_a_pipeline_in_a_pipeline_is_a_group_with_its_parameters_bound() -> None:
    def flow(source: str) -> None:
        total(inner(source))

    steps = steps_of(graph_of(flow))

    assert list(steps) == ["inner.one", "inner.two", "total"]
    assert args_of(steps["inner.one"]) == {"x": Param("source")}
    assert args_of(steps["inner.two"])["y"] == Const(pack(7))


def test_a_pipeline_in_a_pipeline_is_mapped() -> None:
    def flow() -> None:
        inner.map(["a", "b"])

    graph = graph_of(flow)

    assert axes_of(graph)["inner"].sources == (known("a", "b"),)
    assert steps_of(graph)["inner.two"].axes == ("inner",)


def test_a_pipeline_that_lacks_a_parameter_is_refused() -> None:
    def flow() -> None:
        inner()

    with pytest.raises(DefinitionError, match="missing a required argument: 'source'"):
        graph_of(flow)
