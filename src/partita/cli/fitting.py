"""Whether this machine can do what a project asks of it: steps that fit nowhere, containers without a runtime.

Rule: warnings only; the project may be meant for another machine, and a run says the same as an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partita.core.graph import Step
    from partita.core.manifest import Manifest


def warnings(manifest: Manifest) -> list[tuple[str, str]]:
    """What cannot run on this machine, each with what to do about it."""
    return [*_misfits(manifest), *_runtime(manifest)]


def _steps(manifest: Manifest) -> Iterator[tuple[str, Step]]:
    for pipeline in manifest.pipelines:
        for step in pipeline.graph.steps:
            yield f"step {step.key} of {pipeline.name}", step
    for step in manifest.assets_graph.steps if manifest.assets_graph is not None else ():
        yield f"step {step.key}", step


def _misfits(manifest: Manifest) -> Iterator[tuple[str, str]]:
    from partita.core import placement

    asking = [(of, step) for of, step in _steps(manifest) if placement.asks(step.policies)]
    if not asking:
        return
    from partita.executors.capacity import of_machine

    capacity = placement.declared(of_machine(), [dict(manifest.capacity)])
    for of, step in asking:
        for _, why in placement.misfit([step], capacity):
            hint = "ask for less, or let another executor perform it; [tool.partita] capacity says what there is"
            yield f"{of}: {why}", hint


def _runtime(manifest: Manifest) -> Iterator[tuple[str, str]]:
    of = next((of for of, step in _steps(manifest) if step.kind == "container" and not step.policies.executor), "")
    if not of:
        return
    import os

    from partita.define.container_run import found_runtime
    from partita.errors import UserCodeError

    try:
        found_runtime(os.environ.get("PARTITA_CONTAINER_RUNTIME") or manifest.container_runtime)
    except UserCodeError as error:
        yield f"{of} cannot run: {error.message}", error.hint or ""
