"""`partita system`: who leads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from partita.cli import main as cli
from partita.store.leases import ENGINE, shard_of
from partita.store.sqlite import open_store


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pipelines.py").write_text("import partita as pt\n")
    (tmp_path / ".partita").mkdir()
    return tmp_path


def test_it_says_who_leads_since_when_and_in_which_epoch(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(project / ".partita" / "partita.db")
    store.acquire(ENGINE, "here:1:2", 60.0)
    assert cli.run(["system", "-C", str(project), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["leaders"]
    assert (told["namespace"], told["holder"], told["leads"], told["epoch"]) == (None, "here:1:2", True, 1)
    assert told["since"] < told["until"]
    assert cli.run(["system", "-C", str(project)]) == 0
    assert "here:1:2" in capsys.readouterr().out
    store.close()


def test_it_says_which_namespace_is_led_by_nobody(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(project / ".partita" / "partita.db")
    store.give_out("team")
    store.acquire(ENGINE, "here:1:2", 60.0)
    assert cli.run(["system", "-C", str(project)]) == 0
    shown = capsys.readouterr()
    assert "all others" in shown.out
    assert "nobody" in next(line for line in shown.out.splitlines() if line.startswith("team"))
    assert "partita up --spread" in shown.err
    store.acquire(shard_of("team"), "there:1:2", 60.0)
    assert cli.run(["system", "-C", str(project)]) == 0
    assert "nobody" not in capsys.readouterr().out
    store.close()


def test_a_file_has_one_scheduler_for_all(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_store(project / ".partita" / "partita.db").close()
    assert cli.run(["system", "join", "team", "-C", str(project)]) == 2
    assert "one scheduler leads all" in capsys.readouterr().err
