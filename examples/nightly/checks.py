"""Six quality tests that are easier said in Python than in SQL, each about one model of the dbt project.

Rule: a check reads, and answers with a verdict and the figures that it judged by. It never raises on bad data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import duckdb

Verdict = tuple[bool, dict[str, Any]]

_ENOUGH_SOURCES = 45
_ROUTES_ALLOWED_TO_VANISH = 0.05
_WEATHER_MAY_LAG_H = 24
_EMPTY_SHARE_ALLOWED = 0.35
# The seasons move it by up to 1.34 within the year; columns that are read wrongly move it by far more.
_DRIFT_ALLOWED = 1.5


@dataclass(frozen=True)
class Check:
    """`about` is the dbt model that is judged; a blocking check stops what builds on it."""

    about: str
    is_blocking: bool
    judge: Callable[[duckdb.DuckDBPyConnection], Verdict]

    @property
    def name(self) -> str:
        return self.judge.__name__

    @property
    def description(self) -> str:
        return (self.judge.__doc__ or "").strip()


def enough_sources_have_landed(connection: duckdb.DuckDBPyConnection) -> Verdict:
    """At least 45 of the 50 sources are there; with fewer, the facts over all feeds would mislead."""
    night, landed, expected = _row(connection, "select night, sources_landed, sources_expected from core.nights")
    return landed >= _ENOUGH_SOURCES, {"night": str(night), "landed": landed, "expected": expected}


def night_has_its_usual_flights(connection: duckdb.DuckDBPyConnection) -> Verdict:
    """The night's flights are as many as its weekday usually has, give or take a quarter."""
    landed, usual = _row(connection, "select sum(rows), sum(usual_flights) from core.feed_completeness")
    ratio = landed / usual if usual else math.nan
    return 0.75 <= ratio <= 1.25, {"landed": landed, "usual": usual, "ratio": round(ratio, 3)}


def weather_reaches_the_night(connection: duckdb.DuckDBPyConnection) -> Verdict:
    """The last hour of weather is no older than a day before the night's end."""
    night, last = _row(
        connection, "select (select night from core.nights), max(observed_at_utc) from core.weather_hours"
    )
    lag_h = _row(connection, "select date_diff('hour', ?::timestamp, ?::date + 1)", [last, night])[0]
    return lag_h <= _WEATHER_MAY_LAG_H, {"last_hour_utc": str(last), "lag_hours": lag_h}


def routes_do_not_vanish(connection: duckdb.DuckDBPyConnection) -> Verdict:
    """Of the routes flown daily in the month before, nearly all were flown in the last week."""
    regular, gone = _row(
        connection,
        """
        with nights as (select night from core.nights),
        regular as (
          select route from routes.route_daily, nights
          where flight_date between night - 35 and night - 8 group by route having count(*) >= 27
        ),
        recent as (select distinct route from routes.route_daily, nights where flight_date > night - 7)
        select count(*), count(*) filter (recent.route is null) from regular left join recent using (route)
        """,
    )
    share = gone / regular if regular else 0.0
    return share <= _ROUTES_ALLOWED_TO_VANISH, {"regular": regular, "gone": gone, "share": round(share, 3)}


def costs_add_up(connection: duckdb.DuckDBPyConnection) -> Verdict:
    """The year's cost is the same by day, by carrier and by cause, to the dollar."""
    by_day, by_carrier, by_cause = _row(
        connection,
        """
        select (select sum(total_usd) from finance.cost_daily), (select sum(total_usd) from finance.cost_by_carrier),
          (select sum(total_usd) from finance.cost_by_cause)
        """,
    )
    spread = max(by_day, by_carrier, by_cause) - min(by_day, by_carrier, by_cause)
    return spread < 1.0, {"usd": round(by_day), "spread_usd": round(spread, 2)}


def features_are_filled_and_steady(connection: duckdb.DuckDBPyConnection) -> Verdict:
    """No feature is mostly empty, and the carriers' form of the last month looks like the year's."""
    emptiest, share = _emptiest_feature(connection)
    drift = _drift(connection)
    passed = share <= _EMPTY_SHARE_ALLOWED and drift <= _DRIFT_ALLOWED
    return passed, {"emptiest": emptiest, "empty_share": round(share, 4), "drift": round(drift, 4)}


CHECKS = (
    Check("nights", True, enough_sources_have_landed),
    Check("feed_completeness", False, night_has_its_usual_flights),
    Check("weather_hours", False, weather_reaches_the_night),
    Check("route_daily", False, routes_do_not_vanish),
    Check("cost_by_cause", True, costs_add_up),
    Check("flight_features", True, features_are_filled_and_steady),
)


def _emptiest_feature(connection: duckdb.DuckDBPyConnection) -> tuple[str, float]:
    names = [row[0] for row in connection.execute("describe features.flight_features").fetchall()]
    columns = ", ".join(f"avg(({name} is null)::int)" for name in names)
    shares = _row(connection, f"select {columns} from features.flight_features")
    return max(zip(names, shares, strict=True), key=lambda pair: pair[1])


def _drift(connection: duckdb.DuckDBPyConnection) -> float:
    """The population stability index of the carriers' punctuality: the last 28 days against the year before."""
    rows = connection.execute(
        """
        select least(floor(punctuality_7_days * 10), 9)::int as band,
          count(*) filter (flight_date between night - 27 and night) as recent, count(*) filter (flight_date <= night - 28) as before
        from features.carrier_form, core.nights where punctuality_7_days is not null group by band
        """
    ).fetchall()
    recent, before = sum(row[1] for row in rows), sum(row[2] for row in rows)
    shares = [((row[1] + 0.5) / (recent + 5), (row[2] + 0.5) / (before + 5)) for row in rows]
    return sum((now - then) * math.log(now / then) for now, then in shares)


def _row(connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any] | None = None) -> tuple[Any, ...]:
    row = connection.execute(query, parameters or []).fetchone()
    assert row is not None
    return row
