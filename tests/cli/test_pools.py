"""Pools and other limits from the command line, with no service at work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .projects import call, shell

PROJECT = """
import partita as pt


@pt.task(pool="db", rate="api")
def load() -> int:
    return 1


@pt.pipeline(max_runs=2, concurrency=pt.concurrency("{region}", limit=1, strategy="skip"))
def nightly(region: str = "eu"):
    load()
"""
CONFIG = """
[tool.partita]
pools = { db = 3 }
rates = { api = "100/min" }
tags = { heavy = 2 }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("limits") / "shop"
    folder.mkdir()
    (folder / "pipelines.py").write_text(PROJECT)
    (folder / "pyproject.toml").write_text(CONFIG)
    shell(folder, "run", "nightly")
    return folder


def listed(capsys: pytest.CaptureFixture[str], folder: Path) -> dict[str, dict]:
    out = call(capsys, folder, "pools", "--json").out
    return {f"{state['of']} {state['name']}": state for state in json.loads(out)}


def test_what_is_declared_is_listed_with_what_is_in_use(capsys, folder):
    states = listed(capsys, folder)
    assert set(states) == {"pool db", "rate api", "tag heavy", "pipeline nightly"}
    assert states["pool db"]["slots"] == 3
    assert states["pool db"]["used"] == 0
    assert states["pipeline nightly"]["declared"] == 2


def test_a_pool_is_set_from_now_on_and_reset_again(capsys, folder):
    told = call(capsys, folder, "pools", "set", "db", "1", "--reason", "the warehouse is slow")
    assert "pool db: 1 at once" in told.out
    assert listed(capsys, folder)["pool db"] | {"by": ""} == {
        "namespace": "default",
        "of": "pool",
        "name": "db",
        "slots": 1,
        "used": 0,
        "waiting": 0,
        "declared": 3,
        "set": 1,
        "by": "",
        "reason": "the warehouse is slow",
        "per_s": 0.0,
    }
    assert "3 at once again, as declared" in call(capsys, folder, "pools", "reset", "db").out
    assert listed(capsys, folder)["pool db"]["set"] is None


def test_an_unknown_pool_or_kind_is_told_with_what_there_is(capsys, folder):
    wrong = call(capsys, folder, "pools", "set", "bd", "1")
    assert wrong.status == 2
    assert "no project declares a pool 'bd'" in wrong.err
    assert "there are: db" in wrong.err
    assert "there is no kind of limit 'lane'" in call(capsys, folder, "pools", "set", "x", "1", "--kind", "lane").err


def test_the_table_names_each_limit(capsys, folder):
    out = call(capsys, folder, "pools").out
    for word in ("db", "heavy", "nightly", "api", "100 per 60 s"):
        assert word in out, out
