"""Schedules, the calendar and sensors, through a browser."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from .conftest import Service


def test_the_list_says_when_what_is_started_and_leads_to_the_schedule(page: Page) -> None:
    page.goto("/schedules")
    row = page.get_by_role("row").filter(has_text="orders")
    expect(row).to_contain_text("at 03:00 every day")
    expect(row).to_contain_text("Europe/Berlin")
    expect(row).to_contain_text("on")
    row.get_by_role("link", name="orders").first.click()
    expect(page).to_have_url(re.compile("/schedules/default/orders$"))
    expect(page.get_by_role("heading", name="orders", level=1)).to_be_visible()


def test_a_schedule_is_paused_with_a_reason_and_resumed(page: Page) -> None:
    page.goto("/schedules/default/orders")
    page.get_by_role("button", name="Pause").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("the source moves")
    dialog.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused").first).to_be_visible()
    expect(page.get_by_text("the source moves").first).to_be_visible()
    expect(page.get_by_text("None while it is paused.")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.get_by_text("None while it is paused.")).to_be_hidden()


def test_a_tick_is_tested_and_nothing_is_started(page: Page, service: Service) -> None:
    before = len(service.client.get("/runs", limit=500)["items"])
    page.goto("/schedules/default/orders")
    page.get_by_role("button", name="What would happen?").click()
    expect(page.get_by_test_id("tried")).to_contain_text("A run of orders")
    expect(page.get_by_test_id("tried")).to_contain_text('region="eu"')
    page.get_by_label("Instant").fill("2026-12-24T12:00:00Z")
    page.get_by_role("button", name="What would happen?").click()
    expect(page.get_by_test_id("tried")).to_contain_text("It has no tick at 2026-12-24 12:00:00")
    page.get_by_label("Instant").fill("tomorrow")
    page.get_by_role("button", name="What would happen?").click()
    expect(page.get_by_role("alert")).to_contain_text("`at` is no instant")
    assert len(service.client.get("/runs", limit=500)["items"]) == before


def test_a_run_is_started_as_the_schedule_would(page: Page) -> None:
    page.goto("/schedules/default/orders")
    page.get_by_role("button", name="Run now").click()
    page.get_by_role("dialog").get_by_role("button", name="Run now").click()
    expect(page).to_have_url(re.compile(r"/runs/\d+"))


def test_instants_are_shown_in_the_schedules_own_zone(page: Page) -> None:
    page.goto("/schedules/default/orders")
    expect(page.get_by_text(re.compile(r"\d{4}-\d\d-\d\d 0[12]:00:00")).first).to_be_visible()
    page.get_by_role("button", name="show in Europe/Berlin").click()
    expect(page.get_by_text(re.compile(r"\d{4}-\d\d-\d\d 03:00:00")).first).to_be_visible()


def test_the_calendar_shows_each_tick_of_the_coming_days(page: Page) -> None:
    page.goto("/schedules?tab=calendar")
    expect(page.get_by_role("link", name="orders")).to_have_count(7)
    page.get_by_text("2 days").click()
    expect(page).to_have_url(re.compile("days=2"))
    expect(page.get_by_role("link", name="orders")).to_have_count(2)
    page.get_by_label("Search").fill("nothing like it")
    expect(page.get_by_role("link", name="orders")).to_have_count(0)


def test_a_sensor_tells_its_looks_and_is_tried_without_consequences(page: Page) -> None:
    page.goto("/schedules?tab=sensors")
    page.get_by_role("link", name="new_orders").click()
    expect(page.get_by_role("heading", name="new_orders")).to_be_visible()
    expect(page.get_by_role("table", name="looks")).to_contain_text("no new order")
    page.get_by_label("Cursor as JSON").fill('{"day": ')
    page.get_by_role("button", name="What would it do?").click()
    expect(page.get_by_role("alert")).to_contain_text("This cursor is no JSON")
    page.get_by_label("Cursor as JSON").fill('{"day": 3}')
    page.get_by_role("button", name="What would it do?").click()
    expect(page.get_by_test_id("tried")).to_contain_text("It would ask for nothing: no new order")
    expect(page.get_by_test_id("tried")).to_contain_text("looking")


def test_a_sensor_looks_when_told_pauses_forgets_and_goes_on(page: Page) -> None:
    page.goto("/sensors/default/new_orders")
    page.get_by_role("button", name="Look now").click()
    expect(page.get_by_role("status")).to_contain_text("It looks")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Look now")).to_be_disabled()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Look now")).to_be_enabled()
    page.get_by_role("button", name="Forget").click()
    page.get_by_role("dialog").get_by_role("button", name="Forget").click()
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_a_schedule_that_is_not_there_says_so(page: Page) -> None:
    page.goto("/schedules/default/nothing")
    expect(page.get_by_role("alert")).to_contain_text("nothing")
