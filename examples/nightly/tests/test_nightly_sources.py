from __future__ import annotations

from datetime import date

import pyarrow.parquet as pq
import pytest
from outside import FEEDS, deliver
from sources import DEFAULT_DAY, SOURCES, SchemaError, check_schema, extract, partition_path, played, take_stock


def test_there_are_fifty_sources():
    assert len(set(SOURCES)) == 50
    assert len(FEEDS) == 48


def test_a_day_lands_with_its_history_before_it(landed):
    day = pq.read_table(partition_path("AA-JFK", DEFAULT_DAY, landed.root))
    history = pq.read_table(landed.landing / "AA-JFK" / "history.parquet")
    assert set(day["day"].to_pylist()) == {DEFAULT_DAY.day}
    assert (history.num_rows, day.num_rows) == (13_239, 37)
    assert max(zip(history["month"].to_pylist(), history["day"].to_pylist(), strict=True)) == (12, 16)


def test_all_flights_up_to_the_day_are_landed_once(landed):
    rows = sum(pq.read_metadata(path).num_rows for feed in FEEDS for path in (landed.landing / feed).glob("*.parquet"))
    assert rows == 336_776 - 12_426  # the year without its last two weeks


def test_landing_again_writes_the_same_bytes(landed):
    first = extract("DL-LGA", DEFAULT_DAY, landed.root)
    again = extract("DL-LGA", DEFAULT_DAY, landed.root)
    assert again == first
    assert not list((landed.landing / "DL-LGA").glob(".*"))


def test_another_day_adds_its_own_partition_and_leaves_history_alone(landed, tmp_path):
    first = extract("UA-EWR", date(2013, 3, 1), tmp_path)
    second = extract("UA-EWR", date(2013, 3, 2), tmp_path)
    assert second["history_rows"] == first["history_rows"]
    assert sorted(path.stem for path in (tmp_path / "landing" / "UA-EWR").iterdir()) == [
        "2013-03-01",
        "2013-03-02",
        "history",
    ]


def test_days_that_were_missed_come_with_the_history_of_the_next_one_and_it_never_shrinks(tmp_path):
    history = tmp_path / "landing" / "UA-EWR" / "history.parquet"
    for day, reaches in (((3, 1), (2, 28)), ((3, 4), (3, 3)), ((3, 2), (3, 3)), ((3, 5), (3, 3)), ((2, 10), (3, 3))):
        extract("UA-EWR", date(2013, *day), tmp_path)
        table = pq.read_table(history)
        assert max(zip(table["month"].to_pylist(), table["day"].to_pylist(), strict=True)) == reaches, day


def test_the_year_comes_round_again():
    assert played(date(2026, 11, 22)) == date(2013, 11, 22)
    assert played(date(2028, 2, 29)) == date(2013, 12, 29)
    assert played(date(2027, 1, 31)) == date(2013, 11, 30)
    assert played(date(2013, 1, 31)) == date(2013, 1, 31)
    assert played(DEFAULT_DAY) == DEFAULT_DAY


def test_a_feed_without_flights_lands_empty_with_the_right_columns(landed):
    empty = pq.read_table(partition_path("AS-LGA", DEFAULT_DAY, landed.root))
    full = pq.read_schema(partition_path("AA-JFK", DEFAULT_DAY, landed.root))
    assert empty.num_rows == 0
    assert empty.schema.equals(full)


def test_a_renamed_column_is_named_with_what_was_found_instead(landed):
    table = deliver("AA-JFK", landed.cache)
    renamed = table.rename_columns(["departure_delay" if name == "dep_delay" else name for name in table.column_names])
    with pytest.raises(SchemaError, match=r"feed AA-JFK: column 'dep_delay' is missing \(found 'departure_delay'\)"):
        check_schema("AA-JFK", renamed)


def test_a_column_of_another_type_is_refused(landed):
    table = deliver("AA-JFK", landed.cache)
    place = table.column_names.index("dep_delay")
    changed = table.set_column(place, "dep_delay", table["dep_delay"].cast("string"))
    with pytest.raises(SchemaError, match="column 'dep_delay' is string, expected int32"):
        check_schema("AA-JFK", changed)


def test_a_new_column_is_left_out(landed):
    table = deliver("AA-JFK", landed.cache)
    more = table.append_column("gate", table["flight"])
    assert check_schema("AA-JFK", more).schema.equals(table.schema)


def test_stock_is_taken_of_what_landed_and_what_did_not(tmp_path):
    extract("AA-JFK", DEFAULT_DAY, tmp_path)
    stock = take_stock(DEFAULT_DAY, tmp_path)
    assert stock["landed"] == 1
    assert "planes" in stock["missing"]
    inventory = pq.read_table(tmp_path / "landing" / "inventory.parquet").to_pylist()
    assert [row["rows"] for row in inventory if row["source"] == "AA-JFK"] == [37]


def test_an_unknown_source_and_a_forgotten_day_are_told(tmp_path):
    with pytest.raises(ValueError, match="no source 'AA-BOS'"):
        extract("AA-BOS", DEFAULT_DAY, tmp_path)
    with pytest.raises(ValueError, match="weather is landed by day"):
        extract("weather", None, tmp_path)
