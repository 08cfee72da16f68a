"""`partita run`, with real projects, engines and workers."""

from __future__ import annotations

import re
from pathlib import Path

from partita.store.sqlite import open_reader

from .projects import Partita, shell, write_project


def test_a_run_that_succeeds_says_so_and_exits_with_0(partita: Partita) -> None:
    said = partita("run", "daily")
    assert said.status == 0
    assert "● daily succeeded in" in said.out
    assert "● 5 succeeded" in said.out
    assert "– 1 skipped" in said.out


def test_without_a_terminal_what_matters_is_told_line_by_line_on_stderr(partita: Partita) -> None:
    said = partita("run", "daily", "--param", "broken=bbb")
    lines = [line.split(" ", 1)[1] for line in said.err.splitlines()]
    assert lines[0] == "◐ run 1 of daily started"
    assert "↻ extract[bbb] failed (attempt 1), again now: ValueError: column 'dep_delay' is missing" in lines
    assert "■ extract[bbb] failed (attempt 2): ValueError: column 'dep_delay' is missing" in lines
    assert any(line.startswith("■ extract ×3 ended in") and "2 succeeded" in line for line in lines)
    assert any(line.startswith("▨ total upstream failed") for line in lines)
    assert lines[-1].startswith("■ run 1 failed in")


def test_a_run_that_fails_names_the_first_cause_what_it_blocks_and_what_to_type(partita: Partita) -> None:
    said = partita("run", "daily", "-p", "broken=bbb")
    assert said.status == 1
    assert "■ daily failed in" in said.out
    assert "■ extract[bbb]   owner flights, 2 attempts" in said.out
    assert "  ValueError: column 'dep_delay' is missing" in said.out
    assert "blocks 2 steps: publish, total" in said.out
    assert "columns: year, month" in said.out
    assert "partita why 1 extract 1" in said.out
    assert "partita logs 1 extract 1" in said.out
    assert "partita retry 1" in said.out


def test_json_prints_the_run_and_nothing_else(partita: Partita) -> None:
    said = partita("run", "daily", "-p", "broken=bbb", "-p", "region=us", "--json")
    assert said.status == 1
    assert said.json["no"] == 1
    assert said.json["state"] == "failed"
    assert said.json["params"] == {"region": "us", "broken": "bbb", "limit": 3}
    assert said.json["created_at"].endswith("Z")
    assert said.json["finished_at"] > said.json["started_at"]
    assert [c["step"] for c in said.json["causes"]] == ["extract"]
    assert said.err == ""


def test_the_only_pipeline_needs_no_name_and_several_are_listed(partita: Partita, tmp_path: Path) -> None:
    said = partita("run")
    assert said.status == 2
    assert said.err == "■ say which pipeline: daily, one\nhint: partita run daily\n"
    only = write_project(
        tmp_path / "only", "import partita as pt\n@pt.task\ndef a(): ...\n@pt.pipeline\ndef p(): a()\n"
    )
    assert partita("run", "-C", str(only)).status == 0
    assert partita("-C", str(only), "run").status == 0


def test_what_is_asked_for_wrongly_is_one_message_and_a_hint_and_no_run(partita: Partita, project: Path) -> None:
    for words, message, hint in (
        (["dialy"], "no pipeline or asset 'dialy'", "did you mean 'daily'?"),
        (["daily", "-p", "regoin=us"], "there is no parameter `regoin`", "did you mean `region`?"),
        (["daily", "-p", "limit=many"], "limit", ""),
        (["daily", "-p", "region"], "--param takes NAME=VALUE, not 'region'", "--param region=eu"),
        (["daily", "--partition", "2013-01-01"], "is not partitioned", "leave --partition out"),
        (["+delays"], "say which one", "--partition 2013-"),
        (["+delays", "--partition", "2012-01-01"], "2012-01-01", ""),
        (["+delays", "--partition", "june"], "june", ""),
        (
            ["+delays", "-p", "x=1", "--partition", "2013-01-01"],
            "no pipeline, so it has no parameters",
            "leave --param out",
        ),
        (["daily", "--select", "nope"], "there is no step or asset `nope`", ""),
        (["daily", "--from-step", "total"], "has no finished run", "partita run daily"),
        (["daily", "--from-step", "total", "-p", "region=us"], "--from-step repeats an earlier run", "leave"),
        (["daily", "--nope"], "there is no option --nope", "partita run --help"),
    ):
        said = partita("run", *words)
        assert said.status == 2, words
        assert message in said.err, words
        assert f"hint: {hint}" in said.err or not hint, words
        assert "Traceback" not in said.err
        assert said.out == ""
    assert open_reader(project / ".partita" / "partita.db").runs() == []


def test_select_runs_a_part_of_a_pipeline(partita: Partita) -> None:
    said = partita("run", "daily", "--select", "extract", "--json")
    assert said.status == 0
    assert said.json["selection"] == ["extract"]


def test_a_partition_range_makes_a_run_for_each(partita: Partita) -> None:
    said = partita("run", "+delays", "--partition", "2013-01-01..2013-01-03", "--json")
    assert said.status == 0
    assert [run["partition"] for run in said.json] == ["2013-01-01", "2013-01-02", "2013-01-03"]
    assert {run["state"] for run in said.json} == {"succeeded"}
    again = partita("run", "delays", "--partition", "2013-01-02..2013-01-03")
    assert again.out.count("● succeeded") == 2
    assert "run 4 " in again.err
    assert "run 5 " in again.err


def test_a_range_with_one_failure_exits_with_1_and_tells_of_that_one(partita: Partita, project: Path) -> None:
    text = (
        (project / "pipelines.py")
        .read_text()
        .replace(
            "    ctx.add_metadata(rows=3)\n",
            '    if ctx.partition.endswith("02"):\n        raise RuntimeError("no feed")\n',
        )
    )
    (project / "pipelines.py").write_text(text)
    said = partita("run", "+delays", "--partition", "2013-01-01..2013-01-03")
    assert said.status == 1
    assert said.out.count("● succeeded") == 2
    assert "■ flights   owner flights\n  RuntimeError: no feed" in said.out


def test_assets_are_run_by_selection_and_their_checks_are_counted(partita: Partita) -> None:
    said = partita("run", "+delays", "--partition", "2013-06-13")
    assert said.status == 0
    assert "● assets flights, delays and 1 more · 2013-06-13 succeeded" in said.out
    assert "made 2 assets, 1 check passed" in said.out


def test_retry_takes_over_what_succeeded(partita: Partita) -> None:
    partita("run", "daily", "-p", "broken=bbb")
    said = partita("retry")
    assert said.status == 1
    assert "↻ run 2: 2 steps taken over from run 1, 4 to do" in said.err
    shown = partita("show", "2")
    assert re.search(r"again of +run 1", shown.out)
    assert "2 taken over" in shown.out


def test_retry_from_a_step_and_from_step_repeat_what_comes_after_it(partita: Partita) -> None:
    assert partita("run", "daily").status == 0
    assert partita("retry", "1").err.startswith("■ run 1 succeeded, there is nothing to repeat")
    said = partita("retry", "daily", "--from", "publish")
    assert said.status == 0
    assert "4 steps taken over from run 1, 2 to do" in said.err
    again = partita("run", "daily", "--from-step", "total")
    assert again.status == 0
    assert "3 steps taken over from run 2, 3 to do" in again.err
    wrong = partita("retry", "1", "--from", "totl")
    assert wrong.status == 2
    assert "run 1 has no step or group 'totl'" in wrong.err


def test_broken_definitions_are_shown_when_they_are_in_the_way(partita: Partita, project: Path) -> None:
    text = (project / "pipelines.py").read_text()
    (project / "pipelines.py").write_text(text + "\n@pt.pipeline\ndef bad():\n    undefined_name\n")
    said = partita("run", "bad")
    assert said.status == 2
    assert "undefined_name" in said.err
    assert "pipelines.py:" in said.err
    assert "cannot run while the definitions are broken" in said.err
    fine = partita("run", "one")
    assert fine.status == 0
    assert "1 problem in the definitions of this project" in fine.err


def test_a_project_that_cannot_be_imported_is_a_world_error(partita: Partita, project: Path) -> None:
    (project / "pipelines.py").write_text("import os\nos._exit(3)\n")
    said = partita("run")
    assert said.status == 3
    assert "ended with exit code 3 while importing `pipelines`" in said.err
    assert "Traceback" not in said.err


def test_control_sequences_in_names_and_logs_never_reach_the_output(partita: Partita, project: Path) -> None:
    (project / "pipelines.py").write_text(
        "import partita as pt\n"
        "@pt.task(label='{x}')\n"
        "def evil(x: str):\n"
        "    print('\\x1b]0;title\\x07 text \\x1b[2J')\n"
        "    raise ValueError('\\x1b[2Jboom\\u202e')\n"
        "@pt.pipeline\n"
        "def p(): evil.map(['a\\x1b[31mb'])\n"
    )
    said = partita("run")
    assert said.status == 1
    assert "\x1b" not in said.out + said.err
    assert "\u202e" not in said.out + said.err
    assert "\\x1b[2Jboom\\u202e" in said.out
    assert "evil[a\\x1b[31mb]" in said.out


def test_the_command_as_people_call_it(project: Path) -> None:
    said = shell(project, "run", "one")
    assert said.status == 0
    assert said.out.startswith("● one succeeded in")
    assert "\x1b" not in said.out + said.err
