"""The files of the page: which addresses lead to it, and that none leads elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from partita.server import ui
from partita.server.ui import Ui

ROUTES = Path(__file__).parents[2] / "ui/src/routes.tsx"


@pytest.fixture
def built(tmp_path: Path) -> Ui:
    (tmp_path / "index.html").write_text("<!doctype html><title>Partita</title>")
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "a-1f.js").write_text("1")
    (tmp_path / "static" / "out.js").symlink_to("/etc/passwd")
    return Ui(tmp_path)


@pytest.mark.parametrize(
    "path", [b"/", b"/runs", b"/runs/12", b"/runs/12/steps/a%2Fb", b"/assets/shop.orders", b"/pipelines/%E2%82%AC..x"]
)
def test_addresses_of_screens_are_the_page(built: Ui, path: bytes) -> None:
    found = built.file(path)
    assert found is not None
    assert b"<title>Partita" in found.body


@pytest.mark.parametrize(
    "path",
    [
        b"/etc/passwd",
        b"/assets/~root/etc/passwd",
        b"/runs/1/no/such/screen",
        b"/api/v1/nothing",
        b"/API/V1/runs",
        b"//runs",
        b"/runs/",
        b"/runs//x",
        b"/runs/../etc",
        b"/runs/%2e%2e/etc",
        b"/runs/a%2f..%2fb",
        b"/runs/..%5cetc",
        b"/runs/a%00b",
        b"/static/missing.js",
        b"/static/out.js",
    ],
)
def test_nothing_else_is(built: Ui, path: bytes) -> None:
    assert built.file(path) is None


def test_files_of_the_build_are_kept_by_browsers_and_the_page_is_not(built: Ui) -> None:
    script, page = built.file(b"/static/a-1f.js"), built.file(b"/")
    assert script is not None
    assert page is not None
    assert dict(script.headers)["cache-control"].endswith("immutable")
    assert dict(page.headers)["cache-control"] == "no-cache"
    assert "require-trusted-types-for 'script'" in dict(page.headers)["content-security-policy"]


def test_without_a_build_there_is_a_plain_page_that_says_how_to_go_on(tmp_path: Path) -> None:
    plain = Ui(tmp_path)
    page = plain.file(b"/")
    assert page is not None
    assert b"openapi.json" in page.body
    assert plain.file(b"/runs") is None


def test_the_server_knows_every_screen_of_the_page() -> None:
    declared = re.findall(r'^  "/([a-z][^"]*)"', ROUTES.read_text(), re.M)
    assert sorted(re.sub(r"\$\w+", "*", path) for path in declared) == sorted(ui._SCREENS)
