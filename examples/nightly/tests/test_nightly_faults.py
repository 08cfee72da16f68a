from __future__ import annotations

import faults
import pytest
from outside import deliver
from sources import DEFAULT_DAY, SchemaError, extract


def test_nothing_breaks_unless_asked(monkeypatch, landed):
    monkeypatch.delenv(faults.VARIABLE, raising=False)
    assert faults.switched_on() == ()
    assert extract("AA-JFK", DEFAULT_DAY, landed.root)["rows"] == 37
    faults.before_training(faults.GREEDY_MODEL)


def test_one_feed_renames_a_column(monkeypatch, landed):
    monkeypatch.setenv(faults.VARIABLE, "1")
    with pytest.raises(SchemaError, match="found 'departure_delay'"):
        extract("AA-JFK", DEFAULT_DAY, landed.root)
    assert extract("AA-LGA", DEFAULT_DAY, landed.root)["rows"] > 0


def test_the_weather_times_out_twice_and_then_works(monkeypatch, landed):
    monkeypatch.setenv(faults.VARIABLE, "1")
    for attempt in (1, 2):
        with pytest.raises(TimeoutError, match="source weather: no answer"):
            extract("weather", DEFAULT_DAY, landed.root, attempt)
    assert extract("weather", DEFAULT_DAY, landed.root, 3)["rows"] == 71


def test_some_planes_are_registered_twice(monkeypatch, landed):
    whole = deliver("planes", landed.cache).num_rows
    monkeypatch.setenv(faults.VARIABLE, "duplicates")
    assert deliver("planes", landed.cache).num_rows == whole + faults.DUPLICATED_PLANE_ROWS


def test_one_model_runs_out_of_memory_and_the_others_do_not(monkeypatch):
    monkeypatch.setenv(faults.VARIABLE, "memory")
    monkeypatch.setattr(faults, "_GREED_BYTES", 64 << 20)
    faults.before_training("air_time")
    with pytest.raises(MemoryError, match="cancellation_risk took 64 MiB"):
        faults.before_training("cancellation_risk")


def test_a_fault_that_there_is_not_is_told(monkeypatch):
    monkeypatch.setenv(faults.VARIABLE, "memory,gremlins")
    with pytest.raises(ValueError, match="gremlins"):
        faults.switched_on()
