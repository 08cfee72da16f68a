"""dbt's nodes as members of a bundle: what they are, what of them is built again, how what dbt says is passed on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import partita as pt
from partita.core.graph import Graph, Step
from partita.core.plain import unpack
from partita.define.asset_graph import Universe
from partita.define.calls import Calls
from partita.define.context import MemoryBackend
from partita.define.recording import recording
from partita.integrations.dbt import DbtNodeFinished, DbtNodeLine, DbtNodeStarted, DbtProject, dbt_assets, read_nodes
from partita.integrations.dbt.assets import _Build, _Told, line_of, message_of
from partita.integrations.dbt.built import Built, Entry, versions_of


@dataclass
class Heard(MemoryBackend):
    """Keeps what is said of members by name."""

    ended: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)

    def member_began(self, member: str, at: float) -> None:
        self.lines.append((member, f"began at {at:g}"))

    def member_log(self, member: str, text: str) -> None:
        self.lines.append((member, text))

    def member_ended(self, member: str, *facts: Any) -> None:
        names = ("state", "began_at", "ended_at", "value", "assets", "checks", "failure", "cached_from")
        self.ended[member] = dict(zip(names, facts, strict=False))


def graph_of(project: DbtProject, **options: Any) -> tuple[Graph, dict[str, Any]]:
    with recording() as found:
        dbt_assets(project, **options)
    universe = Universe.of(found.declared, Calls())
    assert universe.problems == ()
    return universe.graph, {spec.name: spec for spec in universe.specs}


def step(graph: Graph, key: str) -> Step:
    return graph.step(key)


# --- what is declared ---------------------------------------------------------------------------------------------


def test_models_and_seeds_are_assets_and_tests_are_checks_of_one_bundle(project: DbtProject) -> None:
    graph, specs = graph_of(project)
    assert {s.key: s.bundle for s in graph.steps} == {
        "dbt": None,
        **dict.fromkeys(["rates", "staged", "daily", "weekly"], "dbt"),
        **dict.fromkeys(["staged:orders_once", "daily:few_late", "weekly:weeks_add_up"], "dbt"),
    }
    assert specs["orders"].external
    assert specs["daily"].deps == ("staged", "rates")


def test_a_model_has_its_owner_group_tags_columns_kind_file_and_version(project: DbtProject) -> None:
    graph, specs = graph_of(project)
    staged = step(graph, "staged")
    assert (staged.owner, staged.group, staged.tags, staged.description) == (
        "sales",
        ("raw",),
        ("staging",),
        "About staged.",
    )
    assert (specs["staged"].kinds, specs["daily"].columns) == (("dbt", "model", "table"), (("day", "date"),))
    assert staged.written_at == "staged.sql:1"
    assert staged.code_version == next(n.fingerprint for n in read_nodes(project) if n.name == "staged")


def test_what_builds_on_a_model_waits_for_the_tests_on_it_that_block(project: DbtProject) -> None:
    graph, _ = graph_of(project)
    assert set(step(graph, "daily").needs) == {"staged", "rates", "staged:orders_once"}
    assert set(step(graph, "weekly").needs) == {"daily"}
    checks = {s.key: s.check.blocking for s in graph.steps if s.check is not None}
    assert checks == {"staged:orders_once": True, "daily:few_late": False, "weekly:weeks_add_up": True}


def test_a_test_of_two_models_does_not_hold_up_what_it_reads_itself(project: DbtProject) -> None:
    graph, _ = graph_of(project)
    assert set(step(graph, "weekly:weeks_add_up").needs) == {"weekly", "daily"}
    assert "weekly:weeks_add_up" not in step(graph, "weekly").needs


def test_sources_may_be_assets_that_the_project_makes_itself(project: DbtProject) -> None:
    with recording() as found:

        @pt.asset(name="landed")
        def land() -> None: ...

        dbt_assets(project, declare_sources=False, name_of=lambda n: "landed" if n.kind == "source" else f"t_{n.name}")
    universe = Universe.of(found.declared, Calls())
    assert universe.problems == ()
    assert "landed" in universe.graph.step("t_staged").needs


def test_a_project_that_dbt_cannot_read_is_a_definition_error(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: [broken\n")
    with pytest.raises(pt.DefinitionError, match="the dbt project of `dbt` cannot be read") as raised:
        dbt_assets(DbtProject(str(tmp_path), target_path=str(tmp_path / "target")))
    assert "dbt parse" in (raised.value.hint or "")


# --- what is built again --------------------------------------------------------------------------------------------


def versions(project: DbtProject, *wanted: str, source: str = "1") -> dict[str, str]:
    nodes = {n.unique_id: n for n in read_nodes(project)}
    found = versions_of(wanted, nodes, Built(project, None), lambda node: source)
    return {unique_id.rpartition(".")[2]: version for unique_id, version in found.items()}


ALL = ("seed.shop.rates", "model.shop.staged", "model.shop.daily", "model.shop.weekly", "test.shop.orders_once")


def test_another_version_of_a_source_makes_all_that_stands_on_it_another(project: DbtProject) -> None:
    before, after = versions(project, *ALL), versions(project, *ALL, source="2")
    assert {name for name in before if before[name] != after[name]} == {"staged", "daily", "weekly", "orders_once"}
    assert versions(project, *ALL) == before


def test_a_variable_of_the_project_makes_everything_another(project: DbtProject) -> None:
    import msgspec

    changed = msgspec.structs.replace(project, environment={"SCHEMA": "other"})
    nodes = {n.unique_id: n for n in read_nodes(project)}
    one = versions_of(ALL, nodes, Built(project, None), lambda node: "1")
    other = versions_of(ALL, nodes, Built(changed, None), lambda node: "1")
    assert not {name for name in ALL if one[name] == other[name]}


def test_what_is_not_built_in_this_run_counts_in_the_version_that_lies_there(project: DbtProject) -> None:
    nodes = {n.unique_id: n for n in read_nodes(project)}
    built = Built(project, None)
    alone = versions_of(["model.shop.daily"], nodes, built, lambda node: "1")
    built.entries["model.shop.staged"] = Entry("v1", "r/staged//1")
    assert versions_of(["model.shop.daily"], nodes, built, lambda node: "1") != alone


def test_what_was_built_is_remembered_and_what_is_about_to_be_built_is_forgotten_at_once(project: DbtProject) -> None:
    built = Built(project, None)
    built.entries["a"], built.entries["b"] = Entry("1", "x"), Entry("2", "y")
    built.save()
    assert Built(project, None).is_current("a", "1")
    assert not Built(project, None).is_current("a", "2")
    Built(project, None).forget(["a"])
    assert Built(project, None).entries.keys() == {"b"}


def test_nothing_is_known_of_a_warehouse_that_somebody_else_has_written(project: DbtProject, tmp_path: Path) -> None:
    warehouse = tmp_path / "shop.duckdb"
    warehouse.write_bytes(b"tables")
    built = Built(project, warehouse)
    built.entries["a"] = Entry("1", "x")
    built.save()
    assert Built(project, warehouse).is_current("a", "1")
    warehouse.write_bytes(b"other tables")
    assert Built(project, warehouse).entries == {}
    warehouse.unlink()
    assert Built(project, warehouse).entries == {}


def test_a_memory_that_cannot_be_read_is_empty(project: DbtProject) -> None:
    (project.target_folder / "partita_built.msgpack").write_bytes(b"\xffnonsense")
    assert Built(project, None).entries == {}


def test_unchanged_members_are_told_from_the_cache_and_dbt_is_not_started(project: DbtProject) -> None:
    build, backend, ctx = built_before(project)
    build(ctx, ["staged", "daily:few_late"])
    staged, few_late = backend.ended["staged"], backend.ended["daily:few_late"]
    assert (staged["state"], staged["cached_from"]) == ("succeeded", "run-1/x//1")
    assert staged["value"]["relation"] == '"shop"."main"."staged"'
    (report,) = few_late["checks"]
    assert (report.passed, report.severity, report.message) == (False, "warn", "it found 3 rows")
    assert build.runner._manifest is None


def built_before(project: DbtProject) -> tuple[_Build, Heard, pt.Context]:
    nodes = {n.unique_id: n for n in read_nodes(project)}
    build = _Build(project, nodes, lambda node: node.name, lambda asset, ctx: "1", None)
    backend = Heard()
    built = Built(project, None)
    wanted = ["model.shop.staged", "test.shop.few_late"]
    for unique_id, version in versions_of(wanted, nodes, built, lambda node: "1").items():
        is_test = unique_id.startswith("test")
        built.entries[unique_id] = Entry(
            version, "run-1/x//1", 3 if is_test else None, "it found 3 rows" if is_test else ""
        )
    built.save()
    return build, backend, pt.Context(run_id="run-2", step="dbt", backend=backend)


def test_without_a_word_about_sources_everything_on_them_is_built_each_time(project: DbtProject) -> None:
    nodes = {n.unique_id: n for n in read_nodes(project)}
    build = _Build(project, nodes, lambda node: node.name, None, None)
    first, second = pt.Context(run_id="run-1"), pt.Context(run_id="run-2")
    source = nodes["source.shop.orders"]
    assert build._source_version(source, first) != build._source_version(source, second)


# --- what dbt says --------------------------------------------------------------------------------------------------


def finished(unique_id: str, state: str = "succeeded", status: str = "success", **more: Any) -> DbtNodeFinished:
    facts: dict[str, Any] = {
        "unique_id": unique_id, "kind": unique_id.partition(".")[0], "state": state, "dbt_status": status,
        "started_at": 10.0, "finished_at": 12.0, "execution_s": 2.0, "message": "OK", "rows": None, "failures": None,
        "adapter_response": {}, "compiled_path": None, "relation": "r", "depends_on": (), "blocked_by": (),
    }  # fmt: skip
    return DbtNodeFinished(**{**facts, **more})


Told = tuple[_Told, Heard, Built]


@pytest.fixture
def told(project: DbtProject) -> Told:
    nodes = {n.unique_id: n for n in read_nodes(project)}
    build = _Build(project, nodes, lambda node: node.name, None, None)
    backend, built = Heard(), Built(project, None)
    ctx = pt.Context(run_id="run-1", step="dbt", backend=backend)
    return _Told(build, ctx, built, dict.fromkeys(nodes, "v"), 7), backend, built


def test_a_model_begins_logs_and_ends_with_its_metadata(told: Told) -> None:
    hear, heard, built = told
    hear(DbtNodeStarted("model.shop.staged", "model", 10.0))
    hear(DbtNodeLine("model.shop.staged", "info", "1 of 4 START", 10.0))
    hear(finished("model.shop.staged", rows=5, compiled_path="/x/staged.sql", adapter_response={"code": "OK"}))
    assert heard.lines == [("staged", "began at 10"), ("staged", "1 of 4 START")]
    ended = heard.ended["staged"]
    assert (ended["state"], ended["began_at"], ended["ended_at"], ended["failure"]) == ("succeeded", 10.0, 12.0, None)
    assert ended["value"] == {"relation": '"shop"."main"."staged"', "version": "v"}
    (report,) = ended["assets"]
    assert {m.name: unpack(m.data) for m in report.metadata} == {
        "execution_s": 2.0,
        "relation": "r",
        "rows": 5,
        "adapter_response": {"code": "OK"},
        "compiled_sql": "/x/staged.sql",
    }
    assert built.entries["model.shop.staged"] == Entry("v", "run-1/staged//1")


def test_a_test_that_fails_is_a_failed_check_with_its_rows_and_is_not_remembered(told: Told) -> None:
    hear, heard, built = told
    hear(finished("test.shop.orders_once", "failed", "fail", failures=3))
    (report,) = heard.ended["staged:orders_once"]["checks"]
    assert (report.asset, report.check, report.passed, report.severity) == ("staged", "orders_once", False, "error")
    assert report.message == "it found 3 rows that should not be there"
    assert built.entries == {}


def test_a_test_that_warns_is_remembered_with_its_warning(told: Told) -> None:
    hear, heard, built = told
    hear(finished("test.shop.few_late", "warned", "warn", failures=1))
    assert heard.ended["daily:few_late"]["checks"][0].severity == "warn"
    assert built.entries["test.shop.few_late"].message == "it found 1 row that should not be there"


def test_a_model_that_fails_says_what_the_warehouse_said(told: Told) -> None:
    hear, heard, built = told
    message = "Runtime Error in model daily (models/daily.sql)\n  Binder Error: no column x\n  LINE 1: select x"
    hear(finished("model.shop.daily", "failed", "error", message=message))
    assert heard.ended["daily"]["state"] == "failed"
    assert heard.ended["daily"]["failure"].message == "Binder Error: no column x\nLINE 1: select x"
    assert built.entries == {}


def test_what_dbt_leaves_out_did_not_run_because_of_what_failed(told: Told) -> None:
    hear, heard, _ = told
    hear(finished("model.shop.daily", "skipped", "skipped", blocked_by=("test.shop.orders_once",)))
    assert heard.ended["daily"]["state"] == "upstream_failed"
    assert heard.ended["daily"]["failure"].message == "dbt left it out because staged:orders_once failed"


def test_what_dbt_says_after_a_node_has_ended_goes_nowhere(told: Told) -> None:
    hear, heard, _ = told
    hear(finished("model.shop.staged"))
    hear(DbtNodeLine("model.shop.staged", "error", "Failure in ...", 13.0))
    hear(DbtNodeLine("model.elsewhere.x", "info", "hello", 13.0))
    assert heard.lines == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("On model.shop.x: BEGIN", ""),
        ("On model.shop.x: COMMIT;", ""),
        (
            "On model.shop.x: \n\n    create table x as (\n\n      select 1\n    );\n",
            "create table x as (\n  select 1\n);",
        ),
        ("2 of 4 START sql table model x", "2 of 4 START sql table model x"),
    ],
)
def test_lines_of_the_log_are_without_what_is_known_already(text: str, line: str) -> None:
    assert line_of(DbtNodeLine("model.shop.x", "debug", text, 0.0)) == line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Runtime Error in model x (models/x.sql)\n  Parser Error: ...", "Parser Error: ..."),
        ("Compilation Error in test t (tests/t.sql)\n  'y' is undefined", "'y' is undefined"),
        ("something else\nin two lines", "something else\nin two lines"),
        ("", "dbt says nothing about it"),
    ],
)
def test_the_heading_of_an_error_is_left_out(text: str, message: str) -> None:
    assert message_of(text) == message
