"""Where steps are run, as it is just now: the workers of each project here, and the engines of others that it names.

Rule: plain data; who fills it in looks at nothing but what it has in memory, so asking is cheap and never waits.
"""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["reachable", "connecting", "away", "unused", "wrong"]


class WorkersNow(msgspec.Struct, frozen=True):
    """The workers that a version of a project has on this machine: so many, of them `busy` with `steps`, and `starting`."""

    project: str
    code: str
    workers: int
    busy: int
    starting: int
    steps: int


class ExecutorNow(msgspec.Struct, frozen=True):
    """An executor that a project names under `[tool.partita.executors]`.

    `state`: "away" (cannot be reached: `trouble`), "wrong" (its settings: `trouble`), "unused" (no step was sent there yet, so
    nobody has tried). `jobs` are open there; `lines` is what it says of itself and of them. `kind` is "" for settings of before.
    """

    project: str
    name: str
    kind: str
    state: State
    trouble: str
    jobs: int
    lines: tuple[str, ...] = ()
