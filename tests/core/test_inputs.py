"""What a step gets as arguments, for every binding."""

from __future__ import annotations

from partita.core import plain
from partita.core.events import AttemptEnded
from partita.core.graph import (
    Axis,
    Binding,
    Carry,
    Const,
    DictOf,
    Element,
    FirstOf,
    ListOf,
    Loop,
    Output,
    Param,
    Step,
    Stored,
)
from partita.core.inputs import Inputs
from partita.core.values import Input, Many, Missing, Named, Part, Value, Whole

from .driving import SKIP, Run, graph, known_list, mapped, packed

BLOB = Value("parquet", 10**9, ref="ab/abcd", digest="abcd", length=2)
ONE, TWO = Const(plain.pack(1)), Const(plain.pack(2))


def inputs_of(run: Run, step: str, index: str = "", stored: dict[str, Value] | None = None) -> dict[str, Input]:
    """All arguments of an instance, the shared ones and its own."""
    inputs = Inputs(run.machine, (stored or {}).get)
    instance = run.instance(step, index)
    shared, own = inputs.shared(instance.node), inputs.own(instance)
    assert set(shared).isdisjoint(own)
    return shared | own


def argument(binding: Binding, *before: Step, axes: tuple[Axis, ...] = (), **run: object) -> Input:
    """The one argument of a step, once all before it have run."""
    played = Run(graph(*before, Step("it", args=(("x", binding),)), axes=axes), **run).start()
    played.play(lambda i: {"value": i.index or [i.node.key]})
    return inputs_of(played, "it")["x"]


def text(value: Input) -> object:
    """The argument as the worker would make it of inline plain values."""
    match value:
        case Whole(value=stored, path=path):
            assert stored.data is not None
            data = plain.unpack(stored.data)
            for part in path:
                data = data[part]
            return data
        case Many(items=items):
            return [text(item) for item in items]
        case Named(items=items):
            return {key: text(item) for key, item in items}
        case Missing():
            return None
    raise AssertionError(value)


class TestAloneStandingBindings:
    def test_a_constant_is_its_packed_bytes(self) -> None:
        assert argument(Const(plain.pack((1, 2)))) == Whole(packed((1, 2)))

    def test_a_parameter_is_the_runs(self) -> None:
        assert text(argument(Param("region"), params={"region": plain.pack("eu")})) == "eu"
        inside = argument(Param("regions", (1,)), params={"regions": plain.pack(["eu", "us"])})
        assert (inside, text(inside)) == (Whole(packed(["eu", "us"]), (1,)), "us")

    def test_a_parameter_that_the_run_does_not_have_is_none(self) -> None:
        assert text(argument(Param("region"))) is None

    def test_the_result_of_a_step_is_a_reference_with_a_path(self) -> None:
        assert argument(Output("a"), Step("a")) == Whole(packed(["a"]))
        assert argument(Output("a", (0, "k")), Step("a")) == Whole(packed(["a"]), (0, "k"))

    def test_a_step_that_returned_nothing_gives_none(self) -> None:
        run = Run(graph(Step("a"), Step("it", args=(("x", Output("a")),)))).start().play()
        assert text(inputs_of(run, "it")["x"]) is None

    def test_a_step_that_did_not_succeed_is_missing(self) -> None:
        it = Step("it", args=(("x", Output("a")),), when="all_done")
        for end in ({"state": "failed"}, {"state": "cancelled", "failure": SKIP}):
            run = Run(graph(Step("a"), it)).start()
            run.do("a", **end)  # type: ignore[arg-type]
            assert inputs_of(run, "it") == {"x": Missing()}

    def test_a_step_that_is_not_in_the_graph_is_missing(self) -> None:
        assert argument(Output("gone")) == Missing()
        assert argument(FirstOf(("gone", "a")), Step("a")) == Whole(packed(["a"]))

    def test_the_first_of_some_is_the_first_that_succeeded(self) -> None:
        it = Step("it", args=(("x", FirstOf(("a", "b", "c"), (0,))),), when="all_done")
        run = Run(graph(Step("a"), Step("b"), Step("c"), it)).start()
        run.do("a", state="cancelled", failure=SKIP)
        run.do("b", value=["from b"])
        run.do("c", value=["from c"])
        assert inputs_of(run, "it")["x"] == Whole(packed(["from b"]), (0,))

    def test_the_first_of_none_is_missing(self) -> None:
        it = Step("it", args=(("x", FirstOf(("a",))),), when="all_done")
        run = Run(graph(Step("a"), it)).start()
        run.do("a", state="failed")
        assert inputs_of(run, "it")["x"] == Missing()

    def test_a_stored_asset_is_the_latest_or_missing(self) -> None:
        run = Run(graph(Step("it", args=(("x", Stored("flights")), ("y", Stored("other")))))).start()
        assert inputs_of(run, "it", stored={"flights": BLOB}) == {"x": Whole(BLOB), "y": Missing()}

    def test_lists_and_dicts_written_by_the_user_may_hold_all_of_these(self) -> None:
        binding = DictOf((("a", ListOf((ONE, Output("a")))), ("b", DictOf((("c", Param("region")),)))))
        found = argument(binding, Step("a"), params={"region": plain.pack("eu")})
        assert text(found) == {"a": [1, ["a"]], "b": {"c": "eu"}}


class TestMaps:
    def test_an_element_of_a_written_list_is_that_binding(self) -> None:
        step, axis = mapped("m", ListOf((ONE, Output("a"))), args=(("x", Element("m")), ("y", TWO)), needs=("a",))
        run = Run(graph(Step("a"), step, axes=[axis])).start().play(lambda i: {"value": [i.node.key]})
        assert text(inputs_of(run, "m", "0")["x"]) == 1
        assert text(inputs_of(run, "m", "1")["x"]) == ["a"]

    def test_only_what_differs_between_instances_is_their_own(self) -> None:
        args = (("x", Element("m")), ("y", TWO), ("z", Output("a")), ("w", ListOf((Element("m"), TWO))))
        step, axis = mapped("m", 2, args=args)
        run = Run(graph(Step("a"), step, axes=[axis])).start().play()
        inputs = Inputs(run.machine, lambda asset: None)
        assert set(inputs.shared(run.instance("m", "0").node)) == {"y", "z"}
        assert set(inputs.own(run.instance("m", "0"))) == {"x", "w"}

    def test_an_inline_list_is_cut_into_its_elements(self) -> None:
        step, axis = mapped("m", Output("a"), args=(("x", Element("m", path=("k",))),))
        run = Run(graph(Step("a"), step, axes=[axis])).start()
        run.do("a", value=[{"k": 1}, {"k": 2}])
        assert inputs_of(run, "m", "1")["x"] == Whole(packed({"k": 2}), ("k",))

    def test_a_parameter_that_is_mapped_over_is_cut_too(self) -> None:
        step, axis = mapped("m", Param("regions"), args=(("x", Element("m")),))
        run = Run(graph(step, axes=[axis]), params={"regions": plain.pack(("eu", "us"))}).start()
        assert text(inputs_of(run, "m", "1")["x"]) == "us"

    def test_an_element_of_a_blob_is_a_part_of_it(self) -> None:
        step, axis = mapped("m", Output("a"), args=(("x", Element("m", path=(0,))),))
        run = Run(graph(Step("a"), step, axes=[axis])).start()
        run.begin("a")
        run.apply(AttemptEnded(0.0, "a", "", 1, 1, "succeeded", BLOB))
        assert inputs_of(run, "m", "1")["x"] == Part(BLOB, 1, (0,))

    def test_zipped_elements_come_from_their_own_sources(self) -> None:
        axis = Axis("z", (known_list(1, 2), Output("a")))
        z = Step("z", axes=("z",), args=(("x", Element("z", 0)), ("y", Element("z", 1))), needs=("a",))
        run = Run(graph(Step("a"), z, axes=[axis])).start()
        run.do("a", value=["one", "two"])
        assert {k: text(v) for k, v in inputs_of(run, "z", "1").items()} == {"x": 2, "y": "two"}

    def test_a_step_on_the_same_axis_gets_its_own_element_and_one_outside_all_of_them(self) -> None:
        step, axis = mapped("m", 3)
        each = Step("each", axes=("m",), args=(("x", Output("m")),))
        run = Run(graph(step, each, Step("all", args=(("xs", Output("m")),)), axes=[axis])).start()
        run.play(lambda i: {"value": f"{i.node.key}{i.index}"})
        assert text(inputs_of(run, "each", "1")["x"]) == "m1"
        assert text(inputs_of(run, "all")["xs"]) == ["m0", "m1", "m2"]

    def test_elements_that_failed_are_missing_in_what_is_gathered(self) -> None:
        step, axis = mapped("m", 3)
        run = Run(graph(step, Step("all", args=(("xs", Output("m")),), when="all_done"), axes=[axis])).start()
        run.play(lambda i: {"state": "failed"} if i.index == "1" else {"value": i.index})
        assert text(inputs_of(run, "all")["xs"]) == ["0", None, "2"]

    def test_a_map_over_a_map_gets_the_result_of_its_instance(self) -> None:
        first, axis = mapped("m", 2)
        again, its_axis = mapped("again", Output("m"), args=(("x", Element("again", path=("k",))),))
        run = Run(graph(first, again, axes=[axis, its_axis])).start()
        run.play(lambda i: {"value": {"k": i.index}} if i.node.key == "m" else {})
        assert text(inputs_of(run, "again", "1")["x"]) == "1"

    def test_nested_maps_gather_nested_lists_along_what_is_not_shared(self) -> None:
        outer, axis = mapped("o", 2)
        inner, inner_axis = mapped("i", Output("o"), outer=("o",), args=(("x", Element("i")), ("y", Output("o"))))
        each = Step("each", axes=("o",), args=(("xs", Output("i")),))
        run = Run(graph(outer, inner, each, Step("all", args=(("xss", Output("i")),)), axes=[axis, inner_axis])).start()
        run.play(
            lambda i: {"value": list("ab") if i.index == "0" else ["c"]} if i.node.key == "o" else {"value": i.index}
        )
        assert text(inputs_of(run, "i", "0.1")["x"]) == "b"
        assert text(inputs_of(run, "i", "1.0")["y"]) == ["c"]
        assert text(inputs_of(run, "each", "0")["xs"]) == ["0.0", "0.1"]
        assert text(inputs_of(run, "all")["xss"]) == [["0.0", "0.1"], ["1.0"]]

    def test_an_inner_map_over_a_gathered_inner_map_stays_below_its_element(self) -> None:
        outer, axis = mapped("o", 2)
        first, first_axis = mapped("f", 2, outer=("o",))
        second, second_axis = mapped("s", Output("f"), outer=("o",), args=(("x", Element("s")),))
        run = Run(graph(outer, first, second, axes=[axis, first_axis, second_axis])).start()
        run.play(lambda i: {"value": i.index})
        assert text(inputs_of(run, "s", "1.0")["x"]) == "1.0"

    def test_a_list_shorter_than_its_worker_said_is_missing_at_its_end(self) -> None:
        step, axis = mapped("m", Output("a"), args=(("x", Element("m")),))
        run = Run(graph(Step("a"), step, axes=[axis])).start()
        run.begin("a")
        data = plain.pack([1])
        run.apply(AttemptEnded(0.0, "a", "", 1, 1, "succeeded", Value("plain", len(data), data, length=2)))
        assert inputs_of(run, "m", "1") == {"x": Missing()}


class TestLoops:
    def loop(self) -> Run:
        axis = Axis("l", (Output("start", ("n",)),), loop=Loop("decide", 9))
        return Run(
            graph(
                Step("start"),
                Step("work", axes=("l",), args=(("state", Carry("l")),)),
                Step("decide", axes=("l",), args=(("x", Output("work")), ("old", Carry("l", ("n",))))),
                Step("last", args=(("x", Output("decide", last=True)),)),
                Step("every", args=(("xs", Output("decide")),)),
                axes=[axis],
            )
        ).start()

    def played(self) -> Run:
        return self.loop().play(
            lambda i: {"value": {"n": i.index or "first"}, "again": bool(i.path) and i.path[-1] < 2}
        )

    def test_the_first_round_carries_the_initial_state(self) -> None:
        run = self.played()
        assert inputs_of(run, "work", "0")["state"] == Whole(packed({"n": "first"}), ("n",))
        assert inputs_of(run, "decide", "0")["old"] == Whole(packed({"n": "first"}), ("n", "n"))

    def test_a_later_round_carries_the_result_of_the_one_before(self) -> None:
        run = self.played()
        assert inputs_of(run, "work", "2")["state"] == Whole(packed({"n": "1"}))
        assert text(inputs_of(run, "decide", "2")["old"]) == "1"
        assert text(inputs_of(run, "decide", "2")["x"]) == {"n": "2"}

    def test_after_the_loop_there_is_its_last_result_or_all_of_them(self) -> None:
        run = self.played()
        assert text(inputs_of(run, "last")["x"]) == {"n": "2"}
        assert text(inputs_of(run, "every")["xs"]) == [{"n": "0"}, {"n": "1"}, {"n": "2"}]
