"""What tests of definitions share: a graph from a function, a project from texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

from partita.core.events import RunCreated, RunStarted
from partita.core.graph import Axis, Graph, Step
from partita.core.machine import RunMachine
from partita.define.compile import compile_pipeline
from partita.define.pipeline import PipelineDef, pipeline
from partita.define.project import Project, load


def graph_of(build: Callable[..., Any] | PipelineDef, **options: Any) -> Graph:
    """The graph that a pipeline's function builds; the machine must be able to run it."""
    defn = build if isinstance(build, PipelineDef) else pipeline(**options)(build)
    graph = compile_pipeline(defn).graph
    machine_accepts(graph)
    return graph


def machine_accepts(graph: Graph) -> None:
    """Each step stands after its needs, and the machine can start."""
    seen: set[str] = set()
    for step in graph.steps:
        assert set(step.needs) <= seen, step
        seen.add(step.key)
    run = RunCreated(at=0.0, run="r", namespace="n", project="p", pipeline=graph.name, graph="", code="", origin="o")
    RunMachine(graph, run).apply(RunStarted(at=1.0))


def steps_of(graph: Graph) -> dict[str, Step]:
    return {step.key: step for step in graph.steps}


def axes_of(graph: Graph) -> dict[str, Axis]:
    return {axis.name: axis for axis in graph.axes}


def args_of(step: Step) -> dict[str, Any]:
    return dict(step.args)


def project_of(folder: Path, pipelines: str, **files: str) -> Project:
    """A loaded project of these files (name without .py)."""
    for name, text in {"pipelines": pipelines, **files}.items():
        path = folder / (name if "." in name else f"{name}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return load(folder)


def messages(project: Project) -> list[str]:
    return [problem.message for problem in project.manifest.problems]
