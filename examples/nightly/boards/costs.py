"""What delays cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import charts as ink
from charts import chart, plain_axes
from matplotlib.figure import Figure
from pages import Column, dollars, key, number, panel, percent, table, tile, tiles
from tables import Tables

from boards.words import MONTHS


def parts(tables: Tables, artifacts: Path) -> list[str]:
    running = tables.rows("cost_year_to_date", "order by flight_date")
    causes = tables.rows("cost_by_cause", "order by month, cause")
    hours = sum(row["passenger_hours"] for row in tables.rows("cost_passenger_hours"))
    tonight, total = running[-1], running[-1]["year_to_date_usd"]
    usual = sorted(row["total_usd"] for row in running[-29:-1])
    knock_on = sum(row["total_usd"] for row in causes if row["cause"] == "knock-on") / total
    return [
        tiles(
            [
                tile(
                    "Tonight",
                    dollars(tonight["total_usd"]),
                    "",
                    f"usually {dollars(usual[len(usual) // 2])}",
                    (tonight["total_usd"], usual[2], usual[-3]),
                ),
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
        panel(
            "By carrier",
            "In all, and a flight",
            table(
                [
                    Column("carrier", "Carrier", is_number=False),
                    Column("flights", "Flights", number),
                    Column("total_usd", "Cost", dollars, bar=True),
                    Column("usd_a_flight", "A flight", dollars),
                ],
                tables.rows("cost_by_carrier", "where flights > 0 order by total_usd desc limit 10"),
            ),
            span=6,
        ),
        panel(
            "The dearest flights",
            "Delay and cancellation with what passengers lost",
            table(
                [
                    Column("flight_date", "Day", lambda day: f"{day:%d %b}", is_number=False),
                    Column("flight_key", "Flight", lambda name: " ".join(name.split("-")[:2]), is_number=False),
                    Column("route", "Route", is_number=False),
                    Column("late_minutes", "Late, min", number),
                    Column("cause", "Cause", is_number=False),
                    Column("total_usd", "Cost", dollars, bar=True),
                ],
                tables.rows("cost_worst_flights", "order by total_usd desc, flight_key limit 10"),
            ),
            after="Rates are assumptions of this example: see seeds/delay_cost_rates.csv.",
        ),
    ]


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
    axes.set_xticks(range(1, 13), [name[0] for name in MONTHS])
    plain_axes(axes)
