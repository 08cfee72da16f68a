"""How runs are listed: which statement finds the runs of a filter, and its parameters.

One index leads (of the partition, the tag, the pipeline, who asked, the project, the namespace, or the state alone), one
arm for each state reads a page of it in order, and what else was asked for is a filter on the way.

Rule: the text comes from named statements only; values are parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from partita.core.states import RUN_MOVES
from partita.store import queries

_ALL: Final = tuple(RUN_MOVES)
_NO_TIME: Final = 1e300
LAST_RUN: Final = 2**62


class Wanted(NamedTuple):
    """Which runs: None = whatever it is. `since` and `until` bound the instant of creation."""

    pipeline: str | None = None
    states: Sequence[str] = ()
    partition: str | None = None
    project: str | None = None
    namespace: str | None = None
    by: str | None = None
    tag: str | None = None
    since: float | None = None
    until: float | None = None


def statement(wanted: Wanted, *, above: int, below: int, limit: int) -> tuple[str, list[Any]] | None:
    """The list of runs with numbers between `above` and `below`; None if no run can be like that."""
    states = [state for state in _ALL if not wanted.states or state in wanted.states]
    if not states:
        return None
    arm, leading = _arm(wanted)
    if arm == "runs_arm_of_tag":
        states = [f",{','.join(states)},"]
    since = -_NO_TIME if wanted.since is None else wanted.since
    until = _NO_TIME if wanted.until is None else wanted.until
    rest = (above, wanted.pipeline, wanted.namespace, wanted.project, wanted.by, since, until, wanted.tag, wanted.tag)
    params = [value for state in states for value in (*leading, state, below, *rest, limit)]
    return queries.runs(arm, len(states)), [*params, limit]


def _arm(wanted: Wanted) -> tuple[str, tuple[str, ...]]:
    """The statement that leads, and its own values."""
    if wanted.partition:
        if wanted.pipeline is None:
            return "runs_arm_of_partition", (wanted.partition,)
        return "runs_arm_of_pipeline_and_partition", (wanted.partition, wanted.pipeline)
    if wanted.partition is not None:
        if wanted.pipeline is None:
            return "runs_arm_unpartitioned", ()
        return "runs_arm_of_pipeline_unpartitioned", (wanted.pipeline,)
    leads = (
        ("runs_arm_of_tag", wanted.tag),
        ("runs_arm_of_pipeline", wanted.pipeline),
        ("runs_arm_of_by", wanted.by),
        ("runs_arm_of_project", wanted.project),
        ("runs_arm_of_namespace", wanted.namespace),
    )
    return next(((arm, (value,)) for arm, value in leads if value is not None), ("runs_arm", ()))
