"""Sensors as they are written: what becomes of them, and what is wrong with those that cannot be."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import partita as pt
from partita.core.manifest import SensorSpec
from partita.core.plain import pack, unpack
from partita.core.sensing import Event, Memory, backoff_s, filled, gathered, is_satisfied, waits_until
from partita.define.project import Project, load
from partita.errors import DefinitionError

BASE = """
import partita as pt

@pt.task
def work(): ...

@pt.pipeline
def load_it():
    work()
"""


def project(folder: Path, code: str) -> Project:
    (folder / "pipelines.py").write_text(BASE + dedent(code))
    return load(folder)


def sensors(folder: Path, code: str) -> dict[str, SensorSpec]:
    found = project(folder, code)
    assert found.manifest.problems == ()
    return {sensor.name: sensor for sensor in found.manifest.sensors}


def test_a_function_is_a_sensor_with_its_call_and_stays_a_function(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        """
        @pt.sensor(load_it, interval="5m", timeout="10s", debounce="1m", owner="ana")
        def new_orders(ctx):
            '''Looks for orders.'''
            return ctx.cursor
        """,
    )
    (spec,) = found.manifest.sensors
    assert (spec.name, spec.of, spec.targets, spec.description) == (
        "new_orders",
        "function",
        ("load_it",),
        "Looks for orders.",
    )
    assert (spec.interval_s, spec.timeout_s, spec.debounce_s, spec.owner) == (300.0, 10.0, 60.0, "ana")
    assert spec.written_at.startswith("pipelines.py:")
    assert found.calls[spec.call].function(pt.SensorContext(cursor=5)) == 5


def test_a_sensor_is_called_in_a_unit_test_as_any_function() -> None:
    @pt.sensor("load_it")
    def odd(ctx: pt.SensorContext) -> pt.RunRequest:
        ctx.cursor = 3
        return pt.RunRequest(key="k")

    ctx = pt.SensorContext(cursor=1)
    assert odd(ctx) == pt.RunRequest(key="k")
    assert ctx.cursor == 3


def test_functions_among_the_options_are_kept_as_calls(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        """
        pt.http_sensor("one", "https://example.com", when=lambda body: body["ok"], start=load_it)
        pt.http_sensor("two", "https://example.com", when=lambda body: not body["ok"], start=load_it)
        pt.sql_sensor("rows", "SELECT 1", connect=lambda: 7, start=load_it)

        @pt.file_sensor("files", "*.csv", start=load_it)
        def each(event):
            return pt.RunRequest(key=event["name"])
        """,
    )
    specs = {sensor.name: sensor for sensor in found.manifest.sensors}
    one, two = (found.calls[unpack(specs[name].options)["when"]].function for name in ("one", "two"))
    assert (one({"ok": 1}), two({"ok": 1})) == (1, False)
    assert found.calls[unpack(specs["rows"].options)["connect_call"]].function() == 7
    assert found.calls[specs["files"].call].function({"name": "a"}).key == "a"


def test_options_of_the_ready_made_ones(tmp_path: Path) -> None:
    found = sensors(
        tmp_path,
        """
        pt.on_run("ends", [load_it, "other"], states=["failed", "cancelled"], start="load_it")
        pt.on_assets("both", pt.updated("a") & "b", start=load_it, by_partition=True)
        pt.absent("late", by="07:30", tz="Europe/Berlin", run=load_it, within="1d", start=load_it)
        pt.webhook("hook", secret="HOOK", start=load_it, tolerance="1m")
        """,
    )
    assert unpack(found["ends"].options)["pipelines"] == ["load_it", "other"]
    assert unpack(found["both"].options)["condition"] == ["all", "a", "b"]
    assert unpack(found["both"].options)["partition"] == "{partition}"
    late = unpack(found["late"].options)
    assert (late["rule"], late["tz"], late["within_s"]) == ("cron 30 7 * * *", "Europe/Berlin", 86400.0)
    assert unpack(found["hook"].options)["tolerance_s"] == 60.0


def test_the_secret_of_a_webhook_is_known_by_name_to_the_project(tmp_path: Path) -> None:
    found = project(tmp_path, 'pt.webhook("hook", secret="HOOK_KEY", start=load_it)')
    assert "HOOK_KEY" in found.manifest.secrets


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ('pt.webhook("open", start=load_it)', "has no secret, so anybody could start its runs"),
        ('pt.webhook("h", secret="S", signed="{timestamp}{body}")', "needs a timestamp_header"),
        ('pt.webhook("h", secret="S", max_bytes=0)', "max_bytes must be from 1 to 32 MiB"),
        ('pt.file_sensor("f", "*", start="lod_it")', "starts `lod_it`, and there is no such pipeline or asset"),
        ('pt.file_sensor("f", "*", start=load_it, intervall="1m")', "has no option `intervall`"),
        ('pt.file_sensor("f", "*", start=load_it, interval="often")', "option `interval`"),
        ('pt.file_sensor("f", "*", start=load_it, interval=0.01)', "is too short"),
        ('pt.file_sensor("f", "*", start=load_it, timeout="2h")', "the timeout must be up to 1h"),
        ('pt.file_sensor("f", "*", start=load_it, batch=0)', "batch must be from 1 to 10000"),
        ('pt.file_sensor("a b", "*", start=load_it)', "a b"),
        ('pt.file_sensor("f", "*", start=7)', "7 is no pipeline"),
        ('pt.file_sensor("f", "*", start=load_it, params={"x": object()})', "must be plain data"),
        ('pt.on_run("r", load_it, states="done")', "runs do not end 'done'"),
        ('pt.on_assets("r", 7, start=load_it)', "7 is no asset"),
        ('pt.absent("a", by="25:00", file="x")', "'25:00' is no time"),
        ('pt.absent("a", by="07:00")', "needs one of file=, run=, asset="),
        ('pt.absent("a", by="07:00", file="x", run=load_it)', "needs one of file=, run=, asset="),
        ("@pt.sensor(load_it)\ndef f(ctx, event): ...", "calls its function with the context only"),
        ('@pt.sensor("load_it", name="x")\nclass C: ...', "is for functions"),
        ('pt.file_sensor("f", "*", start=load_it)\npt.file_sensor("f", "*", start=load_it)', "is defined twice"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_the_rest_is_loaded(tmp_path: Path, code: str, message: str) -> None:
    found = project(tmp_path, code + '\npt.file_sensor("good", "*", start=load_it)\n')
    (problem,) = found.manifest.problems
    assert message in problem.message
    assert problem.file == "pipelines.py"
    assert problem.line > 0
    assert "good" in {sensor.name for sensor in found.manifest.sensors}


def test_outside_of_a_project_what_is_wrong_raises() -> None:
    with pytest.raises(DefinitionError, match="has no secret"):
        pt.webhook("open", start="load_it")


# --- what is made of events ---------------------------------------------------------------------------------------


def events(*keys: str) -> list[Event]:
    return [Event(key, pack({"key": key})) for key in keys]


def names(groups: Any) -> list[list[str]]:
    return [[event.key for event in group] for group in groups]


def test_without_debounce_each_event_is_a_group_or_a_batch_is() -> None:
    memory, groups = gathered(Memory(), events("a", "b", "c"), 10.0, debounce_s=0, batch=1)
    assert names(groups) == [["a"], ["b"], ["c"]]
    _, groups = gathered(memory, events("a", "b", "c"), 10.0, debounce_s=0, batch=2)
    assert names(groups) == [["a", "b"], ["c"]]


def test_a_burst_is_one_group_when_it_is_over_and_is_not_put_off_for_ever() -> None:
    memory, groups = gathered(Memory(), events("a"), 0.0, debounce_s=10, batch=0)
    assert (groups, waits_until(memory, 10)) == ([], 10.0)
    memory, groups = gathered(memory, events("b"), 9.0, debounce_s=10, batch=0)
    assert (groups, waits_until(memory, 10)) == ([], 19.0)
    memory, groups = gathered(memory, [], 18.0, debounce_s=10, batch=0)
    assert groups == []
    memory, groups = gathered(memory, [], 19.0, debounce_s=10, batch=0)
    assert names(groups) == [["a", "b"]]
    assert memory.pending == ()
    # Something every 5 s: after ten times the debounce it is enough.
    released = []
    for i in range(30):
        memory, groups = gathered(memory, events(str(i)), 100.0 + 5 * i, debounce_s=10, batch=0)
        released += groups
    assert [len(group) for group in released] == [21]


def test_fields_fill_parameters() -> None:
    assert filled({"a": "{x}", "b": "{x}-{y}", "c": 3}, {"x": [1], "y": 2}) == {"a": [1], "b": "[1]-2", "c": 3}
    with pytest.raises(LookupError, match=r"there is no \{z\} here, there is \{x\}"):
        filled({"a": "{z}"}, {"x": 1})


def test_conditions_over_assets() -> None:
    condition = ((pt.updated("a") & "b") | "c").condition
    assert is_satisfied(condition, {"c"})
    assert is_satisfied(condition, {"a", "b"})
    assert not is_satisfied(condition, {"a"})


def test_a_failing_sensor_rests_twice_as_long_each_time_up_to_a_quarter_of_an_hour() -> None:
    assert [backoff_s(30, n) for n in range(7)] == [30, 30, 60, 120, 240, 480, 900]
    assert backoff_s(3600, 9) == 3600
    assert backoff_s(30, 10_000) == 900
