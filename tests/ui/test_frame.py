"""The frame: signing in, the rail, the palette, keys, zone and theme, and what an error looks like."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from cli.projects import command, shell

from .conftest import Service

PROJECT = Path(__file__).parent / "project"


def test_the_link_that_up_prints_lets_its_user_in_once(browser: Browser, service: Service) -> None:
    said = shell(service.folder, "tokens", "link")
    address = next(word for word in said.out.split() if "#link=" in word)
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(address)
        expect(page.get_by_role("heading", name="Today")).to_be_visible()
        assert "link=" not in page.url
        # Its cookie holds from then on.
        page.goto(f"{service.url}/runs")
        expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(address)
        expect(page).to_have_url(re.compile("/signin"))


def test_who_is_not_signed_in_is_asked_to_and_comes_back_to_where_they_were_going(
    browser: Browser, service: Service
) -> None:
    with browser.new_context(base_url=service.url) as context:
        page = context.new_page()
        page.goto("/runs?state=failed")
        expect(page).to_have_url(re.compile(r"/signin\?to=%2Fruns%3Fstate%3Dfailed"))


@pytest.mark.parametrize(
    "name", ["Today", "Runs", "Pipelines", "Assets", "Schedules", "Backfills", "Approvals", "System"]
)
def test_every_screen_of_the_rail_opens_and_says_that_it_is_here(page: Page, name: str) -> None:
    page.goto("/")
    link = page.get_by_role("navigation", name="Screens").get_by_role("link", name=re.compile(f"^{name}"))
    link.click()
    expect(link).to_have_attribute("aria-current", "page")
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)


def test_the_palette_goes_to_a_pipeline_by_a_part_of_its_name(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Go to, run, find")).to_be_focused()
    page.keyboard.type("pati")
    expect(page.get_by_role("option", name="patient", exact=False).first).to_be_visible()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/pipelines/patient"))


def test_question_mark_lists_what_can_be_pressed(page: Page) -> None:
    page.goto("/runs")
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("go to, run, find")


def test_the_zone_switch_changes_how_instants_are_said(
    make_context: Callable[..., BrowserContext], service: Service
) -> None:
    service.run("orders", until="succeeded")
    page = make_context(timezone_id="Asia/Kolkata").new_page()
    page.goto("/runs")
    stamp = page.locator("time").first
    expect(stamp).to_have_attribute("title", re.compile("Asia/Kolkata|Asia/Calcutta"))
    page.get_by_role("button", name=re.compile("Time zone")).click()
    page.get_by_role("menuitem", name="UTC", exact=True).click()
    expect(stamp).to_have_attribute("title", re.compile("UTC"))


def test_an_address_of_nothing_says_so_and_leads_on(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    # An old link within the page; from outside the server says so itself.
    page.evaluate("history.pushState({}, '', '/runs/1/no/such/screen'); dispatchEvent(new PopStateEvent('popstate'))")
    expect(page.get_by_text("There is no such page")).to_be_visible()


def test_names_with_dots_and_slashes_have_addresses(page: Page) -> None:
    page.goto("/pipelines/a.b%2Fc")
    expect(page.get_by_role("navigation", name="Screens")).to_be_visible()


def test_a_user_signs_in_with_a_password_changes_it_and_signs_out(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns(".partita", "__pycache__"))
    added = subprocess.run(
        command("users", "add", "ann", "--role", "operator"),
        cwd=folder,
        input="correct horse battery\n",
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert added.returncode == 0, added.stderr
    service = Service(folder, tmp_path, PARTITA_AUTH="password")
    try:
        with browser.new_context(base_url=service.url) as context:
            page = context.new_page()
            page.goto("/runs?state=failed")
            page.get_by_label("Name").fill("ann")
            page.get_by_role("textbox", name="Password").fill("incorrect mule battery")
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("alert")).to_contain_text("this is not the password of such a user")
            page.get_by_role("textbox", name="Password").fill("correct horse battery")
            page.get_by_role("button", name="Sign in").click()
            expect(page).to_have_url(re.compile(r"/runs\?state=failed$"))
            page.get_by_role("button", name="Signed in as ann").click()
            page.get_by_role("menuitem", name="Change your password").click()
            page.get_by_role("textbox", name="The one you have").fill("correct horse battery")
            page.get_by_role("textbox", name="The one to have").fill("a wholly new password")
            page.get_by_role("button", name="Change it").click()
            expect(page.get_by_text("Your password is changed")).to_be_visible()
            page.get_by_label("Name").fill("ann")
            page.get_by_role("textbox", name="Password").fill("a wholly new password")
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("heading", name="Today")).to_be_visible()
            # An operator has no business with users, and does not see them.
            page.goto("/system")
            expect(page.get_by_role("tab", name="Storage")).to_be_visible()
            expect(page.get_by_role("tab", name="Users and tokens")).to_have_count(0)
            page.get_by_role("button", name="Signed in as ann").click()
            page.get_by_role("menuitem", name="Sign out").click()
            expect(page).to_have_url(re.compile("/signin"))
    finally:
        service.close()
