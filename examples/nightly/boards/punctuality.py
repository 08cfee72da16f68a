"""How the night went, and where the week loses its time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import charts as ink
from charts import chart, plain_axes
from matplotlib.figure import Figure
from pages import Column, heat, key, number, panel, percent, signed, table, tile, tiles
from tables import Tables

from boards.words import AIRPORT_COLOURS, AIRPORT_KEY, AIRPORTS, WEEKDAYS


def parts(tables: Tables, artifacts: Path) -> list[str]:
    return [
        tiles(_night_tile(row) for row in _in_order(tables.rows("report_night"), "figure", _NIGHT_FIGURES)),
        panel(
            "On time, the last ninety days",
            "Share of flights that arrive less than 15 minutes late; a dot is a day, the line a mean of seven",
            chart(
                "trend",
                780,
                372,
                lambda figure: _draw_trend(figure, tables.rows("report_trend", "order by flight_date")),
            ),
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
            key(AIRPORT_KEY)
            + chart(
                "hours",
                580,
                248,
                lambda figure: _draw_hours(figure, tables.rows("report_airports", "order by origin, scheduled_hour")),
            ),
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
    axes.annotate(
        "tonight",
        (last["flight_date"], last["punctuality"] * 100),
        (-8, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        color=ink.BAD,
    )
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
    for airport in AIRPORTS:
        own = [row for row in rows if row["origin"] == airport]
        hours = [row["scheduled_hour"] for row in own]
        delays = [row["mean_dep_delay"] or 0 for row in own]
        axes.plot(hours, delays, color=AIRPORT_COLOURS[airport], marker="o", markersize=3.5, markeredgewidth=0)
        cancelled = [(h, d) for h, d, row in zip(hours, delays, own, strict=True) if row["cancelled"]]
        axes.scatter(
            [h for h, _ in cancelled],
            [d for _, d in cancelled],
            marker="x",
            s=42,
            linewidths=1.4,
            color=AIRPORT_COLOURS[airport],
            zorder=4,
        )
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

    return heat(WEEKDAYS, [str(hour) for hour in hours], late_share, top=0.45)


def _in_order(rows: list[dict[str, Any]], name: str, order: dict[str, Any]) -> list[dict[str, Any]]:
    found = {row[name]: row for row in rows}
    return [found[value] for value in order if value in found]
