"""Where New York flies, and who flies there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import charts as ink
from charts import chart
from matplotlib.figure import Figure
from pages import Column, key, number, panel, percent, table, tile, tiles
from tables import Tables

from boards.words import MONTHS


def parts(tables: Tables, artifacts: Path) -> list[str]:
    summary = tables.rows("route_summary", "order by flights desc, route")
    flown = [row for row in summary if row["flights"] >= 365]
    contested = tables.rows("route_competition", "where flights >= 365")
    speeds = tables.rows("route_speeds")
    best, worst = max(flown, key=_punctuality_of), min(flown, key=_punctuality_of)
    return [
        tiles(
            [
                tile("Routes", number(len(summary)), "", f"{len(flown)} of them at least daily"),
                tile(
                    "Busiest",
                    summary[0]["route"],
                    f"{number(summary[0]['flights'])} flights",
                    f"{summary[0]['carriers']} carriers share it",
                ),
                tile("Most punctual", best["route"], percent(best["punctuality"]), "of those flown daily"),
                tile("Least punctual", worst["route"], percent(worst["punctuality"]), "of those flown daily"),
            ]
        ),
        panel(
            "Where New York flies",
            "A line is a route, as wide as it is busy, coloured by its punctuality among all routes",
            key([("most punctual fifth", "--scale-1"), ("middle", "--scale-3"), ("least punctual fifth", "--scale-5")])
            + chart(
                "map",
                780,
                452,
                lambda figure: _draw_map(figure, tables.rows("route_map", "where dest_lon > -130 order by flights")),
            ),
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
            axes.annotate(
                name,
                at,
                (dx, dy),
                textcoords="offset points",
                color=ink.MUTED,
                ha="right" if dx < 0 else "left",
                va="center",
            )
    axes.set_aspect(1.25)  # a degree of longitude is shorter up here
    axes.set_axis_off()


_NAMED_PLACES = {
    "SEA": (-6, 0),
    "SFO": (-6, 4),
    "LAX": (-6, -2),
    "DEN": (4, 9),
    "ORD": (-2, 10),
    "ATL": (-7, 3),
    "DFW": (-6, 6),
    "IAH": (-2, -10),
    "MIA": (6, -6),
    "MCO": (-7, 0),
    "BOS": (6, 4),
    "PHX": (2, -9),
    "MSP": (-4, 9),
}


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
        axes.scatter(
            [x], [row["largest_share"] * 100], s=6 + row["flights"] / 120, color=ink.ACCENT, alpha=0.45, linewidths=0
        )
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
    axes.set_xticks(range(1, 13), [name[0] for name in MONTHS])
    axes.margins(x=0.02)
