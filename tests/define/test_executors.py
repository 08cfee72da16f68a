"""Which executor performs which step: the nearest word counts, and a wrong one is said with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import partita as pt
from partita.core.manifest import ExecutorSpec
from partita.define.executors import read_routing
from partita.define.project import Project
from partita.errors import LoadError
from partita.executors.clusters.made import checked

from .building import graph_of, messages, project_of

SETTINGS = """
[tool.partita.executors.lab]
kind = "slurm"
exchange = "file:///scratch/exchange"
start_timeout = "2h"
partition = "gpu"

[tool.partita.executors.cloud]
kind = "dask"
address = "tcp://scheduler:8786"
"""
FLOW = """
import partita as pt

@pt.task(executor="lab", executor_options={"partition": "long"})
def train(x: int = 1): ...

@pt.task
def load(x: int = 1): ...

@pt.task(memory="32GiB", tags=["heavy"])
def join(x: int = 1): ...

@pt.pipeline
def plain():
    train(), load(), join()

@pt.pipeline(executor="cloud", executor_options={"resources": {"io": 1}})
def sent():
    train(), load(), join()

@pt.pipeline(executor="local", tags=["quick"])
def kept():
    train(), load(), join()
"""


def loaded(folder: Path, pipelines: str = FLOW, *, top: str = "", rules: str = "") -> Project:
    settings = f"[tool.partita]\n{top}\n{rules}\n{SETTINGS}"
    (folder / "pyproject.toml").write_text(settings, encoding="utf-8")
    return project_of(folder, pipelines)


def where(project: Project, pipeline: str) -> dict[str, str]:
    """The executor of each step of a pipeline."""
    spec = next(p for p in project.manifest.pipelines if p.name == pipeline)
    return {step.key: step.policies.executor for step in spec.graph.steps}


def said(project: Project, pipeline: str, step: str) -> dict[str, object]:
    spec = next(p for p in project.manifest.pipelines if p.name == pipeline)
    options = spec.graph.step(step).policies.executor_options
    return dict(json.loads(options)) if options else {}


def test_the_task_comes_before_the_pipeline_the_rule_and_the_project(tmp_path: Path) -> None:
    rules = '[[tool.partita.executor_rules]]\nexecutor = "lab"\ntag = "heavy"'
    project = loaded(tmp_path, top='executor = "cloud"', rules=rules)

    assert not project.manifest.problems
    assert where(project, "plain") == {"train": "lab", "load": "cloud", "join": "lab"}
    assert where(project, "sent") == {"train": "lab", "load": "cloud", "join": "cloud"}
    # Local processes have no name in the policies: they are what there is without one.
    assert where(project, "kept") == {"train": "lab", "load": "", "join": ""}


def test_without_a_word_all_stays_here(tmp_path: Path) -> None:
    assert where(loaded(tmp_path), "plain") == {"train": "lab", "load": "", "join": ""}


def test_the_executors_are_in_the_manifest_with_the_engines_own_part_apart(tmp_path: Path) -> None:
    lab, cloud = loaded(tmp_path).manifest.executors

    assert lab == ExecutorSpec("lab", "slurm", '{"partition":"gpu"}', "file:///scratch/exchange", 7200.0)
    assert cloud == ExecutorSpec("cloud", "dask", '{"address":"tcp://scheduler:8786"}')


@pytest.mark.parametrize(
    ("rule", "goes"),
    [
        ('pipeline = "pl*"', {"load", "join"}),
        ('pipeline = ["kept", "sent"]', set()),
        ('task = ["j*", "nothing"]', {"join"}),
        ('memory_above = "16GiB"', {"join"}),
        ('memory_above = "32GiB"', set()),
        ("gpu_above = 0", set()),
        ('task = "*"\ntag = "heavy"', {"join"}),
    ],
)
def test_a_rule_speaks_of_the_steps_that_fit_it(tmp_path: Path, rule: str, goes: set[str]) -> None:
    project = loaded(tmp_path, rules=f'[[tool.partita.executor_rules]]\nexecutor = "cloud"\n{rule}')

    assert {step for step, executor in where(project, "plain").items() if executor == "cloud"} == goes


def test_the_first_rule_that_fits_counts_and_a_rule_can_keep_steps_here(tmp_path: Path) -> None:
    rules = """
[[tool.partita.executor_rules]]
executor = "local"
task = "load"
[[tool.partita.executor_rules]]
executor = "cloud"
task = ["load", "join"]
"""
    project = loaded(tmp_path, top='executor = "lab"', rules=rules)

    assert where(project, "plain") == {"train": "lab", "load": "", "join": "cloud"}


def test_options_are_laid_over_each_other_if_they_are_for_the_same_executor(tmp_path: Path) -> None:
    rules = """
[[tool.partita.executor_rules]]
executor = "lab"
options = { partition = "short", qos = "low" }
task = "*"
"""
    project = loaded(tmp_path, rules=rules)

    assert said(project, "plain", "train") == {"partition": "long", "qos": "low"}
    assert said(project, "plain", "load") == {"partition": "short", "qos": "low"}
    assert said(project, "sent", "load") == {"resources": {"io": 1}}
    # What the pipeline says is for another executor.
    assert "resources" not in said(project, "sent", "train")
    assert said(project, "kept", "load") == {}


def test_assets_go_where_a_rule_the_project_or_they_themselves_say(tmp_path: Path) -> None:
    pipelines = """
    import partita as pt

    @pt.asset(executor="lab")
    def raw() -> int: return 1

    @pt.asset
    def clean(raw: int) -> int: return raw

    @pt.multi_asset(outs=["a", "b"])
    def both(clean: int): return {"a": 1, "b": 2}

    nightly = pt.pipeline("nightly", assets="*", executor="local")
    """
    project = loaded(tmp_path, pipelines, top='executor = "cloud"')
    graph = project.manifest.assets_graph

    assert not project.manifest.problems
    assert graph is not None
    assert {step.key: step.policies.executor for step in graph.steps if step.kind == "asset"} == {
        "raw": "lab",
        "clean": "cloud",
    }
    # What makes several assets in one step stays here when only the project speaks.
    assert {step.policies.executor for step in graph.steps if step.kind in ("bundle", "member")} == {""}
    assert where(project, "nightly")["raw"] == "lab"
    assert where(project, "nightly")["clean"] == ""


def test_a_bundle_that_is_sent_away_itself_is_refused(tmp_path: Path) -> None:
    pipelines = """
    import partita as pt

    @pt.multi_asset(outs=["a", "b"], executor="lab")
    def both(): return {"a": 1, "b": 2}
    """
    problem = loaded(tmp_path, pipelines).manifest.problems[0]

    assert "`lab` cannot perform it: it makes several assets" in problem.message
    assert problem.line == 3


def test_an_unknown_name_is_said_once_where_it_was_written(tmp_path: Path) -> None:
    pipelines = """
    import partita as pt

    @pt.task(executor="lap")
    def train(): ...

    @pt.pipeline
    def one(): train()

    @pt.pipeline
    def two(): train()

    @pt.pipeline(executor="clout")
    def three(): train()
    """
    project = loaded(tmp_path, pipelines)
    first, second = project.manifest.problems

    assert (first.message, first.hint) == ("step `train`: there is no executor `lap`", "did you mean `lab`?")
    assert (first.file, first.line) == ("pipelines.py", 3)
    assert (second.message, second.line) == ("pipeline `three`: there is no executor `clout`", 12)
    assert not project.manifest.pipelines


def test_options_without_an_executor_are_a_mistake_and_with_local_ones_are_not(tmp_path: Path) -> None:
    pipelines = """
    import partita as pt

    @pt.task(executor_options={"image": "x"})
    def train(): ...

    @pt.pipeline
    def lost(): train()

    @pt.pipeline(executor="local")
    def tried_here(): train()
    """
    project = loaded(tmp_path, pipelines)

    assert messages(project) == ["step `train`: `executor_options` are for an executor, and none is named"]
    assert where(project, "tried_here") == {"train": ""}


def test_options_of_an_executor_are_plain_data() -> None:
    with pytest.raises(pt.DefinitionError, match=r"option `executor_options` of task `_train`: options are plain data"):
        pt.task(executor="lab", executor_options={"x": object()})(_train)
    with pytest.raises(pt.DefinitionError, match="is no table of options"):
        pt.task(executor="lab", executor_options=["x"])(_train)


def _train() -> None: ...


def test_defaults_of_a_pipeline_may_name_an_executor() -> None:
    task = pt.task(_train)

    def flow() -> None:
        task()

    graph = graph_of(flow, defaults={"executor": "lab"})

    assert graph.steps[0].policies.executor == "lab"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"executors": []}, "`executors` must be tables"),
        ({"executors": {"local": {"kind": "dask"}}}, "`local` is what this machine's own processes are called"),
        ({"executors": {"a b": {"kind": "dask"}}}, "executor: "),
        ({"executors": {"x": {}}}, "executor `x` must have a kind"),
        ({"executors": {"x": {"kind": "ray", "exchange": "/tmp"}}}, "`exchange` must be an address"),
        ({"executors": {"x": {"kind": "ray", "start_timeout": "soon"}}}, "executor `x`: start_timeout: "),
        ({"executors": {"x": {"kind": "ray", "start_timeout": 0}}}, "start_timeout must be more than 0"),
        ({"executor": "x"}, "there is no executor `x`; name it under"),
        ({"executors": {"ray": {"kind": "ray"}}, "executor": "rai"}, "did you mean `ray`"),
        ({"executor": 3}, "3 is no name of an executor"),
        ({"executor_rules": {}}, r"write \[\[tool.partita.executor_rules\]\]"),
        ({"executor_rules": [{"executr": "x"}]}, "rule 1 .* has no `executr`; did you mean `executor`"),
        ({"executor_rules": [{"task": "x"}]}, "rule 1 .* names no executor"),
        ({"executor_rules": [{"executor": "local"}]}, "rule 1 .* says of no step that it is for it"),
        ({"executor_rules": [{"executor": "local", "task": [3]}]}, "`task` must be a name or a list"),
        ({"executor_rules": [{"executor": "local", "memory_above": "much"}]}, "rule 1 .* memory_above: "),
        ({"executor_rules": [{"executor": "local", "gpu_above": True}]}, "`gpu_above` must be a number"),
        ({"executor_rules": [{"executor": "local", "task": "x", "options": 3}]}, "3 is no table of options"),
    ],
)
def test_what_the_settings_cannot_say_is_said_with_the_place(table: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_routing(table)


def test_wrong_settings_are_an_error_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"\[tool.partita\] of .*pyproject.toml: `executor`: there is no executor `x`"):
        loaded(tmp_path, top='executor = "x"')


def test_what_an_engine_would_refuse_is_a_problem_of_the_project(tmp_path: Path) -> None:
    rules = '[[tool.partita.executor_rules]]\nexecutor = "cloud"\noptions = { image = "x" }\ntask = "load"'
    settings = (
        '[tool.partita.executors.odd]\nkind = "spark"\n[tool.partita.executors.bad]\nkind = "slurm"\npartion = "x"'
    )
    manifest = loaded(tmp_path, rules=f"{rules}\n{settings}").manifest

    assert not manifest.problems
    found = {problem.message: problem for problem in checked(manifest).problems}

    assert "executor odd: there is no kind 'spark'" in found
    assert "[tool.partita.executors.bad]: there is no 'partion'; did you mean 'partition'?" in found
    refused = next(text for text in found if text.startswith("step `load`: executor `cloud` does not take it: "))
    assert "image" in refused
    assert found[refused].line == 6
