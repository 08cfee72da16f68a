"""Projects that somebody may have written: pipelines with schedules in zones that change their clocks, sensors, alerts.

Rule: from the seed alone. An edit makes another version of the same project; what it does not touch stays as it was.
"""

from __future__ import annotations

import datetime as dt
from random import Random

import msgspec
from msgspec.structs import replace

from partita.core import automation
from partita.core.alerts import AlertOptions
from partita.core.graph import Graph, Output, Step
from partita.core.manifest import (
    AlertSpec,
    AssetSpec,
    ChannelSpec,
    ConcurrencySpec,
    Freshness,
    Manifest,
    PartitionSpec,
    PipelineSpec,
    RateSpec,
    ScheduleSpec,
    SensorSpec,
)
from partita.core.plain import pack
from partita.core.policies import Policies, Retry
from partita.core.zones import tzinfo

from .graphs import random_graph

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Santiago")
RULES = (
    "cron */20 * * * *",
    "cron 15 * * * *",
    "cron 30 1,2,3 * * *",
    "cron 30 2 * * *",
    "cron 0,30 0-5 * * *",
    "cron 5 */6 * * *",
    "cron 0 3 * * 0,1;45 1 * * *",
    "every 2700",
    "every 5400 from 2026-01-01T00:10:00",
    "own ticks:3600",
)
RATE = RateSpec("api", 3, 600.0)
# Instants at which some clock somewhere changes.
CHANGES = (1_772_953_200, 1_774_746_000, 1_775_314_800, 1_775_358_000, 1_791_039_600, 1_792_890_000, 1_793_512_800)
DAYS = 12
# How old what another system makes may be.
FRESH = Freshness(warn_s=2 * 3600.0, fail_s=5 * 3600.0)
# Signed or not, by the seed.
_HOOKS = ({"max_bytes": 1000}, {"max_bytes": 1000, "secret": "HOOK_KEY", "header": "X-Signature"})


def project(rng: Random, begin: float) -> Manifest:
    """The first version."""
    pipelines = [_pipeline(rng, f"p{n}", begin) for n in range(rng.randint(2, 4))]
    pipelines += [_daily(rng, begin), PipelineSpec("asked", _small(rng)), PipelineSpec("follow", _small(rng))]
    sensors = (
        SensorSpec("items", "function", ("asked",), interval_s=rng.choice((30.0, 600.0))),
        SensorSpec("hook", "webhook", ("asked",), options=pack(rng.choice(_HOOKS))),
        SensorSpec("ends", "run_end", ("follow",), options=pack({"pipelines": ["p0"]})),
    )
    assets = (
        AssetSpec("orders", external=True, freshness=FRESH),
        AssetSpec("table", deps=("orders",), step="table", automation=automation.encode(automation.on_upstream())),
    )
    options = msgspec.msgpack.encode(AlertOptions(repeat_s=0.0, recovery=rng.random() < 0.5))
    return Manifest(
        "shop",
        pipelines=tuple(pipelines),
        sensors=sensors,
        assets=assets,
        assets_graph=Graph("assets", (Step("table", asset="table"),)),
        alerts=(AlertSpec("ops", ("run.failed", "schedule.*"), ("chat",), options=options),),
        channels=(ChannelSpec("chat", "webhook"),),
        pools=(("db", 2),),
        rates=(RATE,),
    )


def edited(rng: Random, manifest: Manifest, begin: float, schedule: str = "") -> Manifest:
    """Somebody has edited it: a schedule is another one, is gone, or is new; or only the code has changed.

    `schedule` names one that has another timetable now, whatever else is edited.
    """
    pipelines = [_retimed(rng, pipeline, schedule, begin) for pipeline in manifest.pipelines]
    scheduled = [n for n, pipeline in enumerate(pipelines) if pipeline.schedules or pipeline.name.startswith("p")]
    for _ in range(rng.choice((0, 1, 1, 2))):
        n = rng.choice(scheduled)
        pipelines[n] = _edited(rng, pipelines[n], begin)
    return replace(manifest, pipelines=tuple(pipelines), code=f"{rng.getrandbits(32):x}")


def _retimed(rng: Random, pipeline: PipelineSpec, name: str, begin: float) -> PipelineSpec:
    if pipeline.partitions is not None or not any(spec.name == name for spec in pipeline.schedules):
        return pipeline
    schedules = (_schedule(rng, s.name, begin) if s.name == name else s for s in pipeline.schedules)
    return replace(pipeline, schedules=tuple(schedules))


def _edited(rng: Random, pipeline: PipelineSpec, begin: float) -> PipelineSpec:
    schedules = list(pipeline.schedules)
    if not schedules or rng.random() < 0.15:
        if pipeline.name.startswith("p") and not any(s.name == f"{pipeline.name}-new" for s in schedules):
            schedules.append(_schedule(rng, f"{pipeline.name}-new", begin))
        return replace(pipeline, schedules=tuple(schedules))
    n = rng.randrange(len(schedules))
    old = schedules[n]
    if rng.random() < 0.15:
        del schedules[n]
    elif pipeline.partitions is not None:
        schedules[n] = replace(old, catchup=_catchup(rng), overlap=_overlap(rng))
    elif rng.random() < 0.2:
        schedules[n] = replace(old, paused=not old.paused)
    elif rng.random() < 0.5:
        schedules[n] = replace(old, catchup=_catchup(rng), overlap=_overlap(rng), jitter_s=_jitter(rng))
    else:
        schedules[n] = _schedule(rng, old.name, begin)
    return replace(pipeline, schedules=tuple(schedules))


def _pipeline(rng: Random, name: str, begin: float) -> PipelineSpec:
    graph = random_graph(rng, may_be_lost=False) if rng.random() < 0.2 else _small(rng)
    schedules = tuple(_schedule(rng, f"{name}-{n}", begin) for n in range(rng.choice((1, 1, 2))))
    keys = (ConcurrencySpec("same", rng.choice((1, 2))),) if rng.random() < 0.4 else ()
    return PipelineSpec(
        name,
        graph,
        schedules=schedules,
        max_runs=rng.choice((None, None, 1, 2)),
        concurrency=keys,
        priority=rng.choice((0, 0, 3)),
    )


def _daily(rng: Random, begin: float) -> PipelineSpec:
    """A pipeline with a partition for each day, scheduled and backfilled."""
    tz = rng.choice(ZONES)
    days = PartitionSpec("daily", start="2026-01-01", tz=tz)
    spec = ScheduleSpec("daily", "cron 0 0 * * *", tz, catchup=_catchup(rng), overlap=_overlap(rng))
    return PipelineSpec("daily", _small(rng), schedules=(spec,), partitions=days)


def _schedule(rng: Random, name: str, begin: float) -> ScheduleSpec:
    rule = rng.choice((*RULES, _bursts(begin), _bursts(begin)))
    end = ""
    if rng.random() < 0.1:
        end = dt.datetime.fromtimestamp(begin + rng.uniform(0.5, 3) * 86400, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
    return ScheduleSpec(
        name,
        rule,
        "UTC" if rule.startswith(("every", "own", "dates")) else _zone(rng, begin),
        catchup=_catchup(rng),
        overlap=rng.choice(("queue", "allow", "skip")) if rule.startswith("dates") else _overlap(rng),
        jitter_s=_jitter(rng),
        end=end,
        paused=rng.random() < 0.1,
        pause_after=rng.choice((0, 0, 0, 2)),
        land=rule.startswith("cron") and rng.random() < 0.1,
    )


def _zone(rng: Random, begin: float) -> str:
    """Often one whose clocks change soon."""
    soon = [tz for tz in ZONES if _offset(tz, begin) != _offset(tz, begin + 36 * 3600.0)]
    return rng.choice(soon if soon and rng.random() < 0.4 else ZONES)


def _offset(tz: str, at: float) -> dt.timedelta | None:
    return dt.datetime.fromtimestamp(at, tzinfo(tz)).utcoffset()


def _bursts(begin: float) -> str:
    """Three instants within seconds, and again after a while: all of them may be due before there is another turn."""
    first = int(begin) // 3600 * 3600 + 1800
    dates = (dt.datetime.fromtimestamp(first + n * 5400 + s, dt.UTC) for n in range(24) for s in (0, 3, 8))
    return "dates " + " ".join(f"{date:%Y-%m-%dT%H:%M:%S}" for date in dates)


def _catchup(rng: Random) -> str:
    return rng.choice(("none", "none", "latest", "all", "all", "last 3"))


def _overlap(rng: Random) -> str:
    return rng.choice(("queue", "skip", "skip", "cancel_running", "allow"))


def _jitter(rng: Random) -> float:
    return rng.choice((0.0, 0.0, 0.0, 45.0, 400.0))


def _small(rng: Random) -> Graph:
    def policies() -> Policies:
        return Policies(
            retry=Retry(limit=rng.choice((0, 1)), delays_s=(30.0,)),
            pools=(("db", 1),) if rng.random() < 0.4 else (),
            rates=(("api", 1),) if rng.random() < 0.25 else (),
        )

    first = Step("a", policies=policies())
    if rng.random() < 0.5:
        return Graph("small", (first,))
    return Graph("small", (first, Step("b", args=(("x", Output("a")),), needs=("a",), policies=policies())))
