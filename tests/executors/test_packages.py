"""What a project wants of packages, against what an interpreter has."""

from __future__ import annotations

import sys
from pathlib import Path

from partita.executors.packages import Compared, Wanted, compared, packages_of, wanted_by


def test_needs_come_from_the_project_and_versions_from_its_lock(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nrequires-python = ">=3.11"\n'
        'dependencies = ["Duck_DB>=1.1", "pandas[aws] >=2,<3", "winstuff; sys_platform == \'win32\'"]\n'
    )
    (tmp_path / "uv.lock").write_text(
        "version = 1\n"
        '[[package]]\nname = "duck-db"\nversion = "1.1.3"\n'
        '[[package]]\nname = "shop"\nversion = "0.1"\nsource = { virtual = "." }\n'
    )
    wanted = wanted_by(tmp_path)
    assert wanted.needed == ("duck-db", "pandas")
    assert wanted.locked == {"duck-db": "1.1.3"}
    assert wanted.lock.startswith("uv.lock ")
    assert wanted.python == ">=3.11"


def test_requirements_are_needs_and_lock_in_one(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "# made by hand\n-r other.txt\n--hash=sha256:00\nduckdb==1.1.3 \\\n    --hash=sha256:11\npolars>=1\n"
        "requests[socks]==2.32.0 ; python_version >= '3.8'\n"
    )
    wanted = wanted_by(tmp_path)
    assert wanted.needed == ("duckdb", "polars")
    assert wanted.locked == {"duckdb": "1.1.3", "requests": "2.32.0"}


def test_what_is_missing_is_told_from_what_is_different() -> None:
    wanted = Wanted(("duckdb", "polars"), {"duckdb": "1.1", "numpy": "2.0", "else": "1"})
    assert compared(wanted, {"duckdb": "1.1", "numpy": "1.9"}) == Compared(
        ("polars",), ("numpy 1.9 is there, the lock says 2.0",)
    )


def test_an_interpreter_says_what_it_has() -> None:
    packages = packages_of(sys.executable)
    assert {"msgspec", "pytest"} <= packages.keys()


def test_files_that_cannot_be_read_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project\n")
    (tmp_path / "uv.lock").write_text("= = =")
    wanted = wanted_by(tmp_path)
    assert wanted.needed == ()
    assert wanted.locked == {}
