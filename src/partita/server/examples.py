"""Examples of the API's objects, as they stand in its document.

Rule: an example is an object of the type that it is an example of, so it cannot get old.
"""

from __future__ import annotations

from partita.server import objects

RUN = objects.Run(
    id="01932f5e-8a3c-7b1e-9d55-3f0a6c2b7e11",
    no=12,
    pipeline="nightly",
    partition="2026-11-21",
    state="running",
    reason="",
    created_at="2026-11-22T03:00:00.004Z",
    started_at="2026-11-22T03:00:00.012Z",
    finished_at=None,
    paused=False,
    cancel_requested=False,
    by="ann",
    origin="sched:nightly:1795316400",
    rerun_of=None,
    params={"region": "eu"},
    selection=None,
    priority=0,
    fail_fast=False,
    timeout_s=3600.0,
    tags=["daily"],
    namespace="default",
    project="shop",
    graph="8c1f0d3e5b7a9c2d",
    code="5e9d2b4f6a8c0e1d",
)

ATTEMPT = objects.Attempt(
    attempt=1,
    state="succeeded",
    started_at="2026-11-22T03:00:00.020Z",
    finished_at="2026-11-22T03:00:04.113Z",
    duration_s=4.09,
    worker="host:4711:98231",
    failure=None,
    usage=objects.Usage(3.2, 181_403_648),
    metadata=[objects.Metadata("rows", "number", 12345)],
    cached_from=None,
)

STEP = objects.Step(
    step="load",
    index="",
    state="succeeded",
    reason="",
    because=[],
    started_at="2026-11-22T03:00:00.020Z",
    finished_at="2026-11-22T03:00:04.113Z",
    not_before=None,
    reused_from=None,
    value=None,
    attempts=[ATTEMPT],
)

MATERIALIZATION = objects.Materialization(
    asset="daily_delays",
    partition="2026-11-21",
    at="2026-11-22T03:04:11.500Z",
    run=RUN.id,
    step="daily_delays",
    index="",
    attempt=1,
    data_version="sha256:2f1c",
    code_version="1",
    metadata=[objects.Metadata("rows", "number", 336776)],
)

CHECK = objects.Check(
    at="2026-11-22T03:04:12.000Z",
    run=RUN.id,
    step="delays_are_plausible",
    index="",
    asset="daily_delays",
    check="delays_are_plausible",
    passed=True,
    severity="error",
    message="",
    partition="2026-11-21",
    metadata=[],
)

EXPLANATION = objects.Explanation(
    step="load",
    index="",
    state="ready",
    since="2026-11-22T03:00:00.020Z",
    reasons=[objects.Reason("pool_full", "pool db has no free slot: 5 of 5 are taken", ["extract[3]"])],
    change="a step that holds pool db ends",
)

PIPELINE = objects.Pipeline(
    name="nightly",
    description="Everything that people look at in the morning",
    owner="ann",
    tags=["daily"],
    steps=["extract", "load"],
    params=[objects.Parameter("region", {"type": "string"}, False, "eu", "")],
    schedules=[{"name": "nightly", "rule": "cron 0 3 * * *", "tz": "UTC"}],
    partitions=None,
    fail_fast=False,
    timeout_s=3600.0,
    max_runs=1,
    max_steps=None,
    written_at="pipelines.py:12",
    project="shop",
    namespace="default",
)

ASSET = objects.Asset(
    name="daily_delays",
    deps=["flights"],
    step="daily_delays",
    group="raw",
    owner="ann",
    tags=[],
    kinds=["table"],
    description="Mean delay of each route",
    partitions={"kind": "daily", "start": "2013-01-01", "tz": "America/New_York"},
    external=False,
    code_version="1",
    columns=[objects.Column("route", "text"), objects.Column("delay", "float")],
    written_at="pipelines.py:40",
    project="shop",
    namespace="default",
)
