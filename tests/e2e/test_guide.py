"""What the guide's tables and settings say is so. That its code and commands run is tests/e2e/test_docs.py's."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from test_docs import GUIDE, ROOT, blocks

from partita import until
from partita.core.retention import KINDS, policy_of
from partita.define.secret import problem_of_source
from partita.server.policy import read_policy
from partita.settings import Home


def page(name: str) -> str:
    return (GUIDE / f"{name}.md").read_text()


@pytest.mark.parametrize("text", [text for _, text in blocks(GUIDE / "access.md", "toml")])
def test_the_settings_of_access_are_settings(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    policy = read_policy(Home(tmp_path / ".partita"), {"OIDC_SECRET": "x"})
    assert policy.auth == tomllib.loads(text)["tool"]["partita"]["server"]["auth"]
    assert policy.secure


def test_the_sources_of_secrets_are_sources() -> None:
    text = next(text for name, text in blocks(GUIDE / "secrets.md", "toml") if not name)
    sources = tomllib.loads(text)["tool"]["partita"]["secrets"]
    assert len(sources) == 4
    assert [problem_of_source(source) for source in sources.values()] == [""] * 4


def test_every_kind_that_retention_knows_is_there_with_how_long_it_is_kept() -> None:
    rows = [line.split("|") for line in page("keeping-house").splitlines() if line.startswith("| `")]
    named = {name: row[2] for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    assert set(named) == set(KINDS)
    for name, kind in KINDS.items():
        assert kind.keep.age_s is not None
        assert re.search(rf"\b{round(kind.keep.age_s / 86400)} day", named[name]), name
    ((_, text),) = blocks(GUIDE / "keeping-house.md", "toml")
    assert policy_of(tomllib.loads(text)["tool"]["partita"]["retention"]).kinds["audit"].age_s is None


def test_every_maker_of_conditions_is_there_with_its_options() -> None:
    for name, maker in vars(until).items():
        if not name.startswith("_"):
            row = next(line for line in page("gates").splitlines() if line.startswith(f"| `pt.until.{name}("))
            for parameter in inspect.signature(getattr(until, name)).parameters:
                assert re.search(rf"\b{parameter}\b", row), (name, parameter)
            assert isinstance(maker, staticmethod)


def test_every_event_that_the_service_prints_is_there() -> None:
    source = (ROOT / "src/partita/cli/up.py").read_text()
    table = re.search(r"self\._said: .*?\n        }", source, re.DOTALL)
    assert table is not None
    printed = set(re.findall(r'^ +"(\w+)": ', table[0], re.MULTILINE)) - {"failed", "health"}
    told = set(re.findall(r"`(\w+)`", page("operation")))
    assert printed <= told, printed - told


def test_the_unit_and_the_image_call_up_with_options_that_exist() -> None:
    help_page = subprocess.run(
        [sys.executable, "-m", "partita.cli.main", "up", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for file in ("partita.service", "Containerfile"):
        text = (ROOT / "deploy" / file).read_text()
        (line,) = [line for line in text.splitlines() if re.match(r"(ExecStart|CMD) ?=?.*partita.*up", line)]
        for option in re.findall(r"--[a-z]+", line):
            assert option in help_page, f"{file}: {option}"
