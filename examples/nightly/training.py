"""Five models, each trained on its feature table and judged on days that it has not seen.

Rule: whole days are held out, never single flights: the flights of a day share their weather and their queues, so a
model that has seen half of a day would be asked what it already knows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import duckdb
import faults
import numpy as np
from warehouse import reader
from whole_files import write_text_whole, write_whole

_HELD_OUT_SHARE = 0.2
_BANDS = 10
_SAMPLE_FOR_IMPORTANCE = 3_000


@dataclass(frozen=True)
class ModelPlan:
    """What a model learns, from where, and how good it must be to be let through."""

    name: str
    description: str
    reads: str  # the dbt model with its features
    target: str
    metric: Literal["mean_absolute_error", "root_mean_squared_error", "roc_auc"]
    categories: tuple[str, ...]
    numbers: tuple[str, ...]
    baseline: str  # in words, for people
    guess: Callable[[dict[str, np.ndarray]], np.ndarray] | None  # what it must beat; None: the mean
    threshold: float
    rows: int | None = None  # a sample, where more rows teach nothing more

    @property
    def is_risk(self) -> bool:
        return self.metric == "roc_auc"

    @property
    def higher_is_better(self) -> bool:
        return self.is_risk

    def passes(self, value: float) -> bool:
        return value >= self.threshold if self.higher_is_better else value <= self.threshold


_KNOWN_BEFORE = [
    "scheduled_hour",
    "distance",
    "weekday",
    "month",
    "days_to_holiday",
    "punctuality_7_days",
    "dep_delay_7_days",
    "cancelled_7_days",
    "route_arr_delay_28_days",
    "route_cancelled_28_days",
    "departures_in_hour",
    "departures_so_far",
    "temp",
    "humidity",
    "wind_speed",
    "wind_dir",
    "precip",
    "precip_3_hours",
    "visibility",
    "visibility_3_hours",
    "pressure",
    "pressure_change",
]
_WHO_AND_WHERE = ("carrier", "origin", "dest")


def _departure_delay(features: dict[str, np.ndarray]) -> np.ndarray:
    return features["dep_delay"]


def _usual_air_time(features: dict[str, np.ndarray]) -> np.ndarray:
    return features["usual_air_time"]


def _last_week(features: dict[str, np.ndarray]) -> np.ndarray:
    return features["flights_7_days_ago"]


_PLANS = (
    ModelPlan(
        "arrival_delay",
        "Minutes late on arrival, told when the plane has left the gate.",
        "feat_arrival_delay",
        "arr_delay",
        "mean_absolute_error",
        _WHO_AND_WHERE,
        (*_KNOWN_BEFORE, "dep_delay"),
        "arrives as late as it left",
        _departure_delay,
        threshold=13.5,
        rows=150_000,
    ),
    ModelPlan(
        "cancellation_risk",
        "Will the flight be cancelled? Told from weather, schedule and the carrier's week.",
        "feat_cancellation",
        "is_cancelled",
        "roc_auc",
        _WHO_AND_WHERE,
        tuple(_KNOWN_BEFORE),
        "all flights alike",
        None,
        threshold=0.75,
        rows=150_000,
    ),
    ModelPlan(
        "late_departure",
        "Will it leave more than 15 minutes late? Told with what the plane did earlier on the day.",
        "feat_late_departure",
        "is_late_departure",
        "roc_auc",
        _WHO_AND_WHERE,
        (*_KNOWN_BEFORE, "rotation", "previous_dep_delay", "minutes_since_previous"),
        "all flights alike",
        None,
        threshold=0.70,
        rows=150_000,
    ),
    ModelPlan(
        "air_time",
        "Minutes in the air, told from route, season, wind and plane.",
        "feat_air_time",
        "air_time",
        "mean_absolute_error",
        _WHO_AND_WHERE,
        (
            "distance",
            "usual_air_time",
            "month",
            "scheduled_hour",
            "wind_speed",
            "wind_dir",
            "pressure",
            "temp",
            "seats",
            "engines",
            "age_years",
        ),
        "the route's usual air time",
        _usual_air_time,
        threshold=8.0,
        rows=150_000,
    ),
    ModelPlan(
        "route_demand",
        "Flights that a route will have on a day, told from its own weeks before.",
        "feat_route_demand",
        "flights",
        "root_mean_squared_error",
        (),
        (
            "weekday",
            "month",
            "days_to_holiday",
            "distance",
            "carriers",
            "flights_the_day_before",
            "flights_7_days_ago",
            "flights_14_days_ago",
            "mean_of_weeks_before",
            "days_to_holiday_7_days_ago",
        ),
        "as many as a week ago",
        _last_week,
        threshold=0.65,
    ),
)
MODELS: dict[str, ModelPlan] = {plan.name: plan for plan in _PLANS}


def train(name: str, warehouse: Path, artifacts: Path, seed: int = 2013) -> dict[str, Any]:
    """Train one model, keep it and its score under `artifacts`, and return the score."""
    from threadpoolctl import threadpool_limits

    faults.before_training(name)
    # One thread a model: the orchestrator runs several at once, and threads that wait for each other's cores spin.
    with threadpool_limits(1):
        return _trained(MODELS[name], warehouse, artifacts, seed)


def score_is_good_enough(score: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    """The blocking check of a trained model: its held-out score against its threshold."""
    kept = {key: score[key] for key in ("metric", "value", "baseline", "threshold")}
    return bool(score["passed"]), kept


def _trained(plan: ModelPlan, warehouse: Path, artifacts: Path, seed: int) -> dict[str, Any]:
    started = time.monotonic()
    with reader(warehouse) as connection:
        data = _features(connection, plan, seed)
    learn, ask = _split_by_day(data["flight_date"], seed)
    inputs, codes = _matrix(data, plan)
    target = data[plan.target].astype(float)
    model = _estimator(plan, seed).fit(inputs[learn], target[learn])
    told = _told(model, plan, inputs[ask])
    score = _score(plan, {key: values[ask] for key, values in data.items()}, target[learn], target[ask], told)
    path = artifacts / f"{plan.name}.joblib"
    _keep(path, {"model": model, "columns": [*plan.categories, *plan.numbers], "categories": codes, "plan": plan.name})
    result = {
        "name": plan.name,
        "metric": plan.metric,
        **score,
        "higher_is_better": plan.higher_is_better,
        "threshold": plan.threshold,
        "passed": plan.passes(score["value"]),
        "rows_learned": int(learn.sum()),
        "rows_asked": int(ask.sum()),
        "features": len(plan.categories) + len(plan.numbers),
        "seed": seed,
        "model_path": str(path),
        "model_bytes": path.stat().st_size,
        "importance": _importance(model, plan, inputs[ask], target[ask], seed),
        "bands": _bands(told, target[ask]),
    }
    write_text_whole(artifacts / f"{plan.name}.json", json.dumps(result, indent=1))
    return result | {"seconds": round(time.monotonic() - started, 2)}


def _features(connection: duckdb.DuckDBPyConnection, plan: ModelPlan, seed: int) -> dict[str, np.ndarray]:
    needed = dict.fromkeys((*plan.categories, *plan.numbers, plan.target))
    columns = ", ".join(
        [f"{name}::varchar as {name}" if name in plan.categories else f"{name}::float as {name}" for name in needed]
    )
    # A hash of the day and its place, and not a random sample: the same rows on every machine and run.
    source = f"select *, row_number() over (order by flight_date, hash({_row_name(plan)}, {seed})) as place"
    query = f"select flight_date::date as flight_date, {columns} from ({source} from features.{plan.reads})"
    if plan.rows:
        total = connection.execute(f"select count(*) from features.{plan.reads}").fetchone()
        every = max(1, (total[0] if total else 0) // plan.rows)
        query += f" where place % {every} = 0"
    return {key: _plain(values) for key, values in connection.execute(query + " order by place").fetchnumpy().items()}


def _row_name(plan: ModelPlan) -> str:
    return "route" if plan.reads == "feat_route_demand" else "flight_key"


def _plain(values: Any) -> np.ndarray:
    # DuckDB masks columns with nulls; for the estimators a missing number is NaN.
    if isinstance(values, np.ma.MaskedArray):
        return values.filled(np.nan) if values.dtype.kind == "f" else values.filled("")
    return np.asarray(values)


def _split_by_day(days: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    every = np.unique(days)
    chosen = np.random.default_rng(seed).permutation(every)[: round(len(every) * _HELD_OUT_SHARE)]
    ask = np.isin(days, chosen)
    return ~ask, ask


def _matrix(data: dict[str, np.ndarray], plan: ModelPlan) -> tuple[np.ndarray, dict[str, list[str]]]:
    columns = []
    codes: dict[str, list[str]] = {}
    for name in plan.categories:
        words, code = np.unique(data[name].astype("U8"), return_inverse=True)
        codes[name] = words.tolist()
        columns.append(code.astype(np.float32))
    columns += [data[name].astype(np.float32) for name in plan.numbers]
    return np.column_stack(columns), codes


def _estimator(plan: ModelPlan, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    common: dict[str, Any] = {
        "categorical_features": list(range(len(plan.categories))) or None,
        "max_iter": 120,
        "learning_rate": 0.1,
        "max_leaf_nodes": 31,
        "l2_regularization": 1.0,
        "early_stopping": False,
        "random_state": seed,
    }
    if plan.is_risk:
        return HistGradientBoostingClassifier(**common)
    # Trained for what it is judged by.
    loss = "squared_error" if plan.metric == "root_mean_squared_error" else "absolute_error"
    return HistGradientBoostingRegressor(loss=loss, **common)


def _told(model: Any, plan: ModelPlan, inputs: np.ndarray) -> np.ndarray:
    return model.predict_proba(inputs)[:, 1] if plan.is_risk else model.predict(inputs)


def _score(
    plan: ModelPlan, asked: dict[str, np.ndarray], learned: np.ndarray, target: np.ndarray, told: np.ndarray
) -> dict[str, Any]:
    from sklearn import metrics

    judge = getattr(metrics, f"{plan.metric}_score" if plan.is_risk else plan.metric)
    guessed = plan.guess(asked) if plan.guess else np.full(len(target), learned.mean())
    value, baseline = judge(target, told), judge(target, np.nan_to_num(guessed))
    return {"value": round(float(value), 4), "baseline": round(float(baseline), 4), "baseline_is": plan.baseline}


def _importance(model: Any, plan: ModelPlan, inputs: np.ndarray, target: np.ndarray, seed: int) -> dict[str, float]:
    """How much worse the model gets when a feature's column is shuffled; the eight that matter most."""
    from sklearn.inspection import permutation_importance

    some = np.random.default_rng(seed).choice(len(target), min(_SAMPLE_FOR_IMPORTANCE, len(target)), replace=False)
    scoring = plan.metric if plan.is_risk else f"neg_{plan.metric}"
    found = permutation_importance(model, inputs[some], target[some], scoring=scoring, n_repeats=1, random_state=seed)
    names = [*plan.categories, *plan.numbers]
    ranked = sorted(zip(names, found.importances_mean, strict=True), key=lambda pair: -pair[1])
    return {name: round(float(weight), 5) for name, weight in ranked[:8]}


def _bands(told: np.ndarray, target: np.ndarray) -> list[dict[str, float]]:
    """What came true where the model told little, more, most: ten bands of equal size."""
    order = np.argsort(told, kind="stable")
    return [
        {"told": round(float(told[part].mean()), 4), "came": round(float(target[part].mean()), 4)}
        for part in np.array_split(order, _BANDS)
    ]


def _keep(path: Path, content: dict[str, Any]) -> None:
    import joblib

    write_whole(path, lambda temporary: joblib.dump(content, temporary, compress=3))
