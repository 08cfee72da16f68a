"""A pipeline's function becomes a graph: steps, arguments, names, order."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from dataclasses import dataclass

import pytest

import partita as pt
from partita.core.graph import Const, DictOf, ListOf, Output, Param, version
from partita.core.plain import pack, unpack
from partita.define.compile import Problems, compile_pipeline
from partita.errors import DefinitionError

from .building import args_of, graph_of, steps_of


@pt.task
def extract(source: str, limit: int = 10) -> list[str]:
    """Read a source."""
    return [source] * limit


@pt.task
def load(rows: list[str]) -> int:
    return len(rows)


@pt.task
def notify() -> None: ...


def test_a_call_is_a_step_and_its_result_an_argument() -> None:
    def flow() -> None:
        load(extract("a"))

    steps = steps_of(graph_of(flow))

    assert list(steps) == ["extract", "load"]
    assert args_of(steps["extract"]) == {"source": Const(pack("a"))}
    assert args_of(steps["load"]) == {"rows": Output("extract")}
    assert steps["load"].needs == ("extract",)
    assert steps["extract"].description == "Read a source."
    assert steps["extract"].written_at.startswith("test_tracing.py:")


def test_outside_of_a_pipeline_a_task_is_the_plain_function() -> None:
    assert extract("a", limit=2) == ["a", "a"]
    assert extract.map(["a", "b"], limit=1) == [["a"], ["b"]]


def test_outside_of_a_pipeline_an_async_task_is_the_plain_coroutine() -> None:
    @pt.task
    async def double(x: int) -> int:
        return 2 * x

    assert asyncio.run(double(3)) == 6
    assert double.settings.policies.asynchronous


def test_a_pipeline_called_outside_runs_its_function() -> None:
    @pt.pipeline
    def flow(source: str = "a") -> int:
        return load(extract(source, 3))

    assert flow() == 3


def test_parameters_of_the_pipeline_are_parameters_of_the_run() -> None:
    def flow(source: str, limit: int = 3) -> None:
        extract(source, limit=limit)

    assert args_of(steps_of(graph_of(flow))["extract"]) == {"source": Param("source"), "limit": Param("limit")}


def test_steps_called_several_times_are_numbered() -> None:
    def flow() -> None:
        extract("a")
        extract("b")
        extract.named("extract_2")("c")
        extract("d")

    assert list(steps_of(graph_of(flow))) == ["extract", "extract_2", "extract_2_2", "extract_3"]


def test_results_inside_of_lists_and_dicts_are_read() -> None:
    @pt.task
    def merge(parts: object) -> None: ...

    def flow() -> None:
        a = extract("a")
        merge([a, {"b": extract("b"), "n": 1}])

    step = steps_of(graph_of(flow))["merge"]

    expected = ListOf((Output("extract"), DictOf((("b", Output("extract_2")), ("n", Const(pack(1)))))))
    assert args_of(step) == {"parts": expected}
    assert step.needs == ("extract", "extract_2")


def test_a_part_of_a_result_is_a_path() -> None:
    def flow() -> None:
        load(extract("a")["rows"][0])

    assert args_of(steps_of(graph_of(flow))["load"]) == {"rows": Output("extract", ("rows", 0))}


def test_order_without_data() -> None:
    def flow() -> None:
        first, second, third = notify.named("first")(), notify.named("second")(), notify.named("third")()
        first >> [second, third] >> notify()
        notify.named("last")() << [second, third]

    steps = steps_of(graph_of(flow))

    assert steps["second"].needs == ("first",)
    assert steps["notify"].needs == ("second", "third")
    assert steps["last"].needs == ("second", "third")


def test_a_step_may_be_ordered_after_one_that_was_written_later() -> None:
    def flow() -> None:
        early = notify.named("early")()
        late = notify.named("late")()
        late >> early

    assert list(steps_of(graph_of(flow))) == ["late", "early"]


def test_a_cycle_is_named_step_by_step() -> None:
    def flow() -> None:
        a, b, c = notify.named("a")(), notify.named("b")(), notify.named("c")()
        a >> b >> c >> a

    with pytest.raises(DefinitionError, match="a -> b -> c -> a") as caught:
        graph_of(flow)
    assert caught.value.file == "test_tracing.py"
    assert caught.value.line


def test_constants_keep_their_types() -> None:
    def flow() -> None:
        extract((1, dt.date(2013, 1, 1), {"a"}))  # type: ignore[arg-type]

    binding = args_of(steps_of(graph_of(flow))["extract"])["source"]

    assert unpack(binding.data) == (1, dt.date(2013, 1, 1), {"a"})


def test_a_constant_that_cannot_be_stored_names_argument_and_type() -> None:
    def flow() -> None:
        extract({"k": [object()]})

    with pytest.raises(DefinitionError, match=r"argument `source` of `extract` cannot be stored: builtins.object at"):
        graph_of(flow)


def test_a_constant_that_contains_itself_is_an_error_and_no_crash() -> None:
    endless: list[object] = []
    endless.append(endless)

    def flow() -> None:
        extract(endless)

    with pytest.raises(DefinitionError, match="contains itself"):
        graph_of(flow)


def test_a_wrong_argument_says_where_and_what_was_meant() -> None:
    def flow() -> None:
        extract("a", limt=3)

    with pytest.raises(DefinitionError, match="no parameter `limt`") as caught:
        graph_of(flow)
    assert caught.value.hint == "did you mean `limit`?"
    assert caught.value.line == flow.__code__.co_firstlineno + 1


def test_all_wrong_calls_are_said_at_once() -> None:
    def flow() -> None:
        extract()
        load(extract("a", bad=1))
        load()

    with pytest.raises(Problems) as caught:
        graph_of(flow)
    lines = [problem.line for problem in caught.value.all]
    assert [line - flow.__code__.co_firstlineno for line in lines if line] == [1, 2, 3]


def test_positional_only_and_star_arguments_reach_the_function() -> None:
    @pt.task
    def odd(a: int, /, b: int, *rest: int, c: int = 0, **more: int) -> tuple[object, ...]:
        return a, b, rest, c, more

    @pt.pipeline
    def flow() -> None:
        x = extract("a")
        odd(1, 2, 3, x, c=4, d=5)

    compiled = compile_pipeline(flow)
    step = compiled.graph.step("odd")

    assert args_of(step)["rest"] == ListOf((Const(pack(3)), Output("extract")))
    assert args_of(step)["d"] == Const(pack(5))
    call = compiled.calls[step.call]
    assert call.function(a=1, b=2, rest=[3, 4], c=4, d=5) == (1, 2, (3, 4), 4, {"d": 5})


def test_the_context_is_no_argument() -> None:
    @pt.task
    def by_name(ctx, x: int) -> None: ...  # type: ignore[no-untyped-def]

    @pt.task
    def by_type(x: int, where: pt.Context) -> None: ...

    @pt.task
    def not_one(context: str) -> None: ...

    @pt.pipeline
    def flow() -> None:
        by_name(1)
        by_type(x=2)
        not_one("text")

    compiled = compile_pipeline(flow)
    params = {s.key: compiled.calls[s.call].context_param for s in compiled.graph.steps}

    assert params == {"by_name": "ctx", "by_type": "where", "not_one": None}
    assert args_of(compiled.graph.step("by_name")) == {"x": Const(pack(1))}


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda h: bool(h), "pt.branch"),
        (lambda h: list(h), "task.map"),
        (lambda h: f"{h}", "make the text there"),
        (lambda h: str(h), "make the text there"),
        (lambda h: h == 3, "pt.branch"),
        (lambda h: h < 3, "pt.branch"),
        (lambda h: h + 1, "inside of a task"),
        (lambda h: 1 - h, "inside of a task"),
        (lambda h: 3 in h, "inside of a task"),
        (lambda h: len(h), "task.map"),
        (lambda h: h.rows, r"\[\"rows\"\]"),
        (lambda h: h(), "pass it to a task"),
        (lambda h: h[1:2], "slice inside of a task"),
        (lambda h: range(h), "inside of a task"),
    ],
)
def test_a_value_that_is_not_known_yet_says_so_and_what_to_write(use: object, says: str) -> None:
    def flow() -> None:
        use(extract("a"))  # type: ignore[operator]

    with pytest.raises(DefinitionError, match="while the graph is built") as caught:
        graph_of(flow)
    assert re.search(says, caught.value.hint or "")


def test_forgetting_to_call_a_task_is_said() -> None:
    def flow() -> None:
        notify() >> load

    with pytest.raises(DefinitionError) as caught:
        graph_of(flow)
    assert caught.value.hint == "call it: `load()`"


def test_a_handle_of_another_pipeline_is_refused() -> None:
    leaked: list[object] = []

    def first() -> None:
        leaked.append(extract("a"))

    def second() -> None:
        load(leaked[0])

    graph_of(first)
    with pytest.raises(DefinitionError, match="belongs to another pipeline"):
        graph_of(second)


def test_options_of_a_copy_do_not_touch_the_original() -> None:
    def flow() -> None:
        extract("a")
        extract.options(retries=4, name="again")("b")

    steps = steps_of(graph_of(flow))

    assert steps["again"].policies.retry.limit == 4
    assert steps["extract"].policies.retry.limit == 0
    assert steps["again"].call == steps["extract"].call


def test_defaults_of_the_pipeline_are_for_tasks_that_do_not_say_otherwise() -> None:
    @pt.task(retries=1)
    def own() -> None: ...

    def flow() -> None:
        own()
        notify()

    steps = steps_of(graph_of(flow, defaults={"retries": 5, "owner": "ops"}))

    assert steps["own"].policies.retry.limit == 1
    assert steps["notify"].policies.retry.limit == 5
    assert steps["own"].owner == "ops"


def test_the_same_pipeline_gives_the_same_graph_each_time() -> None:
    @pt.pipeline
    def flow(x: str = "a") -> None:
        load(extract.map([x, "b"])) >> notify()

    assert version(compile_pipeline(flow).graph) == version(compile_pipeline(flow).graph)


def test_user_code_that_raises_while_the_graph_is_built_is_an_error_at_its_line() -> None:
    def flow() -> None:
        extract("a")
        raise KeyError("oops")

    with pytest.raises(DefinitionError, match="raised KeyError: 'oops'") as caught:
        graph_of(flow)
    assert caught.value.line == flow.__code__.co_firstlineno + 2


def test_a_generator_is_no_task_and_a_coroutine_no_pipeline() -> None:
    with pytest.raises(DefinitionError, match="generator"):

        @pt.task
        def rows() -> object:
            yield 1

    with pytest.raises(DefinitionError, match="plain function"):

        @pt.pipeline
        async def flow() -> None: ...


@dataclass
class Settings:
    day: dt.date


def test_dataclasses_are_constants() -> None:
    def flow() -> None:
        extract(Settings(dt.date(2013, 1, 1)))  # type: ignore[arg-type]

    data = args_of(steps_of(graph_of(flow))["extract"])["source"].data
    assert unpack(data, lambda name: Settings) == Settings(dt.date(2013, 1, 1))


def test_names_with_surrogates_or_nul_are_refused() -> None:
    for name in ("a\0b", "a\ud800", "", "a b", "x" * 300, "-a"):
        with pytest.raises(DefinitionError, match="name"):
            extract.named(name)
