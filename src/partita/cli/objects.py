"""What `--json` prints: the API's own objects (`server.objects`), as dictionaries.

Rule: nothing is shaped here, so the command line and the API say the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from partita.server import objects
from partita.server.objects import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from partita.core.explain import Cause, Explanation
    from partita.core.manifest import AssetSpec, PipelineSpec, Problem
    from partita.store.contract import AttemptRow, CheckRow, MaterializationRow, RunRow, StepRow

__all__ = ["plain"]

Object = dict[str, Any]


def run_object(row: RunRow) -> Object:
    """A run."""
    return _fields(objects.run(row))


def step_object(row: StepRow, attempts: Sequence[AttemptRow]) -> Object:
    """A step instance that has done something, with its attempts."""
    return _fields(objects.step(row, attempts))


def materialization_object(row: MaterializationRow) -> Object:
    """One materialization of an asset (partition)."""
    return _fields(objects.materialization(row))


def check_object(row: CheckRow) -> Object:
    """One evaluation of a check."""
    return _fields(objects.check(row))


def explanation_object(found: Explanation) -> Object:
    """Why a step is as it is."""
    return _fields(objects.explanation(found))


def cause_object(cause: Cause) -> Object:
    """What broke first, and what it blocks."""
    return _fields(objects.cause(cause))


def problem_object(problem: Problem) -> Object:
    """What is wrong with a definition."""
    return _fields(objects.problem(problem))


def pipeline_object(spec: PipelineSpec) -> Object:
    """A pipeline as it is defined."""
    return _defined(_fields(objects.pipeline(spec)))


def asset_object(spec: AssetSpec) -> Object:
    """An asset as it is defined."""
    return _defined(_fields(objects.asset(spec)))


def _fields(value: msgspec.Struct) -> Object:
    found: Object = msgspec.to_builtins(value)
    return found


def _defined(found: Object) -> Object:
    """Of one project, whose name stands beside the list."""
    del found["project"], found["namespace"]
    return found


_schedule = objects.schedule_spec
