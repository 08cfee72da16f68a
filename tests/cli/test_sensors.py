"""`partita sensors ...`, straight at the folder: listing, showing, trying, pausing, beginning anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from partita.core.facts.sensors import SensorEvaluated
from partita.core.plain import pack
from partita.core.sensing import Memory, to_remember
from partita.engine.service import Service
from partita.executors.inline import InlineExecutor
from partita.settings import Home, Settings
from partita.store.sqlite import open_store

from .projects import call

PROJECT = """
import partita as pt


@pt.task
def work(n: int): ...


@pt.pipeline
def load(n: int = 0):
    work(n)


@pt.sensor(load, interval="5m")
def counting(ctx):
    '''Counts.'''
    print("looking from", ctx.cursor)
    ctx.cursor = (ctx.cursor or 0) + 1
    if ctx.cursor > 100:
        raise ValueError("too far")
    return pt.RunRequest(key=f"n-{ctx.cursor}", params={"n": ctx.cursor})


pt.webhook("hook", unsigned=True, start=load, params={"n": "{count}"})
pt.file_sensor("files", "inbox/*", start=load, paused=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "pipelines.py").write_text(PROJECT)
    return folder


@pytest.fixture
def served(folder: Path) -> Path:
    """It was served once, and the sensor has looked."""
    from partita.define.project import load

    home = Home(folder / ".partita")
    home.root.mkdir()
    store = open_store(home.db)
    service = Service(store, InlineExecutor({}, home), settings=Settings(project=folder, home=home))
    service.load(load(folder).manifest)
    service.start()
    state = to_remember(Memory(cursor=pack(41)))
    service.engine.record(
        SensorEvaluated(2.0, "default", "counting", 0.5, state, quiet=7, skipped="a holiday", output="said\n"),
        SensorEvaluated(3.0, "default", "counting", 0.5, state, error="ValueError: no", failures=1),
    )
    service.engine.turn(0.0, chores=False)
    service.close()
    store.close()
    return folder


def data(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> Any:
    return json.loads(call(capsys, folder, "sensors", *words, "--json").out)


def test_before_anything_was_served_what_is_declared_is_listed(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    rows = {row["name"]: row for row in data(capsys, folder)}
    assert set(rows) == {"counting", "files", "hook"}
    assert rows["counting"]["interval_s"] == 300.0
    assert rows["files"]["paused"] is True
    told = call(capsys, folder, "sensors")
    assert "inbox/*" in told.out
    assert "○ paused" in told.out


def test_a_sensor_is_shown_with_its_looks_and_its_cursor(capsys: pytest.CaptureFixture[str], served: Path) -> None:
    shown = data(capsys, served, "show", "counting")
    assert (shown["cursor"], shown["looks"][0]["error"], shown["looks"][1]["skipped"]) == (
        41,
        "ValueError: no",
        "a holiday",
    )
    out = call(capsys, served, "sensors", "show", "counting").out
    assert "9 looks, 7 of them saw nothing" in out
    assert "■ 1 failure in a row" in out
    assert "cursor  41" in out


def test_a_try_says_what_there_would_be_and_changes_nothing(capsys: pytest.CaptureFixture[str], served: Path) -> None:
    tried = data(capsys, served, "test", "counting")
    assert tried["runs"] == [
        {"pipeline": "load", "keys": ["n-42"], "params": {"n": 42}, "partition": "", "tags": [], "repeated": False}
    ]
    assert (tried["cursor"], tried["output"]) == (42, "looking from 41\n")
    assert data(capsys, served, "show", "counting")["cursor"] == 41
    told = call(capsys, served, "sensors", "test", "counting", "--cursor", "7")
    assert "● load(n=8)  [n-8]" in told.out
    assert "nothing was changed" in told.out


def test_a_try_that_fails_exits_with_1(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    told = call(capsys, folder, "sensors", "test", "counting", "--cursor", "100")
    assert told.status == 1
    assert "the look fails: too far" in told.out
    assert 'raise ValueError("too far")' in told.out
    assert "partita/worker" not in told.out


def test_a_webhook_is_tried_with_a_body(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    tried = data(capsys, folder, "test", "hook", "--event", '{"count": 3}')
    assert tried["runs"][0]["params"] == {"n": 3}


def test_pause_resume_and_reset_without_a_service(capsys: pytest.CaptureFixture[str], served: Path) -> None:
    call(capsys, served, "sensors", "pause", "counting", "--reason", "holidays")
    row = next(row for row in data(capsys, served) if row["name"] == "counting")
    assert (row["paused"], row["reason"]) == (True, "holidays")
    call(capsys, served, "sensors", "resume", "counting")
    assert not next(row for row in data(capsys, served) if row["name"] == "counting")["paused"]
    call(capsys, served, "sensors", "reset", "counting", "--cursor", "5")
    assert data(capsys, served, "show", "counting")["cursor"] == 5
    call(capsys, served, "sensors", "reset", "counting")
    assert data(capsys, served, "show", "counting")["cursor"] is None


def test_mistakes_are_told(capsys: pytest.CaptureFixture[str], served: Path) -> None:
    told = call(capsys, served, "sensors", "pause", "countin")
    assert told.status == 2
    assert "there is no sensor 'countin'" in told.err
    assert "did you mean 'counting'?" in told.err
    told = call(capsys, served, "sensors", "test", "counting", "--cursor", "{")
    assert told.status == 2
    assert "is no JSON" in told.err
    told = call(capsys, served, "sensors", "look", "counting")
    assert told.status == 2
    assert "no service is at work here" in told.err
