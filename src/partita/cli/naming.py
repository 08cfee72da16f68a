"""Runs and steps by the names that people type.

A run is `12`, its id or the beginning of it, `last`, or a pipeline's name (its last run). A step is `load`, an instance
of a map `load[3]`, `load 3` (no quotes needed in any shell) or by its label `load[AA-JFK]`.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from partita.errors import DefinitionError

if TYPE_CHECKING:
    from partita.cli.labels import Labels
    from partita.store.contract import Reader, RunRow

_INDEXED = re.compile(r"(.+?)\[([^\[\]]*)\]", re.DOTALL)


def find_run(reader: Reader, name: str = "last") -> RunRow:
    """The run of that name. Raises `DefinitionError`."""
    if name == "last":
        newest = reader.runs(limit=1)
        if not newest:
            raise DefinitionError("nothing was run here yet", hint="start with: partita run, or serve it: partita up")
        return newest[0]
    row = reader.run(name)
    if row is not None:
        return row
    of_pipeline = reader.runs(pipeline=name, limit=1)
    if of_pipeline:
        return of_pipeline[0]
    raise DefinitionError(f"there is no run {name!r}", hint="`partita runs` lists them; say a number, an id or `last`")


def find_step(labels: Labels, words: Sequence[str]) -> tuple[str, str]:
    """Key and index of the step that is meant. Raises `DefinitionError`."""
    nodes = labels.machine.plan.nodes
    key, index = _split(words, set(nodes))
    if key not in nodes:
        near = difflib.get_close_matches(key, nodes, 1)
        raise DefinitionError(
            f"run {labels.no} has no step {key!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"partita show {labels.no}",
        )
    if not index or re.fullmatch(r"\d+(\.\d+)*", index):
        return key, index
    found = labels.index_of(key, index)
    if found is None:
        raise DefinitionError(f"{key} has no instance {index!r}", hint=f"partita show {labels.no} {quoted(key)}")
    return key, found


def named(step: str, index: str) -> str:
    """`load`, `load[3]`."""
    return f"{step}[{index}]" if index else step


def typed(step: str, index: str = "") -> str:
    """A step as it can be typed into any shell: `load 3`."""
    return f"{quoted(step)} {index}" if index else quoted(step)


def quoted(word: str) -> str:
    """A word for a shell."""
    return shlex.quote(word)


def _split(words: Sequence[str], keys: set[str]) -> tuple[str, str]:
    if len(words) > 2:
        raise DefinitionError(f"one step at a time, not {len(words)}", hint="a step and its index: load 3")
    if len(words) == 2:
        return words[0], words[1].strip("[]")
    if words[0] in keys:
        return words[0], ""
    match = _INDEXED.fullmatch(words[0])
    return (match[1], match[2]) if match else (words[0], "")
