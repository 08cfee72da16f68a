"""Bundles: one attempt that performs many steps, its members, each of which has its own start, end and result.

Rule: needs between members are the bundle's own business. A member is granted or ended when its bundle gets ready, and
what is still open or undone when the bundle has ended, ends with it.
"""

from __future__ import annotations

from partita.core import moves
from partita.core.course import Course
from partita.core.events import AttemptEnded, Detail, Failure
from partita.core.needs import culprits, one, tallies, why_not
from partita.core.plan import Instance
from partita.core.rules import decide
from partita.core.states import TERMINAL_STEP, AttemptState


def members_of(bundle: Instance) -> list[Instance]:
    """The members in the same place of the maps, in the order of the graph."""
    return [m.instances[bundle.path] for m in bundle.node.members if bundle.path in m.instances]


def granted_members(bundle: Instance) -> tuple[str, ...]:
    """The members that the bundle's coming attempt is to perform."""
    return tuple(m.node.key for m in members_of(bundle) if m.granted and m.state == "ready")


def open_bundle(course: Course, bundle: Instance) -> bool:
    """Grant the members that can be performed, end the others; is there anything to do?

    A granted member counts as one that will succeed: if it does not, that is for the bundle to handle.
    """
    granted: set[str] = set()
    members = members_of(bundle)
    for member in members:
        if member.state not in TERMINAL_STEP and _can_be_made(course, member, granted):
            granted.add(member.node.key)
            _grant(course, member)
    return bool(granted) or not members


def reopen_bundle(course: Course, bundle: Instance) -> None:
    """Taken over ready or running: members that have not ended were granted when it was opened."""
    for member in members_of(bundle):
        if member.state == "waiting":
            _grant(course, member)


def end_members(course: Course, bundle: Instance) -> None:
    """The bundle has ended without an attempt, and its members with it."""
    for member in members_of(bundle):
        if member.state not in TERMINAL_STEP:
            moves.end(course, member, bundle.state, bundle.reason, bundle.because)


def fail_member(course: Course, member: Instance, message: str) -> None:
    """A member's part of the bundle's attempt did not succeed: again with the next one, if there may be one."""
    assert member.node.bundle is not None
    bundle = member.node.bundle.instances[member.path]
    if not course.ending and bundle.open and bundle.failures < bundle.node.step.policies.retry.limit:
        _try_again(course, member, message)
    else:
        moves.end(course, member, "failed", message)


def failed_before(bundle: Instance) -> list[str]:
    """Members that failed for good in an earlier attempt, of which the present one was not told."""
    return [m.node.key for m in members_of(bundle) if m.state == "failed" and m.attempt < bundle.attempt]


def close_bundle(course: Course, bundle: Instance) -> None:
    """The bundle's attempt has ended: what its members had open ends with it."""
    is_over = bundle.state in TERMINAL_STEP
    for member in members_of(bundle):
        if member.open:
            _break_off(course, member, bundle, is_over=is_over)
        elif is_over and member.state == "ready":
            _end_unperformed(course, member, bundle)
    if not is_over:
        _end_hopeless(course, bundle)


def _can_be_made(course: Course, member: Instance, granted: set[str]) -> bool:
    """By its rule, when all that are granted succeed; if not, it has ended here."""
    found = tallies(member)
    for key in granted:
        if key in found:
            found[key] = one("succeeded")
    verdict = decide(member.node.step.when, found)
    if verdict == "run":
        return True
    moves.end(course, member, verdict, why_not(member, verdict, found), culprits(found))
    return False


def _end_hopeless(course: Course, bundle: Instance) -> None:
    """Before its next attempt: what needs a member that has failed for good is not to be made without it."""
    members = members_of(bundle)
    granted = {m.node.key for m in members if m.state == "ready"}
    for member in members:
        if member.state == "ready" and not _can_be_made(course, member, granted):
            granted.discard(member.node.key)
    if not granted and any(m.state == "failed" for m in members):
        moves.end(course, bundle, "failed", "none of its members is left that can be made")


def _grant(course: Course, member: Instance) -> None:
    moves.move(course, member, "ready")
    member.granted = True


def _try_again(course: Course, member: Instance, message: str) -> None:
    moves.try_again(course, member, 0.0, f"{message}; again with the next attempt of {member.node.step.bundle}")


def _break_off(course: Course, member: Instance, bundle: Instance, *, is_over: bool) -> None:
    member.open = False
    state: AttemptState = "cancelled" if bundle.state == "cancelled" else "lost"
    failure = Failure(f"{bundle.node.key} ended in the middle of it", cause="lost")
    course.journal.append(
        AttemptEnded(
            at=course.at,
            step=member.node.key,
            index=member.index,
            attempt=member.attempt,
            epoch=member.epoch,
            state=state,
            detail=Detail(failure=failure),
        )
    )
    member.remember(state, failure.message)
    if not is_over:
        _try_again(course, member, failure.message)
    elif state == "cancelled":
        moves.end(course, member, "cancelled", course.ending or failure.message)
    else:
        moves.end(course, member, "failed", failure.message, (bundle.node.key,))


def _end_unperformed(course: Course, member: Instance, bundle: Instance) -> None:
    if member.past is not None:
        moves.end(course, member, "failed", member.past[-1][2])
    elif bundle.state in ("cancelled", "skipped"):
        moves.end(course, member, bundle.state, course.ending or bundle.reason)
    else:
        reason = f"{bundle.node.key} ended without making it"
        moves.end(course, member, "upstream_failed", reason, culprits(tallies(member)) or (bundle.node.key,))
