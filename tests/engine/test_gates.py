"""Gates in the engine: answers of people, callbacks with tokens, heartbeats, reminders, conditions, and the next engine."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import partita as pt
from partita.core import plain
from partita.core.events import Event, GateAnswered, GateHeard, GateVoted, Meta, RunCreated
from partita.core.facts import Fact
from partita.core.facts.gates import GateReminded
from partita.core.graph import Graph
from partita.core.graph import version as graph_version
from partita.define.compile import Compiled, compile_pipeline
from partita.define.pipeline import PipelineDef
from partita.engine.active import ActiveRun
from partita.engine.approvals import approval, waiting, waiting_in
from partita.engine.clock import FakeClock
from partita.engine.gates import AnswerGate, GateReply, Gates, HeartbeatExternal, ReportExternal
from partita.engine.loop import Engine
from partita.engine.tokens import GateTokens, digest
from partita.errors import NotAllowed, ParamError
from partita.executors.evaluator import InlineEvaluator
from partita.executors.inline import InlineExecutor
from partita.settings import Home
from partita.store import numbers
from partita.store.gates import gate, open_gates
from partita.store.sqlite import open_in_memory
from partita.store.writing import SqlStore
from partita.worker.answering import Functions

KEY = b"k" * 32


class Recorder:
    """A chore that keeps what was recorded."""

    name = "recorder"

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def start(self, now: float) -> None: ...

    def due_at(self) -> float:
        return float("inf")

    def turn(self, now: float) -> None: ...

    def committed(self, run: ActiveRun, events: Sequence[Event]) -> None: ...

    def recorded(self, facts: Sequence[Fact]) -> None:
        self.facts += facts


class Bench:
    """An engine over a store in memory whose user code runs here, by a clock that the test moves."""

    def __init__(self, folder: Path, *pipelines: PipelineDef, store: SqlStore | None = None, now: float = 1e9) -> None:
        self.compiled: dict[str, Compiled] = {p.name: compile_pipeline(p) for p in pipelines}
        calls = {name: call for c in self.compiled.values() for name, call in c.calls.items()}
        self.clock = FakeClock(now)
        self.store = store or open_in_memory(clock=self.clock.now)
        executor = InlineExecutor(calls, Home(folder))
        self.engine = Engine(self.store, executor, self.clock, holder=f"tests:{id(self)}")
        self.gates = Gates(
            self.engine,
            self.store,
            self.clock,
            tokens=GateTokens(KEY),
            evaluator=InlineEvaluator({"p": Functions(calls, {})}),
        )
        self.recorder = Recorder()
        self.engine.chores += [self.gates, self.recorder]
        self.engine.start()
        self._runs = 0

    def run(self, name: str = "", **changes: Any) -> ActiveRun:
        graph: Graph = next(iter(self.compiled.values())).graph if not name else self.compiled[name].graph
        self._runs += 1
        fields: dict[str, Any] = {"run": f"r{self._runs}", "namespace": "default", "project": "p", "by": "starter"}
        fields |= {"pipeline": graph.name, "graph": graph_version(graph), "code": "", "origin": f"o{self._runs}"}
        active = self.engine.submit(graph, RunCreated(self.clock.now(), **{**fields, **changes}))
        self.settle()
        return active

    def settle(self) -> None:
        """Turn until nothing follows."""
        while self.engine.turn(0.0):
            pass

    def pass_by(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.settle()

    def answer(
        self, run: ActiveRun, step: str = "go", choice: str = "approve", by: str = "ana", **more: Any
    ) -> GateReply:
        return self.ask(AnswerGate(run.id, step, by, choice, **more))

    def ask(self, request: Any) -> GateReply:
        """As the control server does."""
        handler = self.gates.handlers()[type(request)]
        answered = self.engine.post(lambda: handler(request))
        self.settle()
        return answered.result(timeout=0)  # type: ignore[no-any-return]

    def next_engine(self, folder: Path) -> Bench:
        """Another engine takes the store over, after this one has gone without a word."""
        found = Bench.__new__(Bench)
        self.clock.advance(60.0)
        found.__dict__.update(Bench(folder, store=self.store, now=self.clock.now()).__dict__)
        found.compiled = self.compiled
        found.settle()
        return found


@pt.task
def build() -> Any:
    return pt.md.table([{"rows": 3}])


@pt.task
def deploy(decision: Any) -> Any:
    return decision


@pt.pipeline
def release(version: str = "1.4") -> None:
    show = {"version": version, "report": build()}
    deploy(pt.approval("deploy {version}?", show=show, remind="1h", timeout="1d", by="role:operator", name="go"))


@pt.task
def start_job(token: str) -> str:
    return token


@pt.pipeline
def job() -> None:
    cb = pt.external("the job", heartbeat="10m", timeout="6h", name="cb")
    start_job(cb.token) >> cb
    deploy(cb)


PARAMS = {"version": plain.pack("1.4")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


class TestApproval:
    def test_it_waits_without_a_slot_and_shows_its_material(self, folder: Path) -> None:
        bench = Bench(folder, release)
        run = bench.run(params=PARAMS)
        assert not bench.engine._open
        found = waiting(bench.store)
        assert [(a.question, a.who, a.missing) for a in found] == [("deploy 1.4?", "whoever is operator", 1)]
        shown = {m.name: (m.kind, plain.unpack(m.data)) for m in found[0].material}
        assert shown == {"version": ("text", "1.4"), "report": ("table", {"columns": ["rows"], "rows": [[3]]})}
        assert [a.gate.step for a in waiting_in(bench.store, run.id)] == ["go"]
        assert numbers.open_gates(bench.store, "approval") == 1

    def test_an_answer_is_durable_and_lets_the_run_go_on(self, folder: Path) -> None:
        bench = Bench(folder, release)
        run = bench.run(params=PARAMS)
        reply = bench.answer(run, roles=("operator",), comment="fine")
        assert (reply.state, run.machine.state) == ("answered", "succeeded")
        value = run.machine.plan.nodes["deploy"].instances[()].value
        assert value is not None
        assert value.data is not None
        assert plain.unpack(value.data)["comment"] == "fine"
        assert waiting(bench.store) == []
        assert list(bench.store.audit()) == []

    def test_who_may_not_is_told_who_may(self, folder: Path) -> None:
        bench = Bench(folder, release)
        run = bench.run(params=PARAMS)
        with pytest.raises(NotAllowed, match="operator"):
            bench.answer(run, roles=("viewer",))
        with pytest.raises(ParamError, match="none of its choices"):
            bench.answer(run, choice="maybe", roles=("operator",))
        assert run.machine.state == "running"

    def test_what_does_not_wait_says_so(self, folder: Path) -> None:
        bench = Bench(folder, release)
        run = bench.run(params=PARAMS)
        with pytest.raises(ParamError, match="no answer of people"):
            bench.answer(run, step="build", roles=("operator",))
        assert bench.answer(run, step="nothing").state == "unknown"
        bench.answer(run, roles=("operator",))
        assert bench.answer(run, roles=("operator",)).state == "closed"
        assert bench.ask(AnswerGate("no such run", "go", "ana", "approve")).state == "unknown"

    def test_people_are_reminded_until_they_answer(self, folder: Path) -> None:
        bench = Bench(folder, release)
        run = bench.run(params=PARAMS)
        bench.pass_by(3600.0)
        bench.pass_by(3600.0)
        reminded = [f for f in bench.recorder.facts if isinstance(f, GateReminded)]
        assert [(f.count, f.text, f.by) for f in reminded] == [
            (1, "deploy 1.4?", ("role:operator",)),
            (2, "deploy 1.4?", ("role:operator",)),
        ]
        bench.answer(run, roles=("operator",))
        bench.pass_by(7200.0)
        assert len([f for f in bench.recorder.facts if isinstance(f, GateReminded)]) == 2

    def test_its_deadline_passes_by_the_clock(self, folder: Path) -> None:
        bench = Bench(folder, release)
        run = bench.run(params=PARAMS)
        bench.pass_by(86400.0)
        assert run.machine.state == "failed"
        row = bench.store.gates(run.id)[0]
        assert (row.how, row.accepted, row.comment) == ("deadline", False, "nobody answered within 1 d")

    def test_votes_are_rows_and_count_by_person(self, folder: Path) -> None:
        @pt.pipeline
        def two() -> None:
            pt.approval("both?", quorum=2, four_eyes=True, name="go")

        bench = Bench(folder, two)
        run = bench.run()
        with pytest.raises(NotAllowed, match="four_eyes"):
            bench.answer(run, by="starter")
        assert bench.answer(run, comment="ok").text == "1 more answer is needed"
        assert [(v.by, v.choice, v.comment) for v in bench.store.votes(run.id)] == [("ana", "approve", "ok")]
        found = approval(bench.store, run.id, "go")
        assert found is not None
        assert (found.missing, found.may_not("starter", ())) != (0, "")
        assert bench.answer(run, by="bo").state == "answered"

    def test_a_cancelled_run_leaves_nothing_that_waits(self, folder: Path) -> None:
        bench = Bench(folder, release)
        run = bench.run(params=PARAMS)
        bench.engine.cancel(run.id, by="ana")
        bench.settle()
        assert (run.machine.state, waiting(bench.store), list(bench.store.audit())) == ("cancelled", [], [])

    def test_lists_have_pages(self, folder: Path) -> None:
        bench = Bench(folder, release)
        for _ in range(5):
            bench.run(params=PARAMS)
            bench.clock.advance(1.0)
        seen: list[str] = []
        after = None
        while page := open_gates(bench.store, after=after, limit=2):
            seen += [row.run for row in page]
            after = page[-1].cursor
        assert seen == ["r1", "r2", "r3", "r4", "r5"]


class TestTheNextEngine:
    def test_takes_up_open_gates_with_votes_reminders_and_deadlines(self, folder: Path) -> None:
        bench = Bench(folder, release)
        run = bench.run(params=PARAMS)
        again = bench.next_engine(folder)
        assert not again.engine._open
        again.pass_by(3600.0)
        assert [f.count for f in again.recorder.facts if isinstance(f, GateReminded)] == [1]
        assert again.ask(AnswerGate(run.id, "go", "ana", "approve", roles=("operator",))).state == "answered"
        assert list(again.store.audit()) == []

    def test_a_deadline_that_passed_while_nobody_was_there(self, folder: Path) -> None:
        bench = Bench(folder, release)
        run = bench.run(params=PARAMS)
        bench.clock.advance(86400.0)
        again = bench.next_engine(folder)
        row = again.store.run(run.id)
        assert row is not None
        assert row.state == "failed"

    def test_a_condition_is_looked_at_again(self, folder: Path) -> None:
        bench = Bench(folder, arrival)
        run = bench.run(params={"path": plain.pack(str(folder / "in.csv"))})
        again = bench.next_engine(folder)
        (folder / "in.csv").write_text("x")
        again.pass_by(30.0)
        assert [g.how for g in again.store.gates(run.id)] == ["report"]


class TestExternal:
    def token(self, run: ActiveRun) -> str:
        value = run.machine.plan.nodes["start_job"].instances[()].value
        assert value is not None
        assert value.data is not None
        return str(plain.unpack(value.data))

    def test_the_token_is_handed_out_and_answers(self, folder: Path) -> None:
        bench = Bench(folder, job)
        run = bench.run()
        token = self.token(run)
        assert token == GateTokens(KEY).token(run.id, "cb", "")
        reply = bench.ask(
            ReportExternal(token, value=plain.pack({"rows": 3}), metadata=(Meta("n", "number", b"\x03"),))
        )
        assert (reply.state, reply.run, reply.step) == ("answered", run.id, "cb")
        row = bench.store.gates(run.id)[0]
        assert (row.how, row.metadata) == ("report", (Meta("n", "number", b"\x03"),))
        assert run.machine.state == "succeeded"

    def test_only_its_digest_is_stored(self, folder: Path) -> None:
        bench = Bench(folder, job)
        run = bench.run()
        token = self.token(run)
        rows = bench.store._fetch("gate_of_token", (digest(token),))
        assert rows == [(run.id, "cb", "")]
        dump = b"".join(
            repr(row).encode()
            for (table,) in bench.store._db.fetch("SELECT name FROM sqlite_master WHERE type = 'table'")
            if table != "steps" and table != "journal"  # the step returned it on purpose
            for row in bench.store._db.fetch(f"SELECT * FROM {table}")
        )
        assert token.encode() not in dump

    @pytest.mark.parametrize("wrong", ["", "ptg_", "ptg_x.y", "ptg_k6JyMaJjYqA.AAAA", "x" * 10_000, "\ud800"])
    def test_no_other_token_does_anything(self, folder: Path, wrong: str) -> None:
        bench = Bench(folder, job)
        run = bench.run()
        assert bench.ask(ReportExternal(wrong)).state == "unknown"
        assert bench.ask(HeartbeatExternal(wrong)).state == "unknown"
        assert run.machine.state == "running"

    def test_a_token_of_another_key_is_unknown(self, folder: Path) -> None:
        bench = Bench(folder, job)
        run = bench.run()
        forged = GateTokens(b"x" * 32).token(run.id, "cb", "")
        assert bench.ask(ReportExternal(forged)).state == "unknown"

    def test_what_is_stored_still_counts_when_the_key_was_lost(self, folder: Path) -> None:
        bench = Bench(folder, job)
        run = bench.run()
        token = self.token(run)
        bench.gates._tokens = GateTokens(b"x" * 32)
        assert bench.ask(ReportExternal(token)).state == "answered"

    def test_twice_is_told_and_changes_nothing(self, folder: Path) -> None:
        bench = Bench(folder, job)
        token = self.token(bench.run())
        bench.ask(ReportExternal(token, value=plain.pack(1)))
        assert bench.ask(ReportExternal(token, "failed")).state == "closed"

    def test_a_missed_heartbeat_fails_with_its_cause(self, folder: Path) -> None:
        bench = Bench(folder, job)
        run = bench.run()
        bench.pass_by(300.0)
        assert bench.ask(HeartbeatExternal(self.token(run), "half")).state == "open"
        bench.pass_by(599.0)
        assert run.machine.state == "running"
        bench.pass_by(1.0)
        instance = run.machine.instance("cb")
        assert instance is not None
        assert "saying 'half'" in instance.reason

    def test_many_heartbeats_are_few_rows(self, folder: Path) -> None:
        bench = Bench(folder, job)
        run = bench.run()
        for _ in range(100):
            bench.clock.advance(1.0)
            bench.ask(HeartbeatExternal(self.token(run), "on it"))
        heard = [e for row in bench.store.journal(run.id) for e in row.events if isinstance(e, GateHeard)]
        assert len(heard) == 1

    def test_a_value_that_is_too_large_is_refused(self, folder: Path) -> None:
        bench = Bench(folder, job)
        token = self.token(bench.run())
        with pytest.raises(ParamError, match="bytes, more than"):
            bench.ask(ReportExternal(token, value=plain.pack("x" * (1 << 21))))

    def test_the_key_is_made_once_and_for_its_owner_alone(self, folder: Path) -> None:
        path = folder / "gates.key"
        first = GateTokens.of_file(path).token("r", "s", "")
        assert GateTokens.of_file(path).token("r", "s", "") == first
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pt.pipeline
def arrival(path: str) -> None:
    deploy(pt.wait_for(pt.until.file(path), poke="30s", timeout="1h", name="there"))


class TestConditions:
    def test_a_file_is_looked_for_every_poke(self, folder: Path) -> None:
        bench = Bench(folder, arrival)
        run = bench.run(params={"path": plain.pack(str(folder / "in.csv"))})
        bench.pass_by(30.0)
        assert bench.gates.conditions.reason((run.id, "there", "")).startswith("0 of 1 files")
        (folder / "in.csv").write_text("x")
        bench.pass_by(15.0)
        assert run.machine.state == "running"
        bench.pass_by(15.0)
        assert run.machine.state == "succeeded"
        assert len(bench.gates.conditions) == 0

    def test_its_deadline_fails_it_in_words(self, folder: Path) -> None:
        bench = Bench(folder, arrival)
        run = bench.run(params={"path": plain.pack(str(folder / "in.csv"))})
        bench.pass_by(3600.0)
        instance = run.machine.instance("there")
        assert instance is not None
        assert instance.reason == "waited 1 h for files (the parameter `path`)"

    def test_a_function_of_the_project_is_called_with_its_arguments(self, folder: Path) -> None:
        seen: list[int] = []

        def enough(wanted: int) -> Any:
            seen.append(wanted)
            return len(seen) >= 3 and {"looks": len(seen)}

        @pt.pipeline
        def patient() -> None:
            deploy(pt.wait_for(enough, wanted=7, poke="10s"))

        bench = Bench(folder, patient)
        run = bench.run()
        for _ in range(2):
            bench.pass_by(10.0)
        assert (run.machine.state, seen) == ("succeeded", [7, 7, 7])
        value = run.machine.plan.nodes["deploy"].instances[()].value
        assert value is not None
        assert value.data is not None
        assert plain.unpack(value.data) == {"looks": 3}

    def test_one_that_fails_again_and_again_fails_its_step(self, folder: Path) -> None:
        def broken() -> bool:
            raise RuntimeError("no such table")

        @pt.pipeline
        def hopeless() -> None:
            pt.wait_for(broken, poke="1s", name="look")

        bench = Bench(folder, hopeless)
        run = bench.run()
        for _ in range(4):
            bench.pass_by(1.0)
        instance = run.machine.instance("look")
        assert instance is not None
        assert "5 looks in a row failed" in instance.reason
        assert "no such table" in instance.reason

    def test_the_end_of_another_pipelines_run_is_seen_at_once(self, folder: Path) -> None:
        @pt.pipeline
        def upstream() -> None:
            build()

        @pt.pipeline
        def downstream() -> None:
            deploy(pt.wait_for(pt.until.run(upstream), name="up"))

        bench = Bench(folder, upstream, downstream)
        run = bench.run("downstream")
        assert run.machine.state == "running"
        bench.run("upstream")
        assert run.machine.state == "succeeded"

    def test_a_run_of_long_ago_does_not_count_without_a_partition(self, folder: Path) -> None:
        @pt.pipeline
        def upstream() -> None:
            build()

        @pt.pipeline
        def downstream() -> None:
            pt.wait_for(pt.until.run(upstream, within="1h"), name="up")

        bench = Bench(folder, upstream, downstream)
        bench.run("upstream")
        bench.pass_by(3601.0)
        run = bench.run("downstream")
        assert run.machine.state == "running"
        bench.run("upstream")
        assert run.machine.state == "succeeded"

    def test_a_paused_run_is_not_looked_at(self, folder: Path) -> None:
        bench = Bench(folder, arrival)
        run = bench.run(params={"path": plain.pack(str(folder / "in.csv"))})
        bench.engine.pause(run.id, by="ana")
        (folder / "in.csv").write_text("x")
        bench.pass_by(60.0)
        assert run.machine.gates
        bench.engine.resume(run.id, by="ana")
        bench.pass_by(60.0)
        assert run.machine.state == "succeeded"


class TestMany:
    def test_ten_thousand_that_wait_hold_no_slot_and_are_woken_by_one_timer(self, folder: Path) -> None:
        @pt.group
        def one(n: int) -> Any:
            return pt.sleep("1h")

        @pt.pipeline
        def crowd() -> None:
            one.map(list(range(10_000)))

        bench = Bench(folder, crowd)
        run = bench.run()
        assert (len(run.machine.gates), len(bench.engine._open), len(bench.engine._timers)) == (10_000, 0, 1)
        turns = 0
        while bench.engine.turn(0.0):
            turns += 1
        assert turns == 0
        bench.pass_by(3600.0)
        assert run.machine.state == "succeeded"


def test_everything_that_was_said_is_in_the_journal(folder: Path) -> None:
    bench = Bench(folder, release)
    run = bench.run(params=PARAMS)
    bench.answer(run, roles=("operator",), comment="ok")
    events = [e for row in bench.store.journal(run.id) for e in row.events]
    votes = [e for e in events if isinstance(e, GateVoted)]
    answers = [e for e in events if isinstance(e, GateAnswered)]
    assert [(v.by, v.choice, v.roles, v.comment) for v in votes] == [("ana", "approve", ("operator",), "ok")]
    assert [(a.how, a.by, a.choice) for a in answers] == [("people", ("ana",), "approve")]
    assert gate(bench.store, run.id, "go") is not None
