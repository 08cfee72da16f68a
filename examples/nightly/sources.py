"""The fifty sources, and how one of them is landed.

Rule: an extraction writes only its own partition, whole, and writes the same bytes when it is run again. What is
landed is what was delivered: names and types are checked here, meaning is given by the dbt project.

    landing/AA-JFK/2013-12-17.parquet   the partition of a day
    landing/AA-JFK/history.parquet      all days before the first one that was extracted, landed once
    landing/planes/current.parquet      a source without days
    landing/inventory.parquet           which sources landed for the night
"""

from __future__ import annotations

import difflib
import hashlib
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from outside import FEEDS, FLIGHT_SCHEMA, PLANE_SCHEMA, WEATHER_SCHEMA, deliver
from whole_files import write_whole

SOURCES = (*FEEDS, "weather", "planes")
FIRST_DAY, YEAR = date(2013, 1, 1), 2013
# Snow over New York, with eleven months of history behind it and two weeks of the year still to come.
DEFAULT_DAY = date(2013, 12, 17)

_EXPECTED = dict.fromkeys(FEEDS, FLIGHT_SCHEMA) | {"weather": WEATHER_SCHEMA, "planes": PLANE_SCHEMA}


class SchemaError(Exception):
    """A source delivered other columns than it promised."""


def played(night: date) -> date:
    """The day whose flights are delivered in this night: the year that there is data of comes round again and again.

    Its January and February have no history behind them: in later years November and December are played for them.

    >>> played(date(2026, 11, 22))
    datetime.date(2013, 11, 22)
    """
    if night.year == YEAR or night.month > 2:
        return night.replace(year=YEAR)
    return date(YEAR, night.month + 10, min(night.day, 30))


def is_partitioned(source: str) -> bool:
    return source != "planes"


def partition_path(source: str, day: date | None, root: Path) -> Path:
    name = day.isoformat() if day and is_partitioned(source) else "current"
    return root / "landing" / source / f"{name}.parquet"


def extract(source: str, day: date | None, root: Path, attempt: int = 1) -> dict[str, Any]:
    """Land what `source` has for `day`, and its history if that is not there yet."""
    if source not in _EXPECTED:
        raise ValueError(f"there is no source {source!r}; the nightly has {', '.join(SOURCES[:3])} ... planes")
    if day is None and is_partitioned(source):
        raise ValueError(f"source {source} is landed by day: which one?")
    delivered = deliver(source, root / "cache", attempt)
    table = check_schema(source, delivered)
    history = _land_history(source, day, root, table)
    path = partition_path(source, day, root)
    part = table.filter(_on(table, day)) if day and is_partitioned(source) else table
    _write_parquet(path, part)
    return {
        "source": source,
        "day": day.isoformat() if day and is_partitioned(source) else None,
        "path": str(path.relative_to(root)),
        "rows": part.num_rows,
        "bytes": path.stat().st_size,
        "digest": hashlib.sha256(path.read_bytes()).hexdigest(),
        "nulls": {name: part[name].null_count for name in part.column_names if part[name].null_count},
        "new_columns": [name for name in delivered.column_names if name not in table.column_names],
        "history_rows": history,
    }


def check_schema(source: str, delivered: pa.Table) -> pa.Table:
    """The promised columns of `delivered`, in the promised order; new ones are left out and told."""
    expected = _EXPECTED[source]
    what = f"feed {source}" if source in FEEDS else f"source {source}"
    new = [name for name in delivered.column_names if name not in expected.names]
    for field in expected:
        if field.name not in delivered.column_names:
            raise SchemaError(f"{what}: column {field.name!r} is missing{_renamed_hint(field.name, new)}")
        found = delivered.schema.field(field.name).type
        if found != field.type:
            raise SchemaError(f"{what}: column {field.name!r} is {found}, expected {field.type}")
    return delivered.select(expected.names)


def take_stock(day: date, root: Path) -> dict[str, Any]:
    """Note which sources landed for `day`: the facts over all feeds are built from those that did."""
    paths = {source: partition_path(source, day, root) for source in SOURCES}
    rows = {source: pq.read_metadata(path).num_rows for source, path in paths.items() if path.exists()}
    inventory = pa.table(
        {
            "source": pa.array(SOURCES),
            "is_feed": pa.array([source in FEEDS for source in SOURCES]),
            "day": pa.array([day] * len(SOURCES)),
            "is_landed": pa.array([source in rows for source in SOURCES]),
            "rows": pa.array([rows.get(source, 0) for source in SOURCES], pa.int64()),
        }
    )
    _write_parquet(root / "landing" / "inventory.parquet", inventory)
    missing = [source for source in SOURCES if source not in rows]
    return {"day": day.isoformat(), "landed": len(rows), "missing": missing, "rows": sum(rows.values())}


def _renamed_hint(name: str, new: list[str]) -> str:
    if not new:
        return ""
    closest = difflib.get_close_matches(name, new, n=1, cutoff=0.0)
    return f" (found {closest[0]!r})"


def _land_history(source: str, day: date | None, root: Path, table: pa.Table) -> int:
    """Land the days before `day` once. A later day adds its own partition; after missed ones history reaches up to it."""
    path = root / "landing" / source / "history.parquet"
    if day is None or not is_partitioned(source):
        return 0
    landed = [date.fromisoformat(file.stem) for file in path.parent.glob("2*.parquet")]
    was_missed = day - timedelta(days=1) not in landed and day not in landed and any(other < day for other in landed)
    if not path.exists() or was_missed:
        _write_parquet(path, table.filter(_before(table, max(day, *landed) if landed else day)))
    return pq.read_metadata(path).num_rows


def _on(table: pa.Table, day: date) -> pa.Array:
    return pc.equal(_day_number(table), _number(day))


def _before(table: pa.Table, day: date) -> pa.Array:
    return pc.less(_day_number(table), _number(day))


def _day_number(table: pa.Table) -> pa.Array:
    # 2013-12-17 as 20131217: days compare as numbers, without building a date per row.
    months = pc.add(pc.multiply(table["year"], 100), table["month"])
    return pc.add(pc.multiply(months, 100), table["day"])


def _number(day: date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day


def _write_parquet(path: Path, table: pa.Table) -> None:
    write_whole(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))
