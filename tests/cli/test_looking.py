"""show, why, runs, logs, list, graph: what they say about a project with a history, and when there is nothing to say."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from .projects import Partita


def test_runs_are_listed_newest_first_and_filtered(look: Partita) -> None:
    said = look("runs")
    assert said.status == 0
    assert [line.split()[0] for line in said.out.splitlines()[1:]] == ["3", "2", "1"]
    assert "■ failed" in said.out
    assert [r["no"] for r in look("runs", "daily", "--json").json] == [2, 1]
    assert [r["no"] for r in look("runs", "--state", "failed", "--json").json] == [2]
    assert [r["no"] for r in look("runs", "--partition", "2013-06-13", "--json").json] == [3]
    page = look("runs", "--limit", "2")
    assert "older ones: --before 2" in page.err
    assert [r["no"] for r in look("runs", "--before", "2", "--json").json] == [1]
    assert look("runs", "--state", "broken").err.startswith("■ there is no state 'broken' of runs")
    assert look("runs", "nope").err == "no run is like that\n"


def test_a_run_is_named_by_number_id_beginning_last_or_pipeline(look: Partita) -> None:
    first = look("show", "1", "--json").json
    for name in ("1", first["id"], first["id"][:18]):
        assert look("why", name, "--json").json["no"] == 1
    assert look("why", "last", "--json").json["no"] == 3
    assert look("why", "--json").json["no"] == 3
    assert look("why", "daily", "--json").json["no"] == 2
    said = look("why", "99")
    assert said.status == 2
    assert said.err.startswith("■ there is no run '99'\nhint: ")


def test_a_run_is_shown_with_steps_attempts_and_what_it_made(look: Partita) -> None:
    said = look("show", "2")
    assert "■ daily failed in" in said.out
    assert "region=eu" in said.out
    assert "extract[bbb]" in said.out
    assert "3/3" in said.out
    assets = look("show", "last")
    assert "● passed  delays_are_plausible  delays" in assets.out
    assert "rows 3" in assets.out
    data = look("show", "2", "--json").json
    assert data["counts"] == {"succeeded": 3, "failed": 1, "upstream_failed": 2}
    failed = next(s for s in data["steps"] if s["step"] == "extract" and s["state"] == "failed")
    assert [a["state"] for a in failed["attempts"] if a["state"] != "refused"] == ["failed", "failed"]
    assert failed["attempts"][-1]["failure"]["types"][0] == "builtins.ValueError"
    assert look("show", "3", "--json").json["materializations"][0]["metadata"] == [
        {"name": "rows", "kind": "number", "value": 3}
    ]


def test_a_step_is_shown_with_its_attempts_and_log(look: Partita) -> None:
    said = look("show", "2", "extract", "1")
    assert "■ extract[bbb] failed" in said.out
    assert "ValueError: column 'dep_delay' is missing" in said.out
    assert "columns: year, month" in said.out
    whole = look("show", "2", "extract")
    assert "extract  ×3" in whole.out
    assert [line.split()[1] for line in whole.out.splitlines()[2:]] == ["bbb", "aa", "cccc"]
    assert re.search(r"result +3\n", look("show", "1", "extract", "1").out)


@pytest.mark.parametrize("words", [("extract[1]",), ("extract", "1"), ("extract[bbb]",), ("extract", "bbb")])
def test_a_step_of_a_map_is_named_by_index_or_label(look: Partita, words: tuple[str, ...]) -> None:
    said = look("why", "2", *words, "--json")
    assert said.json["step"] == "extract"
    assert said.json["index"] == "1"
    assert said.json["state"] == "failed"
    assert said.json["reasons"][-1]["text"].startswith("column 'dep_delay' is missing")


def test_why_tells_first_causes_and_why_steps_did_not_run(look: Partita) -> None:
    run = look("why", "2")
    assert run.out.count("■ extract[bbb]") == 1
    assert "blocks 2 steps: publish, total" in run.out
    step = look("why", "2", "publish")
    assert "▨ publish upstream failed" in step.out
    assert "extract[1] broke first: ValueError: column 'dep_delay' is missing" in step.out
    failed = look("why", "2", "extract", "1")
    assert "attempt 1 failed: ValueError: column 'dep_delay' is missing" in failed.out
    assert "raise ValueError(\"column 'dep_delay' is missing\")" in failed.out
    fine = look("why", "1")
    assert "– alert skipped: " in fine.out
    unknown = look("why", "2", "publsh")
    assert unknown.err == "■ run 2 has no step 'publsh'\nhint: did you mean 'publish'?\n"
    assert look("why", "2", "extract", "zz").err.startswith("■ extract has no instance 'zz'")


def test_logs_are_exact_when_they_are_piped(look: Partita) -> None:
    said = look("logs", "2", "extract", "1")
    assert [line.split(" ", 1)[1] for line in said.out.splitlines()] == ["reading bbb", "columns: year, month"]
    assert said.out.startswith("20")
    assert look("logs", "2", "extract", "1", "--tail", "1").out.endswith("columns: year, month\n")
    assert len(look("logs", "2", "extract", "1", "--tail", "1").out.splitlines()) == 1
    every = look("logs", "1")
    assert "── extract[aa] attempt 1" in every.out
    assert [json.loads(line)["text"] for line in look("logs", "2", "alert", "--json").out.splitlines()] == [
        "somebody should look"
    ]
    assert look("logs", "1", "total").err == "it has written nothing\n"
    assert look("logs", "2", "total").err.startswith("■ total has not begun in run 2\nhint: partita why 2 total")
    assert look("logs", "2", "extract", "1", "--attempt", "9").err.startswith("■ there is no attempt 9")


def test_definitions_are_listed_and_filtered(look: Partita) -> None:
    said = look("list")
    assert "daily" in said.out
    assert "cron 0 3 * * *" in said.out
    assert "delays" in said.out
    assert [a["name"] for a in look("list", "--group", "raw", "--json").json["assets"]] == ["flights"]
    assert [p["name"] for p in look("list", "da*", "--json").json["pipelines"]] == ["daily"]
    assert look("list", "--kind", "assets", "--json").json["pipelines"] == []
    assert look("list", "--owner", "flights", "--json").json["pipelines"][0]["name"] == "daily"
    assert look("list", "zzz").err == "nothing here is like that\n"


def test_a_pipeline_and_an_asset_are_shown_as_they_are_written(look: Partita) -> None:
    pipeline = look("show", "daily")
    assert "cron 0 3 * * *  UTC" in pipeline.out
    assert "region" in pipeline.out
    assert "└─ total" in pipeline.out
    assert look("show", "daily", "--json").json["params"][0]["default"] == "eu"
    asset = look("show", "delays")
    assert "The sum of all delays." in asset.out
    assert "delays_are_plausible (blocking)" in asset.out
    assert "daily from 2013-01-01 to 2014-01-01" in asset.out
    assert "run 3" in asset.out
    data = look("show", "flights", "--json").json
    assert data["materializations"][0]["partition"] == "2013-06-13"
    assert look("show", "delais").err.endswith("hint: did you mean 'delays'?\n")


def test_a_graph_is_drawn_as_text_dot_mermaid_and_svg(look: Partita, tmp_path: Path) -> None:
    text = look("graph", "daily").out.splitlines()
    assert text[1].startswith("extract ×3")
    assert text[2].startswith("└─ total")
    assert text[-1].startswith("      └─ alert   when any_failed")
    dot = look("graph", "daily", "--format", "dot").out
    assert dot.startswith('digraph "daily" {')
    assert '"extract" -> "total";' in dot
    mermaid = look("graph", "+delays", "-f", "mermaid").out
    assert mermaid.startswith("flowchart LR")
    assert '("flights")' in mermaid
    file = tmp_path / "daily.svg"
    said = look("graph", "daily", "-o", str(file))
    assert said.err == f"● {file}: 4 steps\n"
    root = ET.fromstring(file.read_text())
    assert len(root.findall("{http://www.w3.org/2000/svg}g")) == 4
    assert [s["step"] for s in look("graph", "daily", "--json").json["steps"]] == [
        "extract",
        "total",
        "publish",
        "alert",
    ]
    assert look("graph").err.startswith("■ say which pipeline")
    assert look("graph", "nope").status == 2
    assert look("graph", "daily", "-o", str(tmp_path / "no" / "x.svg")).status == 3


def test_before_the_first_run_commands_say_what_to_do(partita: Partita) -> None:
    for words in (["runs"], ["why"], ["logs"], ["show"], ["retry"], ["cancel"], ["db", "audit"]):
        said = partita(*words)
        assert said.status == 2, words
        assert said.err.startswith("■ nothing was run in "), words
        assert said.err.splitlines()[-1].startswith("hint: start with: partita run"), words
    assert partita("db", "migrate").status == 2
