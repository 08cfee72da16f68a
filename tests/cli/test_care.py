"""init, check, doctor, db, and how mistakes are told: the user's, the world's and ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from partita.cli import main, verbs

from .projects import Partita, call, command, environment, shell


def test_init_makes_a_project_that_runs_at_once(tmp_path: Path) -> None:
    made = shell(tmp_path, "init", "demo")
    assert made.status == 0
    assert made.err == "hint: cd demo && partita run\n"
    demo = tmp_path / "demo"
    assert sorted(p.name for p in demo.iterdir()) == [".gitignore", "README.md", "pipelines.py"]
    assert shell(demo, "check").out.startswith("● project demo is well: 1 pipeline, 2 assets, 1 check")
    assert shell(demo, "run").status == 0
    prices = shell(demo, "run", "+price_list")
    assert prices.status == 0
    assert "1 check passed" in prices.out


def test_init_changes_nothing_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "README.md").write_text("mine")
    assert call(capsys, tmp_path, "init").status == 0
    assert (tmp_path / "README.md").read_text() == "mine"
    again = call(capsys, tmp_path, "init")
    assert again.status == 2
    assert "has a project already" in again.err
    assert call(capsys, tmp_path, "init", "README.md").status == 2


def test_check_tells_all_problems_at_once_with_file_and_line(partita: Partita, project: Path) -> None:
    assert partita("check").status == 0
    with (project / "pipelines.py").open("a") as file:
        file.write("\n@pt.pipeline\ndef bad():\n    total(nope)\n\n@pt.pipeline\ndef worse():\n    publish(1, 2, 3)\n")
    said = partita("check")
    assert said.status == 1
    assert said.out.count("■ pipelines.py:") == 2
    assert "■ 2 problems in project shop" in said.out
    data = partita("check", "--json")
    assert data.status == 1
    assert all(p["file"] == "pipelines.py" and p["line"] > 0 for p in data.json["problems"])


def test_doctor_looks_at_everything_and_says_what_to_do(partita: Partita, project: Path) -> None:
    partita("run", "one")
    said = partita("doctor")
    assert said.status == 0
    for word in (
        "python",
        "sqlite",
        "time zones",
        "workers",
        "project",
        "home",
        "disk",
        "store",
        "engine",
        "definitions",
    ):
        assert re.search(rf"^● ok +{word}", said.out, re.MULTILINE), word
    home = project / ".partita"
    home.chmod(0o755)
    assert f"hint: chmod go= {home}" in partita("doctor").out
    with (project / "pipelines.py").open("a") as file:
        file.write("\nraise RuntimeError('at import')\n")
    broken = partita("doctor", "--json")
    assert broken.status == 1
    assert [f["hint"] for f in broken.json if f["level"] == "fail"] == ["partita check"]


def test_the_store_is_audited_and_migrated(partita: Partita, project: Path) -> None:
    partita("run", "one")
    store = project / ".partita" / "partita.db"
    assert partita("db", "audit").out == f"● all invariants hold in {store}\n"
    assert partita("db", "migrate").out == f"● {store} is up to date\n"
    assert partita("db", "audit", "--json").json["findings"] == []
    assert partita("db", "migrate", "--json").json["applied"] == []


def test_audit_finds_damage(partita: Partita, project: Path) -> None:
    import apsw

    partita("run", "one")
    db = apsw.Connection(str(project / ".partita" / "partita.db"))
    db.execute("UPDATE runs SET state = 'failed'")
    db.close()
    said = partita("db", "audit")
    assert said.status == 1
    assert said.out.splitlines()[0].startswith("■ I")
    assert partita("db", "audit", "--json").json["findings"]


def test_a_store_that_is_none_is_a_world_error(partita: Partita, project: Path) -> None:
    (project / ".partita").mkdir()
    (project / ".partita" / "partita.db").write_text("this is no database, but it is long enough to be taken for one")
    for words in (["runs"], ["run", "one"], ["db", "migrate"]):
        said = partita(*words)
        assert said.status == 3, words
        assert "partita.db" in said.err
        assert "Traceback" not in said.err


def test_help_lists_every_command_and_each_has_help_of_its_own(partita: Partita) -> None:
    overview = partita("--help")
    assert overview.status == 0
    assert partita().out == overview.out
    for verb in verbs.VERBS.values():
        noun, _, more = verb.words.partition(" ")
        if more:
            assert re.search(rf"^ {{10,}}{noun} .*\b{more}\b", overview.out, re.MULTILINE)
            assert re.search(
                rf"^  partita {verb.words} +{re.escape(verb.does)}$", partita(noun, "--help").out, re.MULTILINE
            )
        else:
            assert re.search(rf"^  {verb.words:<10} +{re.escape(verb.does)}$", overview.out, re.MULTILINE)
        said = partita(*verb.words.split(), "--help")
        assert said.status == 0
        assert said.out.startswith(f"partita {verb.words} ")
    assert partita("db").status == 2
    assert "partita db audit" in partita("db", "--help").out
    assert partita("--version").out.startswith("partita ")


def test_wrong_commands_are_one_message_and_a_hint(partita: Partita, project: Path) -> None:
    for words, message, hint in (
        (["rnu"], "there is no command 'rnu'", "did you mean: partita run"),
        (["zzz"], "there is no command 'zzz'", "`partita --help` lists the commands"),
        (["db", "audt"], "there is no command 'db audt'", "did you mean: partita db audit"),
        (["runs", "--limit", "x"], "--limit takes a whole number, not 'x'", "partita runs --help"),
        (["runs", "--limit"], "--limit needs N after it", "partita runs --help"),
        (["runs", "--limt", "3"], "there is no option --limt", "did you mean --limit?"),
        (["run", "a", "b"], "there is a word too many: 'b'", "partita run --help"),
        (["list", "-C", "/nope"], "there is no folder /nope", "-C takes the folder of a project"),
    ):
        said = partita(*words)
        assert said.status == 2, words
        first, second = said.err.splitlines()
        assert first.startswith("■ "), words
        assert message in first, words
        assert not first.endswith("."), words
        assert second == f"hint: {hint}", words


def test_the_project_is_the_nearest_parent_that_is_one(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = project / "a" / "b"
    deep.mkdir(parents=True)
    assert "daily" in call(capsys, deep, "list").out
    nowhere = call(capsys, tmp_path, "list")
    assert nowhere.status == 2
    assert f"{tmp_path} is no project, and no folder above it is one" in nowhere.err
    assert "partita init" in nowhere.err


def test_a_bug_of_ours_is_short_and_its_traceback_is_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    # Given a command of which a part is missing.
    broken = verbs.Verb("runs", "runs:missing_function", "")
    monkeypatch.setitem(verbs.VERBS, "runs", broken)
    status = main.run(["runs", "--param", "password=secret"])
    said = capsys.readouterr()
    assert status == main.BUG
    assert said.err.startswith("■ a bug of Partita's, not of yours: AttributeError: ")
    assert "Traceback" not in said.err
    file = Path(re.search(r"the details are in (\S+)", said.err)[1])  # type: ignore[index]
    story = file.read_text()
    assert "Traceback" in story
    assert "secret" not in story


def test_a_reader_that_closes_the_pipe_is_no_error(history: Path) -> None:
    script = f"{' '.join(command('graph', 'daily', '--json'))} | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {script}"],
        cwd=history,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
    )
    assert done.stdout == "{\n"
    assert done.stderr == ""
    assert done.returncode == 0


def test_output_never_fails_for_its_encoding(project: Path) -> None:
    done = subprocess.run(
        command("check"), cwd=project, capture_output=True, env=environment(PYTHONIOENCODING="ascii"), timeout=60
    )
    assert done.returncode == 0
    assert done.stdout.startswith(b"\\u25cf project shop is well")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from partita.cli import main; main.run(['--help']);"
        "heavy = {'typer', 'rich', 'pydantic', 'msgspec', 'apsw', 'asyncio', 'partita.define', 'partita.core',"
        " 'partita.engine', 'partita.executors', 'partita.store'} & set(sys.modules); sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_looking_at_runs_does_not_import_what_only_running_needs(history: Path) -> None:
    code = (
        "import sys; from partita.cli import main; main.run(['runs']);"
        "heavy = {'rich', 'pydantic_core', 'typer', 'partita.define', 'partita.executors.processes'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=history, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_a_world_error(partita: Partita, project: Path) -> None:
    project.chmod(0o500)
    try:
        assert partita("run", "one").status == 3
    finally:
        project.chmod(0o700)
