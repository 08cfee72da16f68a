"""The morning after: a person who has never seen it finds what broke, why, and retries it in three clicks."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from .conftest import Service

CLICKS = """
addEventListener("click", (event) => {
  if (event.isTrusted) sessionStorage.clicks = Number(sessionStorage.clicks ?? 0) + 1;
}, true);
"""


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Service]:
    """A service whose only run is a broken one, as after a bad night."""
    folder, gate = tmp_path / "shop", tmp_path / "gate"
    gate.mkdir()
    shutil.copytree(Path(__file__).parent / "project", folder, ignore=shutil.ignore_patterns(".partita", "__pycache__"))
    service = Service(folder, gate)
    try:
        service.run("broken", until="failed")
        yield service
    finally:
        service.close()


@pytest.fixture
def newcomer(night: Service, make_context: Callable[..., BrowserContext]) -> Page:
    """Somebody who has been sent the address, signed in to that service; their clicks are counted."""
    headers = {"Authorization": f"Bearer {night.token}"}
    context = make_context(base_url=night.url, extra_http_headers=headers)
    context.add_init_script(CLICKS)
    return context.new_page()


def clicks(page: Page) -> int:
    return int(page.evaluate("sessionStorage.clicks ?? 0"))


def test_what_broke_why_and_the_retry_that_mends_it_take_three_clicks(newcomer: Page, night: Service) -> None:
    page = newcomer
    # Before any click: what broke, where, its error's first line, whose it is, what it blocks.
    page.goto("/")
    cause = page.get_by_test_id("cause")
    expect(cause).to_have_count(1)
    for words in ("broken", "parse", "column 'dep_delay' is missing in flights.csv", "flights-team", "blocks"):
        expect(cause).to_contain_text(words)

    # One: why. The run, with the step that was first and what it died of.
    cause.get_by_role("link", name="Why", exact=True).click()
    panel = page.get_by_role("complementary", name="Inspector")
    expect(panel).to_contain_text("column 'dep_delay' is missing in flights.csv")

    # Two: its log, what it said before it died.
    panel.get_by_role("tab", name=re.compile("^Log")).click()
    expect(panel).to_contain_text("WARNING the header is odd")

    # Somebody mends what is wrong; three: again, with the code of now.
    night.open_gate("parse_works")
    page.get_by_role("button", name="Retry from failure").click()
    expect(page).to_have_url(re.compile("/runs/2"))
    expect(page.locator("main")).to_contain_text("succeeded")
    assert clicks(page) == 3

    # The report of the day knows.
    page.goto("/")
    expect(page.get_by_test_id("cause")).to_have_count(0)
    expect(page.get_by_text("1 broke and was mended since")).to_be_visible()


def test_the_same_with_the_keyboard_alone(newcomer: Page, night: Service) -> None:
    page = newcomer
    page.goto("/")
    expect(page.get_by_test_id("cause")).to_be_visible()
    page.keyboard.press("w")
    expect(page.get_by_role("complementary", name="Inspector")).to_contain_text("dep_delay")
    night.open_gate("parse_works")
    page.keyboard.press("r")
    expect(page).to_have_url(re.compile("/runs/2"))
    expect(page.locator("main")).to_contain_text("succeeded")
    assert clicks(page) == 0


def test_on_a_telephone_at_night_the_retry_is_on_the_first_page(
    night: Service, make_context: Callable[..., BrowserContext]
) -> None:
    headers = {"Authorization": f"Bearer {night.token}"}
    context = make_context(
        base_url=night.url,
        extra_http_headers=headers,
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
    )
    page = context.new_page()
    page.goto("/")
    cause = page.get_by_test_id("cause")
    expect(cause).to_contain_text("column 'dep_delay' is missing")
    night.open_gate("parse_works")
    cause.get_by_role("button", name="Retry from failure").tap()
    expect(page.get_by_text("1 broke and was mended since")).to_be_visible()
