"""The exchange: code by its digest, one claim, logs in order, outcomes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from partita.errors import WorldError
from partita.executors.bundle import pack
from partita.executors.clusters.exchange import Exchange
from partita.worker.wire import Outcome, Spooled


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    return Exchange.at(f"file://{tmp_path}/exchange")


def test_code_is_left_once_and_unpacked_once_by_its_digest(exchange: Exchange, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pipelines.py").write_text("print('here')\n")
    bundle = pack(project, into=tmp_path)
    exchange.put_code(bundle)
    exchange.put_code(bundle)
    folder = exchange.code(bundle.digest, tmp_path / "node")
    assert (folder / "pipelines.py").read_text() == "print('here')\n"
    (folder / "mark").touch()
    assert (exchange.code(bundle.digest, tmp_path / "node") / "mark").exists()
    with pytest.raises(WorldError, match="has no code 000000000000"):
        exchange.code("0" * 64, tmp_path / "node")


def test_a_job_is_claimed_once_and_its_claim_outlives_it(exchange: Exchange) -> None:
    assert exchange.claimed("pt-1") == ""
    assert [exchange.claim("pt-1", "node a"), exchange.claim("pt-1", "node b")] == [True, False]
    assert exchange.claimed("pt-1") == "node a"
    exchange.put_outcome("pt-1", Spooled("run", "step", "", 1, 7, Outcome(3, "succeeded", 1.0, 2.0)))
    exchange.remove("pt-1")
    assert exchange.outcome("pt-1") is None
    assert not exchange.claim("pt-1", "a machine that was cut off")


def test_what_nobody_removed_is_swept_away_in_time(exchange: Exchange) -> None:
    ended, runs, other = "pt-a7" + "0" * 22, "pt-a7" + "1" * 22, "pt-b8" + "0" * 22
    for name in (ended, runs, other):
        exchange.claim(name, "node")
        exchange.write_log(name, 1, b"hello\n")
    for name in (ended, other):
        exchange.put_outcome(name, Spooled("run", "step", "", 1, 7, Outcome(3, "succeeded", 1.0, 2.0)))
    now, day = time.time(), 86_400.0
    assert exchange.sweep(0xA7, now=now + 6 * day) == 0
    assert exchange.outcome(ended) is not None
    assert exchange.sweep(0xA7, now=now + 8 * day) == 1
    assert exchange.outcome(ended) is None
    assert exchange.logs(runs)
    assert exchange.outcome(other) is not None
    assert not exchange.claim(ended, "late")
    assert exchange.sweep(0xA7, now=now + 31 * day) == 2
    assert not exchange.logs(runs)
    assert exchange.claim(ended, "a month later")


def test_a_log_is_read_in_order_up_to_a_hole(exchange: Exchange) -> None:
    for number in (1, 2, 4):
        exchange.write_log("pt-1", number, b"%d\n" % number)
    assert exchange.logs("pt-1") == [(1, b"1\n"), (2, b"2\n")]
    exchange.write_log("pt-1", 3, b"3\n")
    assert [number for number, _ in exchange.logs("pt-1", after=2)] == [3, 4]


def test_an_outcome_is_there_for_whoever_asks_later(exchange: Exchange) -> None:
    spooled = Spooled("run", "step", "", 1, 7, Outcome(3, "succeeded", 1.0, 2.0))
    assert exchange.outcome("pt-1") is None
    exchange.put_outcome("pt-1", spooled)
    assert exchange.outcome("pt-1") == spooled
