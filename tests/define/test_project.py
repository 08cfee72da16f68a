"""Loading a project: everything that is right is there, everything that is wrong is said."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from partita.core import manifest as core_manifest
from partita.define.project import load
from partita.errors import LoadError

from .building import machine_accepts, messages, project_of

FLOW = """
import partita as pt

@pt.task
def work(x: int) -> int:
    return x

@pt.pipeline(owner="ops", tags=["t"], max_runs=2, timeout="1h", fail_fast=True)
def flow(n: int = 3):
    '''What it does.'''
    work(n)
"""


def test_a_folder_with_a_pipelines_file_is_a_project(tmp_path: Path) -> None:
    project = project_of(tmp_path, FLOW)
    spec = project.manifest.pipelines[0]

    assert not project.manifest.problems
    assert (spec.name, spec.owner, spec.tags, spec.description) == ("flow", "ops", ("t",), "What it does.")
    assert (spec.max_runs, spec.timeout_s, spec.fail_fast) == (2, 3600.0, True)
    assert spec.written_at == "pipelines.py:7"
    assert spec.graph.step("work").written_at == "pipelines.py:3"
    assert project.calls["pipelines:work"].function(x=3) == 3
    assert set(project.pipelines) == {"flow"}
    machine_accepts(spec.graph)


def test_the_manifest_is_plain_data(tmp_path: Path) -> None:
    made = project_of(tmp_path, FLOW).manifest

    assert core_manifest.decode(core_manifest.encode(made)) == made
    assert made.python.startswith("3.")
    assert made.threads >= 1
    assert len(made.code) == 16


def test_settings_come_from_pyproject(tmp_path: Path) -> None:
    project = project_of(
        tmp_path,
        FLOW,
        **{
            "pyproject.toml": """
            [tool.partita]
            name = "shop"
            modules = ["jobs.daily", "pipelines"]
            pools = { db = 4 }
            secrets = ["TOKEN"]
            """,
            "jobs/__init__": "",
            "jobs/daily": "from .common import part\nimport partita as pt\n@pt.pipeline\ndef daily(): part(1)\n",
            "jobs/common": "import partita as pt\n@pt.task\ndef part(x): return x\n",
        },
    )

    assert messages(project) == []
    assert project.manifest.project == "shop"
    assert [p.name for p in project.manifest.pipelines] == ["daily", "flow"]
    assert (project.manifest.pools, project.manifest.secrets) == ((("db", 4),), ("TOKEN",))
    assert "jobs.common:part" in project.calls


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[tool.partita]\npools = {db = 0}", "1 slot or more"),
        ("[tool.partita]\nmodules = 'x'", "must be a list"),
        ("[tool.partita]\nname = 'a b'", "no name may have"),
        ("[tool.partita]\nvalues = 'ftp://x'", "must be an address"),
        ("[tool.partita]\ninclude = 'seeds'", "must be a list"),
        ("[tool.partita", "cannot be read"),
    ],
)
def test_settings_that_are_wrong_are_said(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "pipelines.py").write_text(FLOW)
    (tmp_path / "pyproject.toml").write_text(text)

    with pytest.raises(LoadError, match=says):
        load(tmp_path)


def test_a_folder_without_pipelines_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"it has no pipelines\.py"):
        load(tmp_path)


def test_all_problems_are_said_at_once_and_the_rest_is_there(tmp_path: Path) -> None:
    project = project_of(
        tmp_path,
        """
        import partita as pt

        @pt.task(retires=3)
        def a(x): ...

        @pt.task
        def b(x): ...

        @pt.asset(partitions=pt.daily(start="soon"))
        def days(): ...

        @pt.asset
        def after(days): ...

        @pt.asset
        def alone(): ...

        @pt.pipeline(schedule=pt.cron("3 times"))
        def first(): b(1)

        @pt.pipeline
        def second(): a(1)

        @pt.pipeline
        def third(): b(); b(y=1)

        @pt.pipeline
        def good(): b(1)

        @pt.pipeline(name="good")
        def twice(): b(1)

        @pt.pipeline(shedule="x")
        def fifth(): b(1)

        lost = pt.pipeline("lost", assets="nowhere")
        """,
    )

    assert messages(project) == [
        "task `a` has no option `retires`",
        "pt.daily: 'soon' is no daily partition: it is no date",
        "cron: '3 times' has 2 fields instead of five",
        "pipeline `fifth` has no option `shedule`",
        "`b` is called wrongly: missing a required argument: 'x'",
        "`b` is called wrongly: it has no parameter `y`",
        "pipeline `good` is defined twice: at pipelines.py:27 and at pipelines.py:30",
        "pipeline `lost`: there is no step or asset `nowhere`",
    ]
    assert all(p.file == "pipelines.py" and p.line for p in project.manifest.problems)
    # What only follows from another problem is left out without a problem of its own.
    assert [p.name for p in project.manifest.pipelines] == ["good"]
    assert [a.name for a in project.manifest.assets] == ["alone"]


def test_a_module_that_raises_is_a_problem_with_its_line_and_the_others_are_loaded(tmp_path: Path) -> None:
    project = project_of(
        tmp_path,
        FLOW,
        bad="import helper\n",
        helper="def f():\n    raise ValueError('no')\nf()\n",
        syntax="def f(:\n",
        leaves="import sys; sys.exit(3)\n",
        missing="import no_such_module_anywhere\n",
        **{"pyproject.toml": '[tool.partita]\nmodules = ["bad", "syntax", "leaves", "missing", "gone", "pipelines"]'},
    )
    bad, syntax, leaves, missing, gone = project.manifest.problems

    assert (bad.message, bad.file, bad.line) == ("importing module `bad` raised ValueError: no", "helper.py", 2)
    assert bad.traceback.splitlines()[-1] == "ValueError: no"
    assert "importlib" not in bad.traceback
    assert (syntax.file, syntax.line) == ("syntax.py", 1)
    assert leaves.message == "importing module `leaves` raised SystemExit: 3"
    assert missing.hint == "install `no_such_module_anywhere` in the project's environment"
    assert gone.hint.startswith("there is no module `gone` in")
    assert [p.name for p in project.manifest.pipelines] == ["flow"]


def test_errors_with_words_that_cannot_be_encoded_are_problems_all_the_same(tmp_path: Path) -> None:
    project = project_of(
        tmp_path,
        r"""
        import partita as pt

        class Rude(Exception):
            def __str__(self): raise RuntimeError("no")

        @pt.task
        def work(x): "A\ud800 doc."

        @pt.pipeline(description="B\ud800")
        def fine(): work(1)

        @pt.pipeline
        def rude(): raise Rude

        @pt.pipeline
        def odd(): raise ValueError("c\ud800")
        """,
    )

    assert messages(project) == [
        "pipeline `rude` raised Rude: <its __str__ raised>",
        "pipeline `odd` raised ValueError: c\\ud800",
    ]
    made = project.manifest
    assert core_manifest.decode(core_manifest.encode(made)) == made
    assert made.pipelines[0].description == "B\\ud800"


def test_two_projects_with_the_same_module_names_do_not_mix(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = project_of(tmp_path / "a", FLOW, helper="X = 1\n")
    second = project_of(tmp_path / "b", "import helper\n" + FLOW.replace("flow", "other"), helper="X = 2\n")

    assert [p.name for p in first.manifest.pipelines] == ["flow"]
    assert [p.name for p in second.manifest.pipelines] == ["other"]
    assert sys.modules["helper"].X == 2


def test_a_project_loaded_again_sees_what_changed(tmp_path: Path) -> None:
    first = project_of(tmp_path, FLOW)
    same = load(tmp_path)
    changed = project_of(tmp_path, FLOW.replace("return x", "return x + 1"))

    assert first.manifest.pipelines == same.manifest.pipelines
    assert first.manifest.code == same.manifest.code != changed.manifest.code
    assert changed.calls["pipelines:work"].function(x=1) == 2
    assert first.manifest.pipelines[0].graph != changed.manifest.pipelines[0].graph


def test_assets_checks_and_bundles_of_all_modules_are_one_graph(tmp_path: Path) -> None:
    project = project_of(
        tmp_path,
        """
        import partita as pt
        import raw

        @pt.asset
        def mart(orders): ...

        nightly = pt.pipeline("nightly", assets="orders+")
        """,
        raw="""
        import partita as pt

        def make(names):
            for name in names:
                @pt.asset(name=name, group="raw")
                def one(): return name
                @pt.check(one, name="ok", blocking=True)
                def ok(value): return True

        make(["orders", "lines"])
        """,
    )
    graph = project.manifest.assets_graph

    assert messages(project) == []
    assert graph is not None
    machine_accepts(graph)
    assert {s.key for s in graph.steps} == {"orders", "orders:ok", "lines", "lines:ok", "mart"}
    assert graph.step("mart").needs == ("orders", "orders:ok")
    # Functions of a factory have the same name each time; their calls have not.
    assert project.calls[graph.step("orders").call] != project.calls[graph.step("lines").call]
    assert project.calls[graph.step("lines").call].name == "raw:make.<locals>.one~assets.lines"
    assert {s.key for s in project.manifest.pipelines[0].graph.steps} == {"orders", "orders:ok", "mart"}


def test_definitions_that_no_module_holds_are_found(tmp_path: Path) -> None:
    project = project_of(
        tmp_path,
        """
        import partita as pt

        def declare():
            pt.external_asset("outside")
            make()
            pt.bundle("models", build, [pt.out("m")])
            pt.pipeline("all", assets="*")

        def make():
            @pt.multi_asset(outs=["a", "b"], deps=["outside"])
            def both(): return {}

        def build(ctx, members): ...

        declare()
        """,
    )

    assert messages(project) == []
    assert {a.name for a in project.manifest.assets} == {"outside", "a", "b", "m"}
    assert [p.name for p in project.manifest.pipelines] == ["all"]


def test_definitions_taken_from_an_installed_package_belong_to_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed, folder = tmp_path / "lib", tmp_path / "project"
    installed.mkdir()
    folder.mkdir()
    (installed / "shared_assets_of_test.py").write_text("import partita as pt\n@pt.asset\ndef common(): ...\n")
    monkeypatch.syspath_prepend(str(installed))
    importlib.import_module("shared_assets_of_test")  # it was imported before, so nothing of it is declared now

    text = "import partita as pt\nfrom shared_assets_of_test import common\n@pt.asset\ndef own(common): ...\n"
    project = project_of(folder, text)

    assert messages(project) == []
    assert {a.name for a in project.manifest.assets} == {"common", "own"}


def test_files_that_are_no_code_of_the_project_do_not_change_its_hash(tmp_path: Path) -> None:
    before = project_of(tmp_path, FLOW).manifest.code
    for name in (
        ".partita/x.py",
        "venv/pyvenv.cfg",
        "venv/lib/y.py",
        "node_modules/z.py",
        "data.csv",
        "__pycache__/w.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")

    assert load(tmp_path).manifest.code == before
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "more.py").write_text("1")
    assert load(tmp_path).manifest.code != before
