"""Six dashboards, each one static page made from the tables it declares.

Rule: a page reads only what its plan names, so the plan is the truth about what the page depends on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import charts as ink
import duckdb
from charts import chart, plain_axes
from matplotlib.figure import Figure
from pages import Column, dollars, heat, key, number, page, panel, percent, signed, table, tile, tiles
from training import MODELS
from warehouse import reader
from whole_files import write_text_whole

_AIRPORTS = ("EWR", "JFK", "LGA")
_AIRPORT_COLOURS = {"EWR": ink.ACCENT, "JFK": ink.SECOND, "LGA": ink.THIRD}
_AIRPORT_KEY = [("Newark", "--accent"), ("Kennedy", "--second"), ("LaGuardia", "--third")]
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Tables:
    """The tables of the warehouse that one page may read."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, allowed: tuple[str, ...]) -> None:
        self._connection = connection
        self._allowed = allowed
        self.rows_read = 0

    def rows(self, name: str, tail: str = "") -> list[dict[str, Any]]:
        if name not in self._allowed:
            raise LookupError(f"this dashboard does not say that it reads {name!r}")
        schemas = self._connection.execute(
            "select table_schema from information_schema.tables where table_name = ?", [name]
        ).fetchone()
        if schemas is None:
            raise LookupError(f"the warehouse has no table {name!r}: dbt has not built it yet")
        found = self._connection.execute(f"select * from {schemas[0]}.{name} {tail}")
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        self.rows_read += len(rows)
        return rows


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
    return {"name": name, "path": str(path), "bytes": path.stat().st_size, "plots": text.count("<svg"),
            "rows_read": tables.rows_read, "night": night}  # fmt: skip


# Punctuality -------------------------------------------------------------------------------------------------


def _punctuality(tables: Tables, artifacts: Path) -> list[str]:
    return [
        tiles(_night_tile(row) for row in _in_order(tables.rows("report_night"), "figure", _NIGHT_FIGURES)),
        panel(
            "On time, the last ninety days",
            "Share of flights that arrive less than 15 minutes late; a dot is a day, the line a mean of seven",
            chart("trend", 780, 372, lambda figure: _draw_trend(figure, tables.rows("report_trend", "order by flight_date"))),
            span=8,
        ),
        panel(
            "Carriers, 28 days",
            "On time, and the change to the 28 days before",
            _carrier_table(tables.rows("report_carriers", "where flights >= 50 order by punctuality desc")),
            span=4,
        ),
        panel(
            "The night, hour by hour",
            "Mean departure delay by scheduled hour, in minutes; a cross is an hour with cancellations",
            key(_AIRPORT_KEY)
            + chart("hours", 580, 248, lambda figure: _draw_hours(figure, tables.rows("report_airports", "order by origin, scheduled_hour"))),
            span=6,
        ),
        panel(
            "Where the week slips",
            "Share of flights that do not arrive on time, by weekday and scheduled hour",
            _week_heat(tables.rows("punctuality_origin_hour")),
            span=6,
            after="The day begins well and ends late: a delay at seven is everybody's delay at eight in the evening.",
        ),
        panel(
            "The hardest days of the year",
            "By mean departure delay, with the bad hours of weather that day",
            table(
                [
                    Column("flight_date", "Day", lambda day: f"{day:%a %d %b}", is_number=False),
                    Column("flights", "Flights", number),
                    Column("cancelled", "Cancelled", number, bar=True),
                    Column("punctuality", "On time", percent),
                    Column("mean_dep_delay", "Departure delay, min", lambda value: number(value, 1), bar=True),
                    Column("bad_hours", "Bad hours", number),
                    Column("precipitation", "Precipitation, in", lambda value: number(value, 2)),
                ],
                tables.rows("punctuality_worst_days", "order by mean_dep_delay desc limit 10"),
            ),
        ),
    ]


_NIGHT_FIGURES = {
    "flights": ("Flights", lambda value: number(value), "", 1),
    "punctuality": ("On time", lambda value: percent(value, 1), "", 1),
    "cancelled": ("Cancelled", lambda value: number(value), "flights", 1),
    "mean_dep_delay": ("Departure delay", lambda value: number(value, 1), "min", 1),
    "mean_arr_delay": ("Arrival delay", lambda value: number(value, 1), "min", 1),
}


def _night_tile(row: dict[str, Any]) -> str:
    label, write, unit, _ = _NIGHT_FIGURES[row["figure"]]
    usual = f"usually {write(row['usual'])}, {write(row['p10'])} to {write(row['p90'])}"
    return tile(label, write(row["value"]), unit, usual, (row["value"], row["p10"], row["p90"]))


def _draw_trend(figure: Figure, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    days = [row["flight_date"] for row in rows]
    axes.scatter(days, [row["punctuality"] * 100 for row in rows], s=12, color=ink.QUIET, zorder=2)
    axes.plot(days, [row["punctuality_7_days"] * 100 for row in rows], color=ink.ACCENT, zorder=3)
    last = rows[-1]
    axes.scatter([last["flight_date"]], [last["punctuality"] * 100], s=36, color=ink.BAD, zorder=4)
    axes.annotate("tonight", (last["flight_date"], last["punctuality"] * 100), (-8, 0), textcoords="offset points",
                  ha="right", va="center", color=ink.BAD)  # fmt: skip
    axes.set_ylim(min(20, *(row["punctuality"] * 100 for row in rows)) - 4, 101)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    _months_below(axes)
    plain_axes(axes)


def _months_below(axes: Any) -> None:
    from matplotlib.dates import DateFormatter, WeekdayLocator

    axes.xaxis.set_major_locator(WeekdayLocator(byweekday=0, interval=2))
    axes.xaxis.set_major_formatter(DateFormatter("%d %b"))


def _draw_hours(figure: Figure, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    for airport in _AIRPORTS:
        own = [row for row in rows if row["origin"] == airport]
        hours = [row["scheduled_hour"] for row in own]
        delays = [row["mean_dep_delay"] or 0 for row in own]
        axes.plot(hours, delays, color=_AIRPORT_COLOURS[airport], marker="o", markersize=3.5, markeredgewidth=0)
        cancelled = [(h, d) for h, d, row in zip(hours, delays, own, strict=True) if row["cancelled"]]
        axes.scatter([h for h, _ in cancelled], [d for _, d in cancelled], marker="x", s=42, linewidths=1.4,
                     color=_AIRPORT_COLOURS[airport], zorder=4)  # fmt: skip
    axes.set_xticks(range(6, 24, 3), [f"{hour}:00" for hour in range(6, 24, 3)])
    plain_axes(axes)


def _carrier_table(rows: list[dict[str, Any]]) -> str:
    for row in rows:
        row["change"] = (row["punctuality"] - row["punctuality_before"]) * 100 if row["punctuality_before"] else None
    return table(
        [
            Column("carrier_name", "Carrier", _short_name, is_number=False),
            Column("flights", "Flights", number),
            Column("punctuality", "On time", percent),
            Column("change", "Points", _coloured_change, html=True),
        ],
        rows,
    )


def _short_name(name: str) -> str:
    return name.replace(" Airlines", "").replace(" Airways", "").replace(" Air Lines", "").replace(" Air", "")


def _coloured_change(points: float | None) -> str:
    if points is None:
        return "–"
    word = "good" if points > 1 else "bad" if points < -1 else "muted"
    return f'<span class="{word}">{signed(points)}</span>'


def _week_heat(rows: list[dict[str, Any]]) -> str:
    hours = list(range(5, 24))
    flown: dict[tuple[int, int], list[float]] = {}
    for row in rows:
        kept = flown.setdefault((row["weekday"], row["scheduled_hour"]), [0, 0])
        kept[0] += row["flights"] - row["cancelled"]
        kept[1] += row["on_time"]

    def late_share(weekday: int, place: int) -> float | None:
        operated, on_time = flown.get((weekday + 1, hours[place]), (0, 0))
        return None if operated < 30 else 1 - on_time / operated

    return heat(_WEEKDAYS, [str(hour) for hour in hours], late_share, top=0.45)


# Routes ------------------------------------------------------------------------------------------------------


def _routes(tables: Tables, artifacts: Path) -> list[str]:
    summary = tables.rows("route_summary", "order by flights desc, route")
    flown = [row for row in summary if row["flights"] >= 365]
    contested = tables.rows("route_competition", "where flights >= 365")
    speeds = tables.rows("route_speeds")
    best, worst = max(flown, key=_punctuality_of), min(flown, key=_punctuality_of)
    return [
        tiles(
            [
                tile("Routes", number(len(summary)), "", f"{len(flown)} of them at least daily"),
                tile("Busiest", summary[0]["route"], f"{number(summary[0]['flights'])} flights", f"{summary[0]['carriers']} carriers share it"),
                tile("Most punctual", best["route"], percent(best["punctuality"]), "of those flown daily"),
                tile("Least punctual", worst["route"], percent(worst["punctuality"]), "of those flown daily"),
            ]
        ),
        panel(
            "Where New York flies",
            "A line is a route, as wide as it is busy, coloured by its punctuality among all routes",
            key([("most punctual fifth", "--scale-1"), ("middle", "--scale-3"), ("least punctual fifth", "--scale-5")])
            + chart("map", 780, 452, lambda figure: _draw_map(figure, tables.rows("route_map", "where dest_lon > -130 order by flights"))),
            span=8,
        ),
        panel(
            "Who owns a route",
            "Share of a route's largest carrier",
            chart("competition", 370, 430, lambda figure: _draw_competition(figure, contested)),
            span=4,
            after=f"Where two meet, the larger flies {percent(_median_share_of_two(contested))} at the median.",
        ),
        panel("The busiest routes", "Over the year up to the night", _route_table(summary[:14]), span=7),
        panel(
            "Against the jet stream",
            "Ground speed by month, in mph",
            key([("to the Pacific coast", "--accent"), ("to Florida", "--third")])
            + chart("speed", 470, 360, lambda figure: _draw_speed(figure, speeds)),
            span=5,
            after=f"The way to the Pacific is {_seasonal_spread(speeds):.0f} mph slower in its windiest month.",
        ),
    ]


def _punctuality_of(row: dict[str, Any]) -> float:
    return row["punctuality"] or 0.0


def _draw_map(figure: Figure, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    ranked = sorted(rows, key=_punctuality_of, reverse=True)
    fifth = {row["route"]: min(4, 5 * place // len(ranked)) for place, row in enumerate(ranked)}
    most = max(row["flights"] for row in rows)
    for row in rows:
        xs, ys = _arc(row["origin_lon"], row["origin_lat"], row["dest_lon"], row["dest_lat"])
        axes.plot(xs, ys, color=ink.SCALE[fifth[row["route"]]], linewidth=0.5 + 3.5 * row["flights"] / most, alpha=0.75)
    places = {row["dest_lon"]: (row["dest_lat"], row["flights"], row["route"][4:]) for row in rows}
    axes.scatter(list(places), [place[0] for place in places.values()], s=7, color=ink.INK, zorder=5, linewidths=0)
    for name, (dx, dy) in _NAMED_PLACES.items():
        at = next(((row["dest_lon"], row["dest_lat"]) for row in rows if row["dest"] == name), None)
        if at:
            axes.annotate(name, at, (dx, dy), textcoords="offset points", color=ink.MUTED,
                          ha="right" if dx < 0 else "left", va="center")  # fmt: skip
    axes.set_aspect(1.25)  # a degree of longitude is shorter up here
    axes.set_axis_off()


_NAMED_PLACES = {
    "SEA": (-6, 0), "SFO": (-6, 4), "LAX": (-6, -2), "DEN": (4, 9), "ORD": (-2, 10), "ATL": (-7, 3),
    "DFW": (-6, 6), "IAH": (-2, -10), "MIA": (6, -6), "MCO": (-7, 0), "BOS": (6, 4), "PHX": (2, -9), "MSP": (-4, 9),
}  # fmt: skip


def _arc(x0: float, y0: float, x1: float, y1: float) -> tuple[list[float], list[float]]:
    """A line that bends a little northward, as the way over a globe does."""
    steps = [step / 24 for step in range(25)]
    rise = 0.06 * abs(x1 - x0)
    xs = [x0 + (x1 - x0) * t for t in steps]
    return xs, [y0 + (y1 - y0) * t + rise * 4 * t * (1 - t) for t in steps]


def _median_share_of_two(rows: list[dict[str, Any]]) -> float | None:
    shares = sorted(row["largest_share"] for row in rows if row["carriers"] == 2)
    return shares[len(shares) // 2] if shares else None


def _draw_competition(figure: Figure, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    seen: dict[int, int] = {}
    for row in sorted(rows, key=lambda row: row["route"]):
        # Side by side in their column, so that routes of one share are seen as many.
        place = seen[row["carriers"]] = seen.get(row["carriers"], -1) + 1
        x = row["carriers"] + ((place * 0.618) % 1 - 0.5) * 0.6
        axes.scatter([x], [row["largest_share"] * 100], s=6 + row["flights"] / 120, color=ink.ACCENT, alpha=0.45, linewidths=0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    axes.set_ylim(0, 104)
    axes.set_xticks(sorted({row["carriers"] for row in rows}))
    axes.set_xlim(0.5, max(row["carriers"] for row in rows) + 0.5)
    axes.set_xlabel("carriers on the route")


def _route_table(rows: list[dict[str, Any]]) -> str:
    return table(
        [
            Column("route", "Route", is_number=False),
            Column("distance", "Miles", number),
            Column("carriers", "Carriers", number),
            Column("flights", "Flights", number, bar=True),
            Column("punctuality", "On time", percent),
            Column("mean_arr_delay", "Arrival delay, min", lambda value: number(value, 1)),
            Column("cancelled_share", "Cancelled", lambda value: percent(value, 1)),
        ],
        rows,
    )


_PACIFIC = {"LAX", "SFO", "SEA", "SAN", "PDX"}
_FLORIDA = {"MCO", "MIA", "FLL", "TPA", "PBI"}


def _speed_by_month(rows: list[dict[str, Any]], places: set[str]) -> dict[int, float]:
    own = [row for row in rows if row["route"][4:] in places]
    months = sorted({row["month"] for row in own})
    by_month = {month: [row["mean_mph"] for row in own if row["month"] == month] for month in months}
    return {month: sum(values) / len(values) for month, values in by_month.items()}


def _seasonal_spread(rows: list[dict[str, Any]]) -> float:
    speeds = _speed_by_month(rows, _PACIFIC).values()
    return max(speeds) - min(speeds)


def _draw_speed(figure: Figure, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    for places, colour in ((_PACIFIC, ink.ACCENT), (_FLORIDA, ink.THIRD)):
        speeds = _speed_by_month(rows, places)
        axes.plot(list(speeds), list(speeds.values()), color=colour, marker="o", markersize=4)
    axes.set_xticks(range(1, 13), [name[0] for name in _MONTHS])
    axes.margins(x=0.02)


# Weather -----------------------------------------------------------------------------------------------------


def _weather(tables: Tables, artifacts: Path) -> list[str]:
    bad_days = tables.rows("weather_bad_days", "order by weather_date")
    conditions = tables.rows("delay_by_conditions")
    fair, bad = _shares(conditions, {"fair"}), _shares(conditions, {"snow or ice", "low visibility", "rain", "strong wind"})
    last = bad_days[-1]
    return [
        tiles(
            [
                tile("Days with bad weather", number(len(bad_days)), "", "three bad hours or more at some airport"),
                tile("The last one", f"{last['weather_date']:%d %b}", f"{last['bad_hours']} bad hours", f"{number(last['cancelled'])} flights cancelled"),
                tile("On time in fair weather", percent(fair[0]), "", f"{percent(fair[1], 1)} cancelled"),
                tile("In all other weather", percent(bad[0]), "", f"{percent(bad[1], 1)} cancelled"),
            ]
        ),
        panel(
            "What the sky does to punctuality",
            "Share on time in each condition of the hour of departure",
            key(_AIRPORT_KEY) + chart("conditions", 580, 284, lambda figure: _draw_conditions(figure, conditions)),
            span=6,
        ),
        panel(
            "How long a bad hour lasts",
            "Mean departure delay, in minutes, by hours since bad weather",
            key(_AIRPORT_KEY)
            + chart("recovery", 580, 250, lambda figure: _draw_recovery(figure, tables.rows("weather_recovery", "order by origin, hours_after"))),
            span=6,
            after="The queue outlives the storm by hours.",
        ),
        panel("Wind", "Mean departure delay by wind speed, mph",
              chart("wind", 370, 210, lambda figure: _draw_bars(figure, tables.rows("delay_by_wind", "where flights >= 200 order by 1"), "wind_from_mph")), span=4),
        panel("Visibility", "Mean departure delay by visibility, miles",
              chart("visibility", 370, 210, lambda figure: _draw_bars(figure, tables.rows("delay_by_visibility", "where flights >= 200 order by 1"), "visibility_from_miles")), span=4),
        panel("Rain and snow", "Mean departure delay by what falls in the hour",
              chart("rain", 370, 210, lambda figure: _draw_bars(figure, _without_order(tables.rows("delay_by_rain", "order by 1"), "rain"), "rain")), span=4),
        panel(
            "Which winds hurt",
            "Share of departures over 15 minutes late, by where the wind comes from; rings at 10, 20 and 30 %",
            chart("roses", 780, 280, lambda figure: _draw_roses(figure, tables.rows("wind_sectors"))),
            span=8,
        ),
        panel(
            "Cancellations",
            "Share of flights cancelled, by month",
            key([("bad weather", "--bad"), ("other", "--quiet")])
            + chart("cancellations", 370, 250, lambda figure: _draw_cancellations(figure, tables.rows("weather_cancellations", "order by month"))),
            span=4,
        ),
    ]  # fmt: skip


_CONDITIONS = ("fair", "rain", "strong wind", "low visibility", "snow or ice")


def _shares(rows: list[dict[str, Any]], conditions: set[str]) -> tuple[float, float]:
    own = [row for row in rows if row["conditions"] in conditions]
    flights, cancelled = sum(row["flights"] for row in own), sum(row["cancelled"] for row in own)
    return sum(row["on_time"] for row in own) / (flights - cancelled), cancelled / flights


def _draw_conditions(figure: Figure, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    found = {(row["origin"], row["conditions"]): row["punctuality"] for row in rows}
    for place, condition in enumerate(reversed(_CONDITIONS)):
        values = {airport: found.get((airport, condition)) for airport in _AIRPORTS}
        known = {airport: value * 100 for airport, value in values.items() if value is not None}
        axes.plot([min(known.values()), max(known.values())], [place, place], color=ink.LINE, linewidth=4, zorder=1)
        for airport, value in known.items():
            axes.scatter([value], [place], s=64, color=_AIRPORT_COLOURS[airport], zorder=3, edgecolors=ink.PANEL, linewidths=1)
    axes.set_yticks(range(len(_CONDITIONS)), list(reversed(_CONDITIONS)))
    axes.tick_params(axis="y", labelcolor=ink.INK)
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    axes.set_ylim(-0.5, len(_CONDITIONS) - 0.5)
    axes.spines["bottom"].set_visible(False)


def _draw_recovery(figure: Figure, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    for airport in _AIRPORTS:
        own = [row for row in rows if row["origin"] == airport]
        axes.plot([row["hours_after"] for row in own], [row["mean_dep_delay"] for row in own],
                  color=_AIRPORT_COLOURS[airport], marker="o", markersize=3.5)  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set_xticks(range(0, 13, 2))
    plain_axes(axes, x="hours after; 0 is a bad hour itself")


def _draw_bars(figure: Figure, rows: list[dict[str, Any]], name: str) -> None:
    axes = figure.subplots()
    values = [row["mean_dep_delay"] for row in rows]
    axes.bar(range(len(rows)), values, color=ink.ACCENT, width=0.72, alpha=0.85)
    for place, value in enumerate(values):
        axes.annotate(f"{value:.0f}", (place, value), (0, 3), textcoords="offset points", ha="center", fontsize=10, color=ink.MUTED)
    axes.set_xticks(range(len(rows)), [str(row[name]) for row in rows])
    axes.set_yticks([])
    axes.margins(y=0.12)


def _without_order(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    # "2: light" is called so in the table to sort well; people read "light".
    return [{**row, name: row[name].split(": ", 1)[1]} for row in rows]


_SECTORS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")


def _draw_roses(figure: Figure, rows: list[dict[str, Any]]) -> None:
    from math import pi

    figure.get_layout_engine().set(wspace=0.1)  # type: ignore[union-attr]
    titles = dict(zip(_AIRPORTS, ("Newark", "Kennedy", "LaGuardia"), strict=True))
    most = max(row["late_share"] for row in rows)
    for place, airport in enumerate(_AIRPORTS, 1):
        axes = figure.add_subplot(1, 3, place, projection="polar")
        share = {row["wind_sector"]: row["late_share"] for row in rows if row["origin"] == airport}
        angles = [number * pi / 4 for number in range(8)]
        axes.bar(angles, [share.get(sector, 0) for sector in _SECTORS], width=0.7, color=_AIRPORT_COLOURS[airport], alpha=0.85)
        axes.set_theta_zero_location("N")
        axes.set_theta_direction(-1)
        axes.set_xticks(angles, _SECTORS)
        axes.set_ylim(0, most * 1.05)
        axes.set_yticks([0.1, 0.2, 0.3], [""] * 3)
        axes.spines["polar"].set_visible(False)
        axes.grid(visible=True, axis="both")
        axes.set_title(titles[airport], loc="center", fontsize=11, fontweight="normal", color=ink.MUTED, pad=10)


def _draw_cancellations(figure: Figure, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    for is_bad, offset, colour in ((False, 0.2, ink.QUIET), (True, -0.2, ink.BAD)):
        own = [row for row in rows if row["is_bad_weather"] is is_bad]
        axes.bar([row["month"].month + offset for row in own], [row["cancelled_share"] * 100 for row in own], width=0.4, color=colour)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    axes.set_xticks(range(1, 13), [name[0] for name in _MONTHS])
    plain_axes(axes)


# Fleet -------------------------------------------------------------------------------------------------------


def _fleet(tables: Tables, artifacts: Path) -> list[str]:
    carriers = tables.rows("carrier_fleet", "order by planes desc")
    makers = tables.rows("plane_makers", "order by departures desc")
    unknown = tables.rows("unknown_planes")
    planes = sum(row["planes"] for row in carriers)
    seats = tables.rows("seats_daily", "order by flight_date")
    return [
        tiles(
            [
                tile("Planes seen", number(planes), "", f"of {len(carriers)} carriers"),
                tile("Mean age", number(sum(row["mean_age"] * row["planes"] for row in makers) / sum(row["planes"] for row in makers), 1), "years", "of registered planes"),
                tile("Seats offered", number(sum(row["seats"] for row in seats) / 1e6, 1), "million", "over the year"),
                tile("Not in the register", number(sum(row["planes"] for row in unknown)), "tail numbers", f"{number(sum(row['flights'] for row in unknown))} flights by {len(unknown)} carriers"),
            ]
        ),
        panel(
            "A delay comes back",
            "Mean delay of a plane's next departure, in minutes, by its last arrival",
            chart("knock_on", 580, 250, lambda figure: _draw_knock_on(figure, tables.rows("knock_on", "order by 1"))),
            span=6,
        ),
        panel(
            "Older planes are no less punctual",
            "Share on time by age of the plane in years; a dot is as large as it flies",
            chart("age", 580, 250, lambda figure: _draw_age(figure, tables.rows("plane_age", "where flights >= 500 order by age_years"))),
            span=6,
        ),
        panel("Fleets", "Planes that a carrier brings to New York",
              table([Column("carrier", "Carrier", is_number=False), Column("planes", "Planes", number, bar=True),
                     Column("mean_age", "Age", lambda value: number(value, 1)), Column("median_seats", "Seats", number),
                     Column("departures_a_plane", "Departures a plane", number),
                     Column("unregistered_share", "Unregistered", percent)], carriers), span=7),
        panel("Types", "By departures",
              table([Column("plane_model", "Type", is_number=False), Column("planes", "Planes", number),
                     Column("seats", "Seats", number), Column("departures", "Departures", number, bar=True)],
                    tables.rows("plane_models", "order by departures desc, plane_model limit 16")), span=5),
        panel(
            "Seats a day",
            "Offered from each airport, mean of seven days, in thousands",
            key(_AIRPORT_KEY) + chart("seats", 1180, 220, lambda figure: _draw_seats(figure, seats)),
        ),
    ]  # fmt: skip


def _draw_knock_on(figure: Figure, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    known = [row for row in rows if row["flights"] >= 30]
    xs, ys = [row["previous_delay_from"] for row in known], [row["mean_dep_delay"] for row in known]
    axes.plot([0, max(ys)], [0, max(ys)], color=ink.QUIET, linewidth=1, linestyle=(0, (4, 4)))
    axes.annotate("as late as before", (100, 100), (-8, 6), textcoords="offset points", ha="right", color=ink.MUTED)
    axes.plot(xs, ys, color=ink.ACCENT, marker="o", markersize=4)
    axes.set_ylim(0, max(ys) * 1.08)
    axes.set_xlim(-20, max(xs) + 5)
    axes.set_xlabel("minutes late before")


def _draw_age(figure: Figure, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    axes.scatter([row["age_years"] for row in rows], [row["punctuality"] * 100 for row in rows],
                 s=[row["flights"] / 60 for row in rows], color=ink.ACCENT, alpha=0.6, linewidths=0)  # fmt: skip
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    axes.set_ylim(65, 85)
    axes.set_yticks(range(65, 86, 5))
    axes.set_xlabel("years")


def _draw_seats(figure: Figure, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    for airport in _AIRPORTS:
        own = [row for row in rows if row["origin"] == airport]
        seats = [float(row["seats"]) for row in own]
        smooth = [sum(seats[max(0, place - 6) : place + 1]) / len(seats[max(0, place - 6) : place + 1]) / 1e3 for place in range(len(seats))]
        axes.plot([row["flight_date"] for row in own], smooth, color=_AIRPORT_COLOURS[airport])
    from matplotlib.dates import DateFormatter, MonthLocator

    axes.xaxis.set_major_locator(MonthLocator())
    axes.xaxis.set_major_formatter(DateFormatter("%b"))
    axes.set_ylim(bottom=0)
    plain_axes(axes)


# Costs -------------------------------------------------------------------------------------------------------


def _costs(tables: Tables, artifacts: Path) -> list[str]:
    running = tables.rows("cost_year_to_date", "order by flight_date")
    causes = tables.rows("cost_by_cause", "order by month, cause")
    hours = sum(row["passenger_hours"] for row in tables.rows("cost_passenger_hours"))
    tonight, total = running[-1], running[-1]["year_to_date_usd"]
    usual = sorted(row["total_usd"] for row in running[-29:-1])
    knock_on = sum(row["total_usd"] for row in causes if row["cause"] == "knock-on") / total
    return [
        tiles(
            [
                tile("Tonight", dollars(tonight["total_usd"]), "", f"usually {dollars(usual[len(usual) // 2])}", (tonight["total_usd"], usual[2], usual[-3])),
                tile("Year to date", dollars(total), "", f"{dollars(total / len(running))} a day"),
                tile("Passengers lost", number(hours / 1e6, 1), "million hours", "at four of five seats taken"),
                tile("Passed on", percent(knock_on), "of the cost", "from a flight before by the same plane"),
            ]
        ),
        panel(
            "What the year has cost",
            "Cost of delays and cancellations a day, in million dollars; the line is a mean of seven days",
            chart("cost_days", 1180, 240, lambda figure: _draw_cost_days(figure, running)),
        ),
        panel(
            "By likeliest cause",
            "Million dollars a month",
            key([("operations", "--accent"), ("weather", "--second"), ("knock-on", "--third")])
            + chart("causes", 580, 282, lambda figure: _draw_causes(figure, causes)),
            span=6,
        ),
        panel("By carrier", "In all, and a flight",
              table([Column("carrier", "Carrier", is_number=False), Column("flights", "Flights", number),
                     Column("total_usd", "Cost", dollars, bar=True), Column("usd_a_flight", "A flight", dollars)],
                    tables.rows("cost_by_carrier", "where flights > 0 order by total_usd desc limit 10")), span=6),
        panel("The dearest flights", "Delay and cancellation with what passengers lost",
              table([Column("flight_date", "Day", lambda day: f"{day:%d %b}", is_number=False),
                     Column("flight_key", "Flight", lambda name: " ".join(name.split("-")[:2]), is_number=False),
                     Column("route", "Route", is_number=False), Column("late_minutes", "Late, min", number),
                     Column("cause", "Cause", is_number=False), Column("total_usd", "Cost", dollars, bar=True)],
                    tables.rows("cost_worst_flights", "order by total_usd desc, flight_key limit 10")),
              after="Rates are assumptions of this example: see seeds/delay_cost_rates.csv."),
    ]  # fmt: skip


def _draw_cost_days(figure: Figure, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    days = [row["flight_date"] for row in rows]
    axes.bar(days, [row["total_usd"] / 1e6 for row in rows], color=ink.QUIET, width=0.75)
    axes.plot(days, [row["mean_7_days_usd"] / 1e6 for row in rows], color=ink.ACCENT)
    from matplotlib.dates import DateFormatter, MonthLocator

    axes.xaxis.set_major_locator(MonthLocator())
    axes.xaxis.set_major_formatter(DateFormatter("%b"))
    plain_axes(axes)


def _draw_causes(figure: Figure, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    months = sorted({row["month"] for row in rows})
    below = [0.0] * len(months)
    for cause, colour in (("operations", ink.ACCENT), ("weather", ink.SECOND), ("knock-on", ink.THIRD)):
        found = {row["month"]: row["total_usd"] / 1e6 for row in rows if row["cause"] == cause}
        values = [found.get(month, 0.0) for month in months]
        axes.bar([month.month for month in months], values, bottom=below, color=colour, width=0.7, alpha=0.9)
        below = [low + value for low, value in zip(below, values, strict=True)]
    axes.set_xticks(range(1, 13), [name[0] for name in _MONTHS])
    plain_axes(axes)


# Models ------------------------------------------------------------------------------------------------------


def _models(tables: Tables, artifacts: Path) -> list[str]:
    scores = [json.loads(path.read_text()) for path in (artifacts / f"{name}.json" for name in MODELS) if path.exists()]
    passed = sum(score["passed"] for score in scores)
    parts = [
        tiles(
            [
                tile("Models", number(len(scores)), f"of {len(MODELS)}", "trained"),
                tile("Good enough", number(passed), f"of {len(scores)}", "on days that they had not seen"),
                tile("Flights learned from", number(max((s["rows_learned"] for s in scores), default=0)), "", "by the largest"),
                tile("Held out", "a fifth", "of the days", "whole days, never single flights"),
            ]
        ),
        panel("Scores", "On held-out days, beside the guess that a model must beat and the bar it must clear", _score_table(scores)),
    ]
    for place, score in enumerate(scores):
        plan = MODELS[score["name"]]
        span, width = (6, 580) if place < len(scores) % 3 else (4, 374)  # rows of two, then of three: no hole
        plot = chart(f"model_{plan.name}", width, 230, _drawn(score, is_risk=plan.is_risk))
        parts.append(panel(_spoken(score["name"]), plan.description, plot, span=span))
    return parts


def _spoken(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _score_table(scores: list[dict[str, Any]]) -> str:
    rows = [{**score, "name": _spoken(score["name"]), "metric": score["metric"].replace("_", " ").replace("roc auc", "ROC AUC"),
             "gain": _gain(score)} for score in scores]  # fmt: skip
    return table(
        [
            Column("name", "Model", is_number=False),
            Column("metric", "Metric", is_number=False),
            Column("value", "Score", lambda value: number(value, 3)),
            Column("threshold", "Bar", lambda value: number(value, 2)),
            Column("passed", "", _verdict, is_number=False, html=True),
            Column("baseline", "Guess", lambda value: number(value, 3)),
            Column("baseline_is", "which is", is_number=False),
            Column("gain", "Better by", percent, bar=True),
            Column("rows_learned", "Learned from", number),
        ],
        rows,
    )


def _gain(score: dict[str, Any]) -> float:
    if score["higher_is_better"]:
        return (score["value"] - score["baseline"]) / (1 - score["baseline"])
    return 1 - score["value"] / score["baseline"]


def _verdict(passed: bool) -> str:
    return '<span class="good">✓ passed</span>' if passed else '<span class="bad">■ failed</span>'


def _drawn(score: dict[str, Any], *, is_risk: bool) -> Callable[[Figure], None]:
    def draw(figure: Figure) -> None:
        calibration, importance = figure.subplots(1, 2, width_ratios=[1, 1.1])
        _draw_calibration(calibration, score["bands"], is_risk=is_risk)
        _draw_importance(importance, score["importance"])

    return draw


def _draw_calibration(axes: Any, bands: list[dict[str, float]], *, is_risk: bool) -> None:
    scale = 100 if is_risk else 1
    told, came = [band["told"] * scale for band in bands], [band["came"] * scale for band in bands]
    ends = [min(*told, *came), max(*told, *came)]
    axes.plot(ends, ends, color=ink.QUIET, linewidth=1, linestyle=(0, (4, 4)))
    axes.scatter(told, came, s=26, color=ink.ACCENT, linewidths=0, zorder=3)
    if is_risk:
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    axes.set_xlabel("told")
    axes.set_title("what came true", fontsize=11, fontweight="normal", color=ink.MUTED)
    axes.margins(0.06)


def _draw_importance(axes: Any, importance: dict[str, float]) -> None:
    found = [(name, max(weight, 0)) for name, weight in importance.items()][:6][::-1]
    axes.barh(range(len(found)), [weight for _, weight in found], color=ink.SECOND, height=0.6, alpha=0.85)
    axes.set_yticks(range(len(found)), [name.replace("_", " ") for name, _ in found])
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    axes.set_title("what it looks at", fontsize=11, fontweight="normal", color=ink.MUTED)


def _in_order(rows: list[dict[str, Any]], name: str, order: dict[str, Any]) -> list[dict[str, Any]]:
    found = {row[name]: row for row in rows}
    return [found[value] for value in order if value in found]


_PLANS = (
    DashboardPlan(
        "punctuality",
        "Punctuality",
        "How the night went beside the month before it, and where the week loses its time.",
        ("report_night", "report_trend", "report_carriers", "report_airports", "punctuality_origin_hour", "punctuality_worst_days"),
        (),
        _punctuality,
    ),
    DashboardPlan(
        "routes",
        "Routes",
        "Where New York flies, who flies there, and how well.",
        ("route_summary", "route_map", "route_competition", "route_speeds"),
        (),
        _routes,
    ),
    DashboardPlan(
        "weather",
        "Weather",
        "What wind, rain and fog do to departures, and how long it lasts.",
        ("weather_bad_days", "delay_by_conditions", "delay_by_wind", "delay_by_visibility", "delay_by_rain",
         "weather_recovery", "weather_cancellations", "wind_sectors"),
        (),
        _weather,
    ),
    DashboardPlan(
        "fleet",
        "Fleet",
        "The planes, their days, and how one late arrival becomes the next late departure.",
        ("carrier_fleet", "plane_makers", "plane_models", "plane_age", "unknown_planes", "seats_daily", "knock_on"),
        (),
        _fleet,
    ),
    DashboardPlan(
        "costs",
        "Costs",
        "What delays and cancellations cost carriers and passengers, by assumed rates.",
        ("cost_year_to_date", "cost_by_cause", "cost_by_carrier", "cost_passenger_hours", "cost_worst_flights"),
        (),
        _costs,
    ),
    DashboardPlan(
        "models",
        "Models",
        "Five models on days that they have not seen: what they told, what came true, and what they look at.",
        (),
        tuple(MODELS),
        _models,
    ),
)  # fmt: skip
DASHBOARDS: dict[str, DashboardPlan] = {plan.name: plan for plan in _PLANS}
