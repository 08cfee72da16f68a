"""How good the five models are on days that they have not seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import charts as ink
from charts import chart
from matplotlib.figure import Figure
from pages import Column, number, panel, percent, table, tile, tiles
from tables import Tables
from training import MODELS


def parts(tables: Tables, artifacts: Path) -> list[str]:
    scores = [json.loads(path.read_text()) for path in (artifacts / f"{name}.json" for name in MODELS) if path.exists()]
    passed = sum(score["passed"] for score in scores)
    made = [
        tiles(
            [
                tile("Models", number(len(scores)), f"of {len(MODELS)}", "trained"),
                tile("Good enough", number(passed), f"of {len(scores)}", "on days that they had not seen"),
                tile(
                    "Flights learned from",
                    number(max((s["rows_learned"] for s in scores), default=0)),
                    "",
                    "by the largest",
                ),
                tile("Held out", "a fifth", "of the days", "whole days, never single flights"),
            ]
        ),
        panel(
            "Scores",
            "On held-out days, beside the guess that a model must beat and the bar it must clear",
            _score_table(scores),
        ),
    ]
    for place, score in enumerate(scores):
        plan = MODELS[score["name"]]
        span, width = (6, 580) if place < len(scores) % 3 else (4, 374)  # rows of two, then of three: no hole
        plot = chart(f"model_{plan.name}", width, 230, _drawn(score, is_risk=plan.is_risk))
        made.append(panel(_spoken(score["name"]), plan.description, plot, span=span))
    return made


def _spoken(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _score_table(scores: list[dict[str, Any]]) -> str:
    rows = [
        {
            **score,
            "name": _spoken(score["name"]),
            "metric": score["metric"].replace("_", " ").replace("roc auc", "ROC AUC"),
            "gain": _gain(score),
        }
        for score in scores
    ]
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
