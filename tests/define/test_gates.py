"""Gates as declared: what they compile to, what is wrong with them, and how they run in `partita.testing`."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest

import partita as pt
from partita.core import plain
from partita.core.graph import Const, GateSpec, Graph, Output, Step, Token, encode
from partita.define.compile import compile_pipeline
from partita.errors import DefinitionError, PartitaError
from partita.testing import answers, approves, fails, rejects, returns, run, times_out


def graph_of(build: Callable[[], Any]) -> dict[str, Step]:
    def body() -> None:
        build()

    return {s.key: s for s in compile_pipeline(pt.pipeline(body, name="p")).graph.steps}  # type: ignore[arg-type]


def spec_of(build: Callable[[], Any], key: str = "approval") -> GateSpec:
    spec = graph_of(build)[key].gate
    assert spec is not None
    return spec


@pt.task
def build() -> Any:
    return {"version": "1.4"}


@pt.task
def use(x: Any) -> Any:
    return x


@pt.task
def start(token: str) -> str:
    return token


@dataclasses.dataclass
class Share:
    percent: int
    regions: list[str] = dataclasses.field(default_factory=list)


class TestApproval:
    def test_its_options_are_its_spec(self) -> None:
        spec = spec_of(
            lambda: pt.approval(
                "deploy?",
                by=["role:operator", "ana"],
                quorum=2,
                four_eyes=True,
                remind="1h",
                timeout="2d",
                default="reject",
            )
        )
        assert spec == GateSpec(
            "approval",
            text="deploy?",
            by=("role:operator", "ana"),
            quorum=2,
            four_eyes=True,
            choices=("approve", "reject"),
            rejecting=("reject",),
            remind_s=3600.0,
            timeout_s=172800.0,
            on_timeout="default",
            default="reject",
        )

    def test_it_takes_its_material_from_steps_and_constants(self) -> None:
        steps = graph_of(lambda: pt.approval("deploy?", show={"plan": build(), "link": "https://x"}, name="go"))
        assert dict(steps["go"].args) == {"plan": Output("build"), "link": Const(plain.pack("https://x"))}
        assert (steps["go"].kind, steps["go"].call, steps["go"].needs) == ("gate", "", ("build",))

    def test_one_result_alone_is_named_after_its_step(self) -> None:
        assert [name for name, _ in graph_of(lambda: pt.approval("ok?", show=build()))["approval"].args] == ["build"]

    @pytest.mark.parametrize(
        ("answer", "schema"),
        [
            (int, {"type": "integer"}),
            (dt.date, {"type": "string", "format": "date"}),
            ({"enum": ["a", "b"]}, {"enum": ["a", "b"]}),
        ],
    )
    def test_the_type_of_its_answer_is_a_json_schema(self, answer: Any, schema: Any) -> None:
        assert json.loads(spec_of(lambda: pt.approval("how many?", answer=answer)).schema) == schema

    def test_a_dataclass_is_a_schema_with_its_fields(self) -> None:
        schema = json.loads(spec_of(lambda: pt.approval("how?", answer=Share)).schema)
        assert (set(schema["properties"]), schema["required"]) == ({"percent", "regions"}, ["percent"])

    @pytest.mark.parametrize(
        ("build", "says"),
        [
            (lambda: pt.approval(""), "its question is ''"),
            (lambda: pt.approval("x", choices=[]), "has 0 choices"),
            (lambda: pt.approval("x", choices=["a"], rejecting="a"), "every choice rejects"),
            (lambda: pt.approval("x", rejecting="no"), "'no' is none of its choices"),
            (lambda: pt.approval("x", default="maybe", timeout="1h"), "'maybe' is none of its choices"),
            (lambda: pt.approval("x", default="approve"), "default is for a deadline"),
            (lambda: pt.approval("x", on_timeout="skip"), "on_timeout is for a deadline"),
            (lambda: pt.approval("x", on_reject="explode"), "on_reject is 'explode'"),  # type: ignore[arg-type]
            (lambda: pt.approval("x", quorum=0), "quorum is 0"),
            (lambda: pt.approval("x", by=["ana"], quorum=2), "only 1 may answer"),
            (lambda: pt.approval("x", by=["group:ops"]), "by has 'group:ops'"),
            (lambda: pt.approval("x", timeout="soon"), "timeout"),
            (lambda: pt.approval("x", timeout=0), "timeout must be more than 0"),
            (lambda: pt.approval("x", time_out="1h"), "there is no option `time_out`"),
            (lambda: pt.approval("x", answer=object()), "no type that an answer can have"),
            (lambda: pt.approval("x", show={"o": object()}), "cannot be stored"),
            (lambda: pt.approval("x", show=["a"]), "show is ['a']"),  # type: ignore[arg-type]
            (lambda: pt.approval(build()), "its question is not known"),
            (lambda: pt.approval("x", name="no good"), "no good"),
            (lambda: pt.sleep("a while"), "duration"),
            (lambda: pt.sleep(-1), "duration"),
            (lambda: pt.sleep_until("tomorrow"), "is no instant"),
            (lambda: pt.wait_for("ready"), "nothing to wait for"),  # type: ignore[arg-type]
            (lambda: pt.wait_for(lambda day: True), "called wrongly"),
            (lambda: pt.wait_for(pt.until.file("x"), pok="1s"), "there is no option `pok`"),
            (lambda: pt.wait_for(pt.until.file("x"), poke="1ms"), "poke is '1ms'"),
            (lambda: pt.wait_for(pt.until.run("x", state="late")), "is no state"),  # type: ignore[arg-type]
            (lambda: pt.external(heartbeat=0), "heartbeat must be more than 0"),
        ],
    )
    def test_what_is_wrong_is_said(self, build: Callable[[], Any], says: str) -> None:
        with pytest.raises(DefinitionError) as caught:
            graph_of(build)
        assert says in str(caught.value)
        assert "test_gates.py" in str(caught.value)

    def test_outside_of_a_pipeline_it_says_where_it_belongs(self) -> None:
        with pytest.raises(DefinitionError, match="is a step of a pipeline"):
            pt.approval("deploy?")

    def test_a_graph_without_gates_is_the_version_that_it_was(self) -> None:
        assert b"gate" not in encode(Graph("g", (Step("a"),)))


class TestExternal:
    def test_its_token_is_an_argument_and_no_need(self) -> None:
        def build() -> None:
            cb = pt.external("the job", timeout="1h", name="cb")
            start(cb.token) >> cb

        steps = graph_of(build)
        assert steps["start"].args == (("token", Token("cb")),)
        assert (steps["start"].needs, steps["cb"].needs) == ((), ("start",))

    def test_each_element_of_a_map_has_a_token_of_its_own(self) -> None:
        @pt.group
        def one(n: int) -> Any:
            cb = pt.external(name="cb")
            start(cb.token) >> cb
            return cb

        steps = graph_of(lambda: one.map([1, 2]))
        assert steps["one.cb"].axes == steps["one.start"].axes == ("one",)

    def test_a_token_does_not_leave_its_map(self) -> None:
        @pt.group
        def one(n: int) -> Any:
            return pt.external(name="cb").token

        with pytest.raises(DefinitionError, match="used outside of its map"):
            graph_of(lambda: start(one.map([1, 2])))


class TestTimers:
    def test_a_duration_is_seconds(self) -> None:
        step = graph_of(lambda: pt.sleep("1h30m"))["sleep"]
        assert step.args == (("for", Const(plain.pack(5400.0))),)
        assert step.gate is not None
        assert step.gate.text == "1 h 30 min"

    def test_an_instant_has_a_zone_or_is_utc(self) -> None:
        at = dt.datetime(2026, 1, 1, 6, tzinfo=dt.timezone(dt.timedelta(hours=1)))
        for given in (at, "2026-01-01T06:00:00+01:00", "2026-01-01T05:00:00"):
            assert graph_of(lambda given=given: pt.sleep_until(given))["sleep_until"].args == (  # type: ignore[misc]
                ("until", Const(plain.pack(at.timestamp()))),
            )

    def test_they_stand_in_order_with_others(self) -> None:
        steps = graph_of(lambda: build() >> pt.sleep("1s") >> use(1))
        assert (steps["sleep"].needs, steps["use"].needs) == (("build",), ("sleep",))


class TestConditions:
    def test_a_function_is_found_by_its_name_and_gets_its_arguments(self) -> None:
        step = graph_of(lambda: pt.wait_for(is_open, market=build()["version"], poke="1m"))["is_open"]
        assert step.call.endswith(":is_open")
        assert step.args == (("market", Output("build", ("version",))),)
        assert step.gate is not None
        assert (step.gate.condition, step.gate.poke_s) == ("function", 60.0)

    @pytest.mark.parametrize(
        ("condition", "kind", "options"),
        [
            (pt.until.file("in/*.csv", settle="1m"), "file", {"path": "in/*.csv", "at_least": 1, "settle_s": 60.0}),
            (pt.until.sql("select 1", connect="sqlite:///x.db"), "sql", {"connect": "sqlite:///x.db"}),
            (
                pt.until.http("https://x", json={"a.b": 1}),
                "http",
                {"url": "https://x", "json": {"a.b": 1}, "status": [200]},
            ),
            (pt.until.run("nightly", within="2h"), "run", {"name": "nightly", "state": "succeeded", "within": 7200.0}),
            (pt.until.asset("flights", partition="2013"), "asset", {"name": "flights", "partition": "2013"}),
        ],
    )
    def test_ready_made_ones_have_options(self, condition: Any, kind: str, options: dict[str, Any]) -> None:
        step = graph_of(lambda: pt.wait_for(condition))["wait_for"]
        found = {n: plain.unpack(b.data) for n, b in step.args if isinstance(b, Const)}
        assert step.gate is not None
        assert step.gate.condition == kind
        assert {n: found[n] for n in options} == options


def is_open(market: str) -> bool:
    return market == "1.4"


@pt.pipeline
def release() -> None:
    decision = pt.approval("how far?", choices=["canary", "full", "stop"], rejecting="stop", name="go")
    pt.branch(decision, {"canary": lambda: use.named("some")(decision), "full": lambda: use.named("all")(decision)})


class TestRunning:
    def test_a_branch_goes_by_the_choice(self) -> None:
        result = run(release, script={"go": answers("full", by="ana", comment="all of it", takes_s=60.0)})
        assert (result["some"].state, result["all"].state, result.elapsed_s) == ("skipped", "succeeded", 60.0)
        assert result.value("all")["comment"] == "all of it"

    def test_a_rejection_fails_the_run(self) -> None:
        result = run(release, script={"go": answers("stop", comment="not today")})
        assert (result.state, result["go"].reason) == ("failed", "stop by somebody: not today")

    def test_a_quorum_is_several_answers(self) -> None:
        @pt.pipeline
        def both() -> None:
            use(pt.approval("both?", quorum=2, name="go")["by"])

        result = run(both, script={"go": [approves("ana"), approves("bo", takes_s=5.0)]})
        assert result.value("use") == ["ana", "bo"]
        assert run(both, script={"go": [approves("ana"), rejects("bo")]}).state == "failed"

    def test_a_default_answers_when_nobody_does(self) -> None:
        @pt.pipeline
        def patient() -> None:
            use(pt.approval("ok?", timeout="2d", default="approve", name="go")["choice"])

        result = run(patient)
        assert (result.value("use"), result.elapsed_s) == ("approve", 172800.0)

    def test_a_run_that_nobody_would_answer_says_so(self) -> None:
        with pytest.raises(PartitaError, match="nobody will answer") as caught:
            run(release)
        assert "approves()" in str(caught.value.hint)

    def test_another_system_is_scripted_by_what_it_reports(self) -> None:
        @pt.pipeline
        def job() -> None:
            cb = pt.external("the job", timeout="1h", name="cb")
            start(cb.token) >> cb
            use(cb)

        assert run(job, script={"cb": returns([1, 2], takes_s=60.0)}).value("use") == [1, 2]
        failed = run(job, script={"cb": fails(RuntimeError("disk full"))})
        assert failed["cb"].reason == "disk full"
        late = run(job, script={"cb": times_out()})
        assert late["cb"].reason == "no callback came within 1 h"
        assert str(late.value("start")).startswith("ptg_")

    def test_a_list_from_another_system_can_be_mapped_over(self) -> None:
        @pt.pipeline
        def spread() -> None:
            use.map(pt.external(name="cb"))

        assert run(spread, script={"cb": returns([1, 2, 3])}).value("use") == [1, 2, 3]

    def test_a_condition_is_looked_at_for_real(self) -> None:
        looks: list[int] = []

        def ready() -> bool:
            looks.append(1)
            return len(looks) == 4

        @pt.pipeline
        def patient() -> None:
            pt.wait_for(ready, poke="10s") >> use(1)

        result = run(patient)
        assert (result.state, result.elapsed_s) == ("succeeded", 30.0)

    def test_sleeps_cost_nothing(self) -> None:
        @pt.pipeline
        def slow() -> None:
            build() >> pt.sleep("30d") >> use(1)

        assert run(slow).elapsed_s == 30 * 86400.0

    def test_an_approval_in_a_mapped_group_asks_for_each_element(self) -> None:
        @pt.group
        def one(region: str) -> Any:
            go = pt.approval("deploy to {region}?", show={"region": region}, name="go", on_reject="skip")
            return use(go["choice"])

        @pt.pipeline
        def regions() -> None:
            one.map(["eu", "us"])

        result = run(regions, script={"one.go[0]": approves(), "one.go[1]": rejects()})
        assert result["one.use[0]"].state == "succeeded"
        assert result["one.use[1]"].state == "skipped"
