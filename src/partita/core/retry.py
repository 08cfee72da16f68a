"""Is an attempt that did not succeed tried again, and when?

Rule: the user's budget counts failed and timed_out, ours counts lost and refused; neither spends the other's. Random
waits come from a hash of the ids, so that the same history gives the same waits.
"""

from __future__ import annotations

import hashlib

import msgspec

from partita.core.events import Failure
from partita.core.policies import Policies, Retry
from partita.core.states import USER_FAILURE, AttemptState

# Lost attempts come back at once the first time, then a little later: a host that kills workers needs air.
_LOST_DELAYS_S = (0.0, 1.0, 5.0)
# Tickets that were taken back before they began cost nothing, but a worker pool that never begins is broken.
_NOT_BEGUN_LIMIT = 1000


class Again(msgspec.Struct, frozen=True):
    """Try again after `delay_s`; `reason` is for people."""

    delay_s: float
    reason: str


class Enough(msgspec.Struct, frozen=True):
    """Not again; `reason` is for people. `ask`: the step needs a person's attention."""

    reason: str
    ask: bool = False


def after(
    policies: Policies, state: AttemptState, failure: Failure | None, *, failures: int, losses: int, seed: str
) -> Again | Enough:
    """What follows an attempt that ended in `state`; `failures` and `losses` include it.

    Of an attempt that was not begun, `losses` are those that were not begun.
    """
    if state in USER_FAILURE:
        return _after_failure(policies.retry, state, failure, failures, seed)
    if failure is not None and failure.cause == "not_begun":
        return (
            Again(0.0, "not begun yet, moved to another worker") if losses < _NOT_BEGUN_LIMIT else Enough("never begun")
        )
    return _after_loss(policies, state, failure, losses)


def _after_failure(retry: Retry, state: str, failure: Failure | None, failures: int, seed: str) -> Again | Enough:
    what = "timed out" if state == "timed_out" else "failed"
    if failures > retry.limit:
        return Enough(f"{what}, no retries" if retry.limit == 0 else f"{what}, all {retry.limit} retries used")
    if failure is not None:
        if failure.retryable is False:
            return Enough(f"{what}, and not to be retried by its own word")
        if retry.never_on and _matches(failure.types, retry.never_on):
            return Enough(f"{what} with {failure.types[0]}, which is never retried")
        if retry.on and not _matches(failure.types, retry.on):
            return Enough(f"{what} with {failure.types[0] if failure.types else failure.cause}, which is not retried")
    wait = delay(retry, failures, seed)
    if failure is not None and failure.retry_after_s is not None:
        wait = failure.retry_after_s
    return Again(wait, f"{what}, retry {failures} of {retry.limit}")


def _after_loss(policies: Policies, state: str, failure: Failure | None, losses: int) -> Again | Enough:
    # A refused attempt never began: even an at-most-once step may have another.
    if state == "lost" and policies.on_lost == "fail":
        return Enough("lost, and it must not run twice (on_lost='fail')")
    if state == "lost" and policies.on_lost == "ask":
        return Enough("lost, and it must not run twice without a person's word (on_lost='ask')", ask=True)
    if losses > policies.lost_limit:
        return Enough(f"{state} {losses} times")
    wait = _LOST_DELAYS_S[min(losses, len(_LOST_DELAYS_S)) - 1]
    return Again(wait, f"{state}, taken up again ({losses} of {policies.lost_limit})")


def delay(retry: Retry, failures: int, seed: str) -> float:
    """The wait in seconds after failure number `failures` (from 1).

    >>> delay(Retry(limit=9, delays_s=(10.0,), backoff=2.0, cap_s=60.0), 3, "")
    40.0
    """
    listed = retry.delays_s or (0.0,)
    if failures <= len(listed):
        wait = listed[failures - 1]
    else:
        try:
            wait = listed[-1] * retry.backoff ** (failures - len(listed))
        except OverflowError:
            wait = retry.cap_s if retry.cap_s is not None else float(10**9)
    if retry.cap_s is not None:
        wait = min(wait, retry.cap_s)
    return wait * _fraction(f"{seed}/{failures}") if retry.jitter == "full" else wait


def _fraction(seed: str) -> float:
    return int.from_bytes(hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64


def _matches(types: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    bare = {t.rpartition(".")[2] for t in types}
    return any(w in types or ("." not in w and w in bare) for w in wanted)
