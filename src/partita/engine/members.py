"""What a bundle's attempt says of its members, as events for the machine.

Rule: a translation and nothing more. What is late, doubled or of a member that was not asked for, the machine ignores.
"""

from __future__ import annotations

from msgspec.structs import replace

from partita.core.events import AttemptEnded, AttemptStarted, Detail, Event, Failure, StepEnded
from partita.core.plan import Instance
from partita.worker.wire import MemberBegan, MemberEnded


def events_of(report: MemberBegan | MemberEnded, bundle: Instance, member: Instance, *, at: float) -> list[Event]:
    """What the machine is to be told, in order."""
    if isinstance(report, MemberBegan):
        return [_started(bundle, member, at)]
    is_end = report.state in ("succeeded", "failed")
    if not member.open and not is_end:
        return [_passed_over(report, bundle, member, at)]
    # A bundle that tells only the end of a member has begun it, too.
    begun: list[Event] = [] if member.open else [_started(bundle, member, at)]
    return [*begun, _ended(report, bundle, member, at)]


def _started(bundle: Instance, member: Instance, at: float) -> AttemptStarted:
    return AttemptStarted(at, member.node.key, member.index, bundle.attempt, bundle.epoch, f"in {bundle.node.key}")


def _passed_over(report: MemberEnded, bundle: Instance, member: Instance, at: float) -> StepEnded:
    failure = report.detail.failure if report.detail is not None else None
    reason = failure.message if failure is not None else f"{bundle.node.key} passed over it"
    return StepEnded(at, member.node.key, member.index, report.state, reason)  # type: ignore[arg-type]


def _ended(report: MemberEnded, bundle: Instance, member: Instance, at: float) -> AttemptEnded:
    is_end = report.state in ("succeeded", "failed")
    detail = report.detail or Detail()
    if not is_end:
        detail = Detail(failure=Failure(f"{bundle.node.key} passed over it", cause="skipped"))
    elif report.assets or report.checks:
        detail = replace(detail, assets=report.assets, checks=report.checks)
    return AttemptEnded(
        at=at,
        step=member.node.key,
        index=member.index,
        # A member carries the number and the epoch of its bundle's attempt.
        attempt=member.attempt if member.open else bundle.attempt,
        epoch=member.epoch if member.open else bundle.epoch,
        state=report.state if is_end else "cancelled",  # type: ignore[arg-type]
        value=report.value,
        detail=detail,
        began_at=report.began_at,
        ended_at=report.ended_at,
    )
