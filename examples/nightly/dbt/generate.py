"""Writes the repetitive part of this dbt project: 48 feeds, 16 carriers, 3 airports, and two seeds.

Rule: what is written is committed, so that the project is plain dbt. `python dbt/generate.py` writes it,
`python dbt/generate.py --check` says whether the committed files are what would be written.
"""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent
sys.path.insert(0, str(PROJECT.parent))

import pyarrow as pa  # noqa: E402 (the path of the example comes first)
import pyarrow.compute as pc  # noqa: E402
from outside import (  # noqa: E402
    AIRLINE_SCHEMA,
    AIRPORT_SCHEMA,
    AIRPORTS,
    CARRIERS,
    FEEDS,
    FLIGHT_SCHEMA,
    package_table,
)

MARK = "-- Written by generate.py.\n"
YAML_MARK = "# Written by generate.py.\n"

_AIRPORT_CUTS = {
    "daily": ["origin", "flight_date"],
    "hourly": ["origin", "scheduled_hour"],
    "carriers": ["origin", "carrier"],
    "destinations": ["origin", "dest"],
}
_CARRIER_CUTS = {"daily": ["carrier", "flight_date"], "routes": ["carrier", "route", "dest"]}

_WIND_MODEL = """\
select
  flights.origin,
  weather.wind_sector,
  count(*) as flights,
  avg(weather.wind_speed) as mean_wind_speed,
  avg(flights.dep_delay) as mean_dep_delay,
  count(*) filter (flights.is_late_departure) / count(*) as late_share
from {{ ref('AIRPORT_FLIGHTS') }} as flights
join {{ ref('weather_hours') }} as weather
  on weather.origin = flights.origin and weather.observed_at_utc = flights.scheduled_hour_utc
where weather.wind_sector is not null
group by all
"""


def generated_files() -> dict[Path, str]:
    """Every generated file of the project and its text."""
    files = {Path("models/staging/feeds/_sources.yml"): _sources_yaml()}
    files |= _feed_models() | _carrier_models() | _airport_models() | _seeds()
    return files


def _feed_models() -> dict[Path, str]:
    folder = Path("models/staging/feeds")
    described = {}
    files = {}
    for feed in FEEDS:
        name = f"stg_{_slug(feed)}"
        carrier, airport = feed.split("-")
        files[folder / f"{name}.sql"] = (
            f"{MARK}-- depends_on: {{{{ source('landing', '{_slug(feed)}') }}}}\n"
            f"{{{{ typed_flights(landed_flights('{feed}')) }}}}\n"
        )
        described[name] = f"Flights of carrier {carrier} from {airport}, typed; cancelled ones included."
    files[folder / "_feeds.yml"] = _models_yaml(described, {"flight_key": "One flight of one day."})
    return files


def _carrier_models() -> dict[Path, str]:
    folder = Path("models/carriers")
    described = {}
    files = {}
    for carrier in CARRIERS:
        prefix = f"carrier_{carrier.lower()}"
        feeds = [f"stg_{_slug(f'{carrier}-{airport}')}" for airport in AIRPORTS]
        union = "\nunion all\n".join(f"select * from {{{{ ref('{feed}') }}}}" for feed in feeds)
        files[folder / f"{prefix}_flights.sql"] = f"{MARK}{{{{ config(materialized='view') }}}}\n{union}\n"
        for suffix, columns in _CARRIER_CUTS.items():
            files[folder / f"{prefix}_{suffix}.sql"] = _punctuality_model(f"{prefix}_flights", columns)
        described |= {
            f"{prefix}_flights": f"All flights of {carrier} from New York, its three feeds together.",
            f"{prefix}_daily": f"Punctuality of {carrier}, a row a day.",
            f"{prefix}_routes": f"Punctuality of {carrier}, a row a route.",
        }
    files[folder / "_carriers.yml"] = _models_yaml(described)
    return files


def _airport_models() -> dict[Path, str]:
    folder = Path("models/airports")
    described = {}
    files = {}
    for airport in AIRPORTS:
        prefix = f"airport_{airport.lower()}"
        feeds = [f"stg_{_slug(f'{carrier}-{airport}')}" for carrier in CARRIERS]
        union = "\nunion all\n".join(f"select * from {{{{ ref('{feed}') }}}}" for feed in feeds)
        files[folder / f"{prefix}_flights.sql"] = f"{MARK}{union}\n"
        for suffix, columns in _AIRPORT_CUTS.items():
            files[folder / f"{prefix}_{suffix}.sql"] = _punctuality_model(f"{prefix}_flights", columns)
        files[folder / f"{prefix}_wind.sql"] = MARK + _WIND_MODEL.replace("AIRPORT_FLIGHTS", f"{prefix}_flights")
        described |= {
            f"{prefix}_flights": f"All departures from {airport}, its sixteen feeds together.",
            f"{prefix}_daily": f"Punctuality at {airport}, a row a day.",
            f"{prefix}_hourly": f"Punctuality at {airport} by scheduled hour: where the day begins to slip.",
            f"{prefix}_carriers": f"Punctuality at {airport} by carrier.",
            f"{prefix}_destinations": f"Punctuality from {airport} by destination.",
            f"{prefix}_wind": f"Departure delay at {airport} by sector of the wind: which runways hurt.",
        }
    files[folder / "_airports.yml"] = _models_yaml(described)
    return files


def _punctuality_model(flights: str, columns: list[str]) -> str:
    return f"{MARK}{{{{ punctuality_by(ref('{flights}'), {columns!r}) }}}}\n"


def _sources_yaml() -> str:
    lines = [YAML_MARK, "sources:\n", "  - name: landing\n"]
    lines += ["    description: What the extractions landed, as Parquet, a folder a source.\n", "    tables:\n"]
    for source in (*FEEDS, "weather", "planes", "inventory"):
        owner = {"weather": "weather", "planes": "fleet"}.get(source, "flights")
        lines += [
            f"      - name: {_slug(source)}\n",
            f"        description: {_source_description(source)}\n",
            f"        config: {{meta: {{source: {source}, owner: {owner}}}}}\n",
        ]
    return "".join(lines)


def _source_description(source: str) -> str:
    fixed = {
        "weather": "Hourly weather at the three airports, a partition a day.",
        "planes": "The register of planes, whole.",
        "inventory": "Which sources landed for the night.",
    }
    if source in fixed:
        return fixed[source]
    carrier, airport = source.split("-")
    return f"Departures of {carrier} from {airport}, a partition a day."


def _models_yaml(described: dict[str, str], columns: dict[str, str] | None = None) -> str:
    lines = [YAML_MARK, "models:\n"]
    for name, description in described.items():
        lines += [f"  - name: {name}\n", f'    description: "{description}"\n']
        if columns:
            lines.append("    columns:\n")
            lines += [f"      - {{name: {key}, description: {text}}}\n" for key, text in columns.items()]
    return "".join(lines)


def _seeds() -> dict[Path, str]:
    flights = package_table("flights", FLIGHT_SCHEMA)
    used = pc.unique(flights["dest"]).to_pylist() + list(AIRPORTS)
    airports = package_table("airports", AIRPORT_SCHEMA)
    airports = airports.filter(pc.is_in(airports["faa"], value_set=pa.array(used, pa.string()))).sort_by("faa")
    carriers = package_table("airlines", AIRLINE_SCHEMA).sort_by("carrier")
    return {
        Path("seeds/airport_list.csv"): _csv(airports, ["faa", "name", "lat", "lon", "alt", "tzone"]),
        Path("seeds/carrier_list.csv"): _csv(carriers, ["carrier", "name"]),
    }


def _csv(table: pa.Table, columns: list[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row[name] for name in columns] for row in table.to_pylist())
    return text.getvalue()


def _slug(source: str) -> str:
    return source.lower().replace("-", "_")


def write() -> None:
    for path, text in generated_files().items():
        (PROJECT / path).parent.mkdir(parents=True, exist_ok=True)
        (PROJECT / path).write_text(text, encoding="utf-8")


def differences() -> list[str]:
    """What `--check` complains about: missing, edited and leftover files."""
    wanted = generated_files()
    wrong = [f"missing: {path}" for path in wanted if not (PROJECT / path).exists()]
    wrong += [f"edited: {path}" for path, text in wanted.items() if _text_of(path) not in (None, text)]
    for folder in {path.parent for path in wanted if path.parts[0] == "models"}:
        found = {path.relative_to(PROJECT) for path in (PROJECT / folder).iterdir() if path.is_file()}
        wrong += [f"left over: {path}" for path in sorted(found - set(wanted))]
    return sorted(wrong)


def _text_of(path: Path) -> str | None:
    return (PROJECT / path).read_text(encoding="utf-8") if (PROJECT / path).exists() else None


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        wrong = differences()
        print("\n".join(wrong) or "all generated files are as generate.py writes them")
        return 1 if wrong else 0
    write()
    print(f"{len(generated_files())} files written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
