"""Six dashboards, each one static page made from the tables it declares.

Rule: what stands on a page is said in `boards`; here is what a page is called, what it needs, and how it is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boards import costs, fleet, models, punctuality, routes, weather
from pages import page
from tables import Tables
from training import MODELS
from warehouse import reader
from whole_files import write_text_whole


@dataclass(frozen=True)
class DashboardPlan:
    name: str
    title: str
    lead: str
    reads: tuple[str, ...]  # dbt models
    models: tuple[str, ...]  # trained models
    parts: Callable[[Tables, Path], list[str]]


def refresh(name: str, warehouse: Path, artifacts: Path, dashboards: Path) -> dict[str, Any]:
    """Write one dashboard again, whole."""
    plan = DASHBOARDS[name]
    with reader(warehouse) as connection:
        tables = Tables(connection, (*plan.reads, "nights"))
        night = str(tables.rows("nights")[0]["night"])
        parts = plan.parts(tables, artifacts)
    links = [(other.name, other.title) for other in DASHBOARDS.values()]
    foot = f"From {', '.join(plan.reads + plan.models)}. All departures of 2013 up to the night."
    text = page(plan.title, plan.lead, night, parts, links, foot)
    path = dashboards / f"{name}.html"
    write_text_whole(path, text)
    return {
        "name": name,
        "path": str(path),
        "bytes": path.stat().st_size,
        "plots": text.count("<svg"),
        "rows_read": tables.rows_read,
        "night": night,
    }


_PLANS = (
    DashboardPlan(
        "punctuality",
        "Punctuality",
        "How the night went beside the month before it, and where the week loses its time.",
        (
            "report_night",
            "report_trend",
            "report_carriers",
            "report_airports",
            "punctuality_origin_hour",
            "punctuality_worst_days",
        ),
        (),
        punctuality.parts,
    ),
    DashboardPlan(
        "routes",
        "Routes",
        "Where New York flies, who flies there, and how well.",
        ("route_summary", "route_map", "route_competition", "route_speeds"),
        (),
        routes.parts,
    ),
    DashboardPlan(
        "weather",
        "Weather",
        "What wind, rain and fog do to departures, and how long it lasts.",
        (
            "weather_bad_days",
            "delay_by_conditions",
            "delay_by_wind",
            "delay_by_visibility",
            "delay_by_rain",
            "weather_recovery",
            "weather_cancellations",
            "wind_sectors",
        ),
        (),
        weather.parts,
    ),
    DashboardPlan(
        "fleet",
        "Fleet",
        "The planes, their days, and how one late arrival becomes the next late departure.",
        ("carrier_fleet", "plane_makers", "plane_models", "plane_age", "unknown_planes", "seats_daily", "knock_on"),
        (),
        fleet.parts,
    ),
    DashboardPlan(
        "costs",
        "Costs",
        "What delays and cancellations cost carriers and passengers, by assumed rates.",
        ("cost_year_to_date", "cost_by_cause", "cost_by_carrier", "cost_passenger_hours", "cost_worst_flights"),
        (),
        costs.parts,
    ),
    DashboardPlan(
        "models",
        "Models",
        "Five models on days that they have not seen: what they told, what came true, and what they look at.",
        (),
        tuple(MODELS),
        models.parts,
    ),
)
DASHBOARDS: dict[str, DashboardPlan] = {plan.name: plan for plan in _PLANS}
