"""What user code does in the simulation: a function of the step and of how often it failed before, and of nothing else.

Rule: no fault and no time in here, so that the end of a run does not depend on the chaos around it, and the judge
(`judge.py`) can foretell it.
"""

from __future__ import annotations

from random import Random

import msgspec

from partita.core import plain
from partita.core.events import AssetReport, CheckReport, Detail, Failure
from partita.core.graph import Step
from partita.core.states import AttemptState
from partita.core.values import Value

CHOICES = (plain.pack("left"), plain.pack("right"))


class Fate(msgspec.Struct, frozen=True):
    """How one execution ends."""

    state: AttemptState
    value: Value | None = None
    detail: Detail | None = None

    @property
    def is_skip(self) -> bool:
        return self.detail is not None and self.detail.failure is not None and self.detail.failure.cause == "skipped"


_BOOM = Fate("failed", detail=Detail(failure=Failure("boom", ("ValueError", "Exception"))))
_TOO_LONG = Fate("timed_out", detail=Detail(failure=Failure("too long", cause="timeout")))
_TOO_LITTLE = Fate("failed", detail=Detail(failure=Failure("too little", cause="out_of_memory")))
_NOTHING_TO_DO = Fate("cancelled", detail=Detail(failure=Failure("nothing to do", cause="skipped")))
_FAILED_CHECK = CheckReport("a", "c", passed=False, severity="error", message="not plausible")


def memory_after(step: Step, ran_out: int) -> int | None:
    """What an attempt is given, after so many that ran out of memory."""
    policies, given = step.policies, step.policies.memory_bytes
    if given is None or policies.memory_on_oom == 1.0:
        return given
    most = policies.memory_cap_bytes or given * policies.memory_on_oom**3
    return int(max(given, min(most, given * policies.memory_on_oom**ran_out)))


def may_grow(step: Step, grown: int) -> bool:
    """Is there more memory for it than it has after so many attempts that ran out of it?"""
    return (memory_after(step, grown + 1) or 0) > (memory_after(step, grown) or 0)


def fate(run: str, step: Step, index: str, failures: int, memory: int | None) -> Fate:
    """What the user's function does in this run, after so many failures of its own, with so much memory."""
    if memory is not None and memory < Random(f"memory {run}/{step.key}/{index}").choice((1, 1, 2, 4, 7)):
        return _TOO_LITTLE
    dice = Random(f"{run}/{step.key}/{index}/{failures}")
    chance = dice.random()
    if chance < 0.06:
        return _BOOM
    if chance < 0.08:
        return _TOO_LONG
    if chance < 0.11:
        return _NOTHING_TO_DO
    choice = dice.choice(CHOICES) if step.reports_choice else None
    again = dice.random() < 0.6 if step.reports_again else None
    length = dice.choice((0, 1, 2, 5)) if dice.random() < 0.97 else None
    data = plain.pack(list(range(length)) if length is not None else "no list")
    # A failed test makes a failure of what user code took for a success.
    checks = (_FAILED_CHECK,) if chance > 0.98 else ()
    assets = (AssetReport("made on the way"),) if 0.9 < chance < 0.92 else ()
    detail = Detail(choice=choice, again=again, checks=checks, assets=assets)
    return Fate("succeeded", Value("plain", len(data), data, length=length), detail)


def fate_of_member(run: str, member: str) -> str:
    """How a bundle performs one of its members: "succeeded", "failed" or "skipped"."""
    chance = Random(f"{run}/{member}").random()
    return "failed" if chance < 0.1 else "skipped" if chance < 0.15 else "succeeded"


def last_fate(run: str, step: Step, index: str, *, must_stop: bool = False) -> str:
    """How the step instance ends when nothing but its own failures stands in its way: the state of the step.

    `must_stop`: it decides about the last round that a loop may have, and to want another one is a failure.
    """
    grown = failures = 0
    while failures <= step.policies.retry.limit:
        one = fate(run, step, index, failures, memory_after(step, grown))
        if one is _TOO_LITTLE and may_grow(step, grown):
            grown += 1
            continue
        failures += 1
        detail = one.detail
        if one.state == "succeeded" and detail is not None and not detail.checks and not (must_stop and detail.again):
            return "succeeded"
        if one.is_skip:
            return "skipped"
    return "failed"
