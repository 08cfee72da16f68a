"""What the weather does to departures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import charts as ink
from charts import chart, plain_axes
from matplotlib.figure import Figure
from pages import key, number, panel, percent, tile, tiles
from tables import Tables

from boards.words import AIRPORT_COLOURS, AIRPORT_KEY, AIRPORTS, MONTHS


def parts(tables: Tables, artifacts: Path) -> list[str]:
    bad_days = tables.rows("weather_bad_days", "order by weather_date")
    conditions = tables.rows("delay_by_conditions")
    fair, bad = (
        _shares(conditions, {"fair"}),
        _shares(conditions, {"snow or ice", "low visibility", "rain", "strong wind"}),
    )
    last = bad_days[-1]
    return [
        tiles(
            [
                tile("Days with bad weather", number(len(bad_days)), "", "three bad hours or more at some airport"),
                tile(
                    "The last one",
                    f"{last['weather_date']:%d %b}",
                    f"{last['bad_hours']} bad hours",
                    f"{number(last['cancelled'])} flights cancelled",
                ),
                tile("On time in fair weather", percent(fair[0]), "", f"{percent(fair[1], 1)} cancelled"),
                tile("In all other weather", percent(bad[0]), "", f"{percent(bad[1], 1)} cancelled"),
            ]
        ),
        panel(
            "What the sky does to punctuality",
            "Share on time in each condition of the hour of departure",
            key(AIRPORT_KEY) + chart("conditions", 580, 284, lambda figure: _draw_conditions(figure, conditions)),
            span=6,
        ),
        panel(
            "How long a bad hour lasts",
            "Mean departure delay, in minutes, by hours since bad weather",
            key(AIRPORT_KEY)
            + chart(
                "recovery",
                580,
                250,
                lambda figure: _draw_recovery(figure, tables.rows("weather_recovery", "order by origin, hours_after")),
            ),
            span=6,
            after="The queue outlives the storm by hours.",
        ),
        panel(
            "Wind",
            "Mean departure delay by wind speed, mph",
            chart(
                "wind",
                370,
                210,
                lambda figure: _draw_bars(
                    figure, tables.rows("delay_by_wind", "where flights >= 200 order by 1"), "wind_from_mph"
                ),
            ),
            span=4,
        ),
        panel(
            "Visibility",
            "Mean departure delay by visibility, miles",
            chart(
                "visibility",
                370,
                210,
                lambda figure: _draw_bars(
                    figure,
                    tables.rows("delay_by_visibility", "where flights >= 200 order by 1"),
                    "visibility_from_miles",
                ),
            ),
            span=4,
        ),
        panel(
            "Rain and snow",
            "Mean departure delay by what falls in the hour",
            chart(
                "rain",
                370,
                210,
                lambda figure: _draw_bars(
                    figure, _without_order(tables.rows("delay_by_rain", "order by 1"), "rain"), "rain"
                ),
            ),
            span=4,
        ),
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
            + chart(
                "cancellations",
                370,
                250,
                lambda figure: _draw_cancellations(figure, tables.rows("weather_cancellations", "order by month")),
            ),
            span=4,
        ),
    ]


_CONDITIONS = ("fair", "rain", "strong wind", "low visibility", "snow or ice")


def _shares(rows: list[dict[str, Any]], conditions: set[str]) -> tuple[float, float]:
    own = [row for row in rows if row["conditions"] in conditions]
    flights, cancelled = sum(row["flights"] for row in own), sum(row["cancelled"] for row in own)
    return sum(row["on_time"] for row in own) / (flights - cancelled), cancelled / flights


def _draw_conditions(figure: Figure, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    found = {(row["origin"], row["conditions"]): row["punctuality"] for row in rows}
    for place, condition in enumerate(reversed(_CONDITIONS)):
        values = {airport: found.get((airport, condition)) for airport in AIRPORTS}
        known = {airport: value * 100 for airport, value in values.items() if value is not None}
        axes.plot([min(known.values()), max(known.values())], [place, place], color=ink.LINE, linewidth=4, zorder=1)
        for airport, value in known.items():
            axes.scatter(
                [value], [place], s=64, color=AIRPORT_COLOURS[airport], zorder=3, edgecolors=ink.PANEL, linewidths=1
            )
    axes.set_yticks(range(len(_CONDITIONS)), list(reversed(_CONDITIONS)))
    axes.tick_params(axis="y", labelcolor=ink.INK)
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    axes.set_ylim(-0.5, len(_CONDITIONS) - 0.5)
    axes.spines["bottom"].set_visible(False)


def _draw_recovery(figure: Figure, rows: list[dict[str, Any]]) -> None:
    axes = figure.subplots()
    for airport in AIRPORTS:
        own = [row for row in rows if row["origin"] == airport]
        axes.plot(
            [row["hours_after"] for row in own],
            [row["mean_dep_delay"] for row in own],
            color=AIRPORT_COLOURS[airport],
            marker="o",
            markersize=3.5,
        )
    axes.set_ylim(bottom=0)
    axes.set_xticks(range(0, 13, 2))
    plain_axes(axes, x="hours after; 0 is a bad hour itself")


def _draw_bars(figure: Figure, rows: list[dict[str, Any]], name: str) -> None:
    axes = figure.subplots()
    values = [row["mean_dep_delay"] for row in rows]
    axes.bar(range(len(rows)), values, color=ink.ACCENT, width=0.72, alpha=0.85)
    for place, value in enumerate(values):
        axes.annotate(
            f"{value:.0f}",
            (place, value),
            (0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=10,
            color=ink.MUTED,
        )
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
    titles = dict(zip(AIRPORTS, ("Newark", "Kennedy", "LaGuardia"), strict=True))
    most = max(row["late_share"] for row in rows)
    for place, airport in enumerate(AIRPORTS, 1):
        axes = figure.add_subplot(1, 3, place, projection="polar")
        share = {row["wind_sector"]: row["late_share"] for row in rows if row["origin"] == airport}
        angles = [number * pi / 4 for number in range(8)]
        axes.bar(
            angles,
            [share.get(sector, 0) for sector in _SECTORS],
            width=0.7,
            color=AIRPORT_COLOURS[airport],
            alpha=0.85,
        )
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
        axes.bar(
            [row["month"].month + offset for row in own],
            [row["cancelled_share"] * 100 for row in own],
            width=0.4,
            color=colour,
        )
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    axes.set_xticks(range(1, 13), [name[0] for name in MONTHS])
    plain_axes(axes)
