"""Pipelines that are selections of assets: the parts of the graph of all assets that they name.

Rule: what is selected is decided by `core.selection`; here the assets are found and errors are given their place.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from partita.core.graph import Graph
from partita.core.selection import cut, select
from partita.define.asset import ExternalAsset, asset_facts
from partita.define.asset_graph import Universe
from partita.define.calls import Calls
from partita.define.check import CheckDef
from partita.define.compile import Compiled, raise_all, with_name
from partita.define.pipeline import PipelineDef
from partita.define.recording import Declared
from partita.define.where import short
from partita.errors import DefinitionError, SelectionError


def compile_assets(definitions: Iterable[Any], assets: Any = "*", *, name: str = "assets") -> Compiled:
    """The graph of a selection of these assets and checks. Raises `DefinitionError`."""
    calls = Calls()
    universe = Universe.of([d for d in definitions if isinstance(d, Declared)], calls)
    raise_all(universe.problems)
    return Compiled(with_name(_selected(assets, universe), name), calls.by_name, universe.specs)


def selection_graph(defn: PipelineDef, universe: Universe) -> tuple[Graph, list[DefinitionError]]:
    """The graph of a pipeline of assets, and what is wrong with it."""
    try:
        return with_name(_selected(defn.assets, universe), defn.name), []
    except SelectionError as error:
        message = f"pipeline `{defn.name}`: {error.message}"
        hint = error.hint or ("some assets are left out because of errors" if universe.left_out else None)
        file, line = short(defn.place.file), defn.place.line
        return Graph(defn.name, ()), [SelectionError(message, hint=hint, file=file, line=line)]


def compile_selection_alone(defn: PipelineDef, calls: Calls) -> Compiled:
    """A pipeline of assets without a project: the assets are those of its module and of what its selection names."""
    module = sys.modules.get(defn.module)
    found = [v for v in vars(module).values() if isinstance(v, Declared)] if module is not None else []
    named = [v for v in _items(defn.assets) if isinstance(v, Declared)]
    universe = Universe.of(list(_with_deps([*found, *named])), calls)
    raise_all(universe.problems)
    graph, problems = selection_graph(defn, universe)
    raise_all(problems)
    return Compiled(graph, calls.by_name, universe.specs)


def _with_deps(definitions: list[Declared]) -> Iterable[Declared]:
    """The definitions and those that they name as dependencies, each once."""
    seen: dict[int, Declared] = {}
    todo = list(reversed(definitions))
    while todo:
        definition = todo.pop()
        if id(definition) in seen:
            continue
        seen[id(definition)] = definition
        deps = [*getattr(definition, "deps", ()), getattr(definition, "asset", None)]
        for facts in asset_facts(definition) or ():
            deps += [*facts.deps, *(value for _, value in facts.params)]
        todo.extend(d for d in deps if isinstance(d, Declared))
    return seen.values()


def _selected(assets: Any, universe: Universe) -> Graph:
    keys: dict[str, None] = {}
    for item in _items(assets):
        for text in _expressions(item):
            keys.update(dict.fromkeys(select(text, universe.graph, universe.specs)))
    if not keys:
        raise SelectionError("it selects no assets")
    return cut(universe.graph, keys)


def _items(assets: Any) -> Sequence[Any]:
    return list(assets) if isinstance(assets, list | tuple | set) else [assets]


def _expressions(item: Any) -> list[str]:
    if isinstance(item, str):
        return [item]
    if isinstance(item, CheckDef):
        return [item.name]
    if isinstance(item, ExternalAsset):
        return []
    facts = asset_facts(item)
    if facts is None:
        raise SelectionError(f"{item!r} is no asset and no selection", hint='write for example assets="group:raw+"')
    return [f'"{one.name}"' for one in facts]
