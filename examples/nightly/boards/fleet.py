"""The planes, and how a delay travels with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import charts as ink
from charts import chart, plain_axes
from matplotlib.figure import Figure
from pages import Column, key, number, panel, percent, table, tile, tiles
from tables import Tables

from boards.words import AIRPORT_COLOURS, AIRPORT_KEY, AIRPORTS


def parts(tables: Tables, artifacts: Path) -> list[str]:
    carriers = tables.rows("carrier_fleet", "order by planes desc")
    makers = tables.rows("plane_makers", "order by departures desc")
    unknown = tables.rows("unknown_planes")
    planes = sum(row["planes"] for row in carriers)
    seats = tables.rows("seats_daily", "order by flight_date")
    return [
        tiles(
            [
                tile("Planes seen", number(planes), "", f"of {len(carriers)} carriers"),
                tile(
                    "Mean age",
                    number(
                        sum(row["mean_age"] * row["planes"] for row in makers) / sum(row["planes"] for row in makers), 1
                    ),
                    "years",
                    "of registered planes",
                ),
                tile("Seats offered", number(sum(row["seats"] for row in seats) / 1e6, 1), "million", "over the year"),
                tile(
                    "Not in the register",
                    number(sum(row["planes"] for row in unknown)),
                    "tail numbers",
                    f"{number(sum(row['flights'] for row in unknown))} flights by {len(unknown)} carriers",
                ),
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
            chart(
                "age",
                580,
                250,
                lambda figure: _draw_age(figure, tables.rows("plane_age", "where flights >= 500 order by age_years")),
            ),
            span=6,
        ),
        panel(
            "Fleets",
            "Planes that a carrier brings to New York",
            table(
                [
                    Column("carrier", "Carrier", is_number=False),
                    Column("planes", "Planes", number, bar=True),
                    Column("mean_age", "Age", lambda value: number(value, 1)),
                    Column("median_seats", "Seats", number),
                    Column("departures_a_plane", "Departures a plane", number),
                    Column("unregistered_share", "Unregistered", percent),
                ],
                carriers,
            ),
            span=7,
        ),
        panel(
            "Types",
            "By departures",
            table(
                [
                    Column("plane_model", "Type", is_number=False),
                    Column("planes", "Planes", number),
                    Column("seats", "Seats", number),
                    Column("departures", "Departures", number, bar=True),
                ],
                tables.rows("plane_models", "order by departures desc, plane_model limit 16"),
            ),
            span=5,
        ),
        panel(
            "Seats a day",
            "Offered from each airport, mean of seven days, in thousands",
            key(AIRPORT_KEY) + chart("seats", 1180, 220, lambda figure: _draw_seats(figure, seats)),
        ),
    ]


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
    axes.scatter(
        [row["age_years"] for row in rows],
        [row["punctuality"] * 100 for row in rows],
        s=[row["flights"] / 60 for row in rows],
        color=ink.ACCENT,
        alpha=0.6,
        linewidths=0,
    )
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    axes.set_ylim(65, 85)
    axes.set_yticks(range(65, 86, 5))
    axes.set_xlabel("years")


def _draw_seats(figure: Figure, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    for airport in AIRPORTS:
        own = [row for row in rows if row["origin"] == airport]
        seats = [float(row["seats"]) for row in own]
        smooth = [
            sum(seats[max(0, place - 6) : place + 1]) / len(seats[max(0, place - 6) : place + 1]) / 1e3
            for place in range(len(seats))
        ]
        axes.plot([row["flight_date"] for row in own], smooth, color=AIRPORT_COLOURS[airport])
    from matplotlib.dates import DateFormatter, MonthLocator

    axes.xaxis.set_major_locator(MonthLocator())
    axes.xaxis.set_major_formatter(DateFormatter("%b"))
    axes.set_ylim(bottom=0)
    plain_axes(axes)
