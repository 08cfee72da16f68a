"""What the end of an attempt means for its step: a result, another attempt, or an end.

Rule: an outcome is judged once. What the attempt said counts as the judge says, and that is what the journal gets.
"""

from __future__ import annotations

import msgspec

from partita.core import moves, retry
from partita.core.bundles import close_bundle, fail_member, failed_before
from partita.core.course import Course
from partita.core.events import AssetReport, AttemptEnded, CheckEvaluated, Detail, Failure, Materialized, failure_text
from partita.core.graph import Step
from partita.core.placement import grows_after
from partita.core.plan import Instance
from partita.core.states import ATTEMPT_MOVES, INFRA_FAILURE, StepState


def end_attempt(course: Course, instance: Instance, event: AttemptEnded) -> None:
    """The open attempt of an instance has ended."""
    instance.open = False
    event = _judged(instance, event)
    course.journal.append(event)
    if event.detail is not None:
        _record_checks(course, instance.node.step, event, event.detail)
    if event.state == "succeeded":
        _succeed(course, instance, event)
    else:
        _fail(course, instance, event)
    if instance.node.members:
        close_bundle(course, instance)


def _judged(instance: Instance, event: AttemptEnded) -> AttemptEnded:
    """The outcome as it counts: a test that failed, or a loop that may not go on, makes success a failure."""
    if instance.dispatched and event.state not in ATTEMPT_MOVES["dispatched"]:
        # It never passed the start gate, so whatever ran was not this attempt.
        unasked = Detail(failure=Failure(f"{event.state} without having asked to start", cause="lost"))
        return msgspec.structs.replace(event, state="lost", value=None, detail=unasked)
    if event.state != "succeeded" or (event.detail is None and not instance.node.members):
        return event
    detail = event.detail or Detail()
    failure: Failure | None = None
    failed = next((c for c in detail.checks if not c.passed and c.severity == "error"), None)
    if failed is not None:
        failure = Failure(failed.message or f"check {failed.check} on {failed.asset} failed", cause="check")
    if instance.node.members and (before := failed_before(instance)):
        failure = Failure(f"{', '.join(before[:3])} failed in an earlier attempt", cause="members")
    loop = instance.node.decides.axis.loop if instance.node.decides is not None else None
    if loop is not None and detail.again and loop.on_limit == "fail" and instance.path[-1] + 1 >= loop.limit:
        failure = Failure(f"the loop has not come to its end in {loop.limit} rounds", cause="loop_limit")
    if failure is None:
        return event
    detail = msgspec.structs.replace(detail, failure=failure)
    return msgspec.structs.replace(event, state="failed", value=None, detail=detail)


def _record_checks(course: Course, step: Step, event: AttemptEnded, detail: Detail) -> None:
    for check in detail.checks:
        for partition in _partitions_of(course, step, check.partition):
            course.journal.append(
                CheckEvaluated(
                    at=event.at,
                    step=event.step,
                    index=event.index,
                    attempt=event.attempt,
                    asset=check.asset,
                    check=check.check,
                    partition=partition,
                    passed=check.passed,
                    severity=check.severity,
                    message=check.message,
                    metadata=check.metadata,
                )
            )


def _partitions_of(course: Course, step: Step | None, said: str) -> tuple[str, ...]:
    """Which partitions a report is about: those of its run, if it names no other, or none if its asset has none."""
    run = course.run
    if step is not None and not step.partitioned and said in ("", run.partition):
        return ("",)
    if run.partitions and said in ("", run.partition):
        return run.partitions
    return (said or run.partition,)


def _succeed(course: Course, instance: Instance, event: AttemptEnded) -> None:
    instance.value = event.value
    if event.detail is not None:
        instance.choice = event.detail.choice
        instance.again = event.detail.again
    _record_assets(course, instance, event)
    moves.succeed(course, instance)


def _record_assets(course: Course, instance: Instance, event: AttemptEnded) -> None:
    step = instance.node.step
    reports = event.detail.assets if event.detail is not None else ()
    if step.asset is not None and not any(r.asset == step.asset for r in reports):
        reports = (AssetReport(step.asset), *reports)
    for report in reports:
        for partition in _partitions_of(course, step if report.asset == step.asset else None, report.partition):
            course.journal.append(
                Materialized(
                    at=event.at,
                    step=event.step,
                    index=event.index,
                    attempt=event.attempt,
                    asset=report.asset,
                    partition=partition,
                    data_version=report.data_version,
                    code_version=step.code_version,
                    metadata=report.metadata,
                    value=report.value or event.value,
                    began_at=event.began_at,
                    ended_at=event.ended_at,
                )
            )


def _fail(course: Course, instance: Instance, event: AttemptEnded) -> None:
    failure = event.detail.failure if event.detail is not None else None
    message = failure.message if failure is not None else event.state
    # A teardown is carried through also when the run is ending.
    gives_up = bool(course.ending) and not instance.node.step.teardown_of
    instance.remember(event.state, failure_text(failure, event.state))
    if failure is not None and failure.cause == "skipped":
        moves.end(course, instance, "skipped", message)
    elif event.state == "cancelled" or (gives_up and event.state in INFRA_FAILURE):
        moves.end(course, instance, "cancelled", course.ending or message)
    elif instance.node.bundle is not None:
        fail_member(course, instance, message)
    elif gives_up:
        moves.end(course, instance, "failed", message)
    else:
        _retry_or_end(course, instance, event, failure, message)


def _retry_or_end(
    course: Course, instance: Instance, event: AttemptEnded, failure: Failure | None, message: str
) -> None:
    more_memory = grows_after(instance.node.step.policies, event.state, failure, instance.grown)
    if more_memory:
        instance.grown += 1
        moves.try_again(course, instance, 0.0, more_memory)
        moves.offer(course, instance)
        return
    losses = 0
    if event.state not in INFRA_FAILURE:
        instance.failures += 1
    elif failure is not None and failure.cause == "not_begun":
        # It spends neither budget, so these are all the attempts that are in none of them.
        losses = instance.attempt - instance.failures - instance.losses - instance.grown
    else:
        losses = instance.losses = instance.losses + 1
    verdict = retry.after(
        instance.node.step.policies,
        event.state,
        failure,
        failures=instance.failures,
        losses=losses,
        seed=f"{course.run.run}/{event.step}/{event.index}",
    )
    if isinstance(verdict, retry.Again):
        moves.try_again(course, instance, verdict.delay_s, verdict.reason)
        moves.offer(course, instance)
    else:
        state: StepState = "needs_attention" if verdict.ask else "failed"
        moves.end(course, instance, state, f"{message} ({verdict.reason})")
