"""What a simulated service must have seen to be worth anything; beside the marks of its engine and its store (`marks.py`).

Rule: as there, a mark is a sentence about something that happened, and one that is never hit means that it is not tried.
"""

from __future__ import annotations

SERVICE_MARKS: tuple[str, ...] = (
    # schedules
    "a run was made by sched",
    "a run was made by trigger",
    "the definitions were edited",
    "the definitions were edited while no engine was there",
    "the machine slept while a tick came due",
    "a schedule was edited",
    "an edit left the instants as they were",
    "a schedule was declared no more",
    "a schedule was resumed",
    "a schedule paused itself",
    "several instants were skipped as one range",
    'ticks were caught up on as "none" says',
    'ticks were caught up on as "latest" says',
    'ticks were caught up on as "last" says',
    'ticks were caught up on as "all" says',
    "a tick was skipped because its last run was still going",
    "a run was cancelled for the next tick",
    # sensors and webhooks
    "a run was made by sensor",
    "a sensor asked again for a key that has its run",
    "a sensor failed, and its cursor stayed",
    "an evaluator died over a question",
    "a crash while a sensor rested after a failure",
    "a webhook was called twice and taken once",
    "an asset became late",
    "an asset that was late was made",
    # backfills, limits, messages, keeping house
    "a run was made by backfill",
    "somebody asked for pause of a backfill",
    "somebody asked for cancel of a backfill",
    "a pool was changed while it was in use",
    "a message was not taken and was sent again",
    "somebody asked to keep house",
    "retention removed something",
    "a run was made by api",
    # engines
    "a request could not be committed",
    "a commit of an engine that was taken over from was refused",
    "a second engine was refused while the first lived",
    "an engine stood still before its commit",
    "a crash before a durable write",
    "a crash after a durable write",
    "a write was refused for lack of space",
    "the wall clock jumped forward",
    "the wall clock jumped backward",
    "the wall clock stood still",
)
