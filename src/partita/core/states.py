"""The states of runs, steps and attempts, and the one table of allowed moves between them.

Rule: this table is the only one. The machine, the store's checks, the simulator and the docs read it.
Terminal is final: no move leaves a terminal state; a rerun is a new run with new attempts.
"""

from __future__ import annotations

from typing import Final, Literal

RunState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
StepState = Literal[
    "waiting",
    "ready",
    "running",
    "succeeded",
    "failed",
    "skipped",
    "upstream_failed",
    "cancelled",
    "needs_attention",
]
AttemptState = Literal["dispatched", "started", "succeeded", "failed", "timed_out", "lost", "cancelled", "refused"]

RUN_MOVES: Final[dict[str, frozenset[str]]] = {
    "queued": frozenset({"running", "cancelled", "failed"}),
    "running": frozenset({"succeeded", "failed", "cancelled"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}

STEP_MOVES: Final[dict[str, frozenset[str]]] = {
    # A waiting step may fail without an attempt: a map over something that is no list, a definition gone.
    "waiting": frozenset({"ready", "failed", "succeeded", "skipped", "upstream_failed", "cancelled"}),
    # ready -> succeeded is a step whose result was taken over from an earlier run.
    "ready": frozenset({"running", "succeeded", "failed", "skipped", "upstream_failed", "cancelled"}),
    # running -> ready is a retry; running -> skipped is user code that says that there is nothing to do.
    "running": frozenset(
        {"ready", "succeeded", "failed", "skipped", "upstream_failed", "cancelled", "needs_attention"}
    ),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "skipped": frozenset(),
    "upstream_failed": frozenset(),
    "cancelled": frozenset(),
    "needs_attention": frozenset(),
}

ATTEMPT_MOVES: Final[dict[str, frozenset[str]]] = {
    "dispatched": frozenset({"started", "cancelled", "lost", "refused"}),
    "started": frozenset({"succeeded", "failed", "timed_out", "lost", "cancelled", "refused"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "timed_out": frozenset(),
    "lost": frozenset(),
    "cancelled": frozenset(),
    "refused": frozenset(),
}

TERMINAL_RUN: Final = frozenset(s for s, moves in RUN_MOVES.items() if not moves)
TERMINAL_STEP: Final = frozenset(s for s, moves in STEP_MOVES.items() if not moves)
TERMINAL_ATTEMPT: Final = frozenset(s for s, moves in ATTEMPT_MOVES.items() if not moves)
OPEN_ATTEMPT: Final = frozenset({"dispatched", "started"})

# What the user's retries count, and what our own budget (`Policies.lost_limit`) counts.
USER_FAILURE: Final = frozenset({"failed", "timed_out"})
INFRA_FAILURE: Final = frozenset({"lost", "refused"})
