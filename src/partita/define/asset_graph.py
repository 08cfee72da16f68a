"""The graph of all assets, bundles and checks of a project, and the parts of it that pipelines select.

Rule: a definition that is wrong is left out with all that depends on it, and said; the rest is a graph.
"""

from __future__ import annotations

from dataclasses import dataclass

from partita.core.graph import Graph
from partita.core.manifest import AssetSpec
from partita.define.calls import Calls
from partita.define.pipeline import PipelineDef
from partita.define.recording import Declared
from partita.errors import DefinitionError


@dataclass(frozen=True, slots=True)
class Universe:
    """All assets of a project."""

    graph: Graph
    specs: tuple[AssetSpec, ...]
    problems: tuple[DefinitionError, ...]
    calls: Calls

    @staticmethod
    def of(declared: list[Declared], calls: Calls) -> Universe:
        return Universe(Graph("assets", ()), (), (), calls)


def selection_graph(defn: PipelineDef, universe: Universe) -> tuple[Graph, list[DefinitionError]]:
    raise DefinitionError("no assets")


def compile_selection_alone(defn: PipelineDef, calls: Calls):  # replaced below
    raise DefinitionError("no assets")
