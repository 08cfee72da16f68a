"""Backfills: the plan before anything starts, progress, and everything that can be asked of one."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from .conftest import Service
from .test_assets import finished


def test_nothing_starts_before_the_plan_was_seen(page: Page, service: Service) -> None:
    page.goto("/backfills")
    page.get_by_role("button", name="Plan a backfill").first.click()
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_disabled()
    page.get_by_label("Of what").first.fill("regional")
    page.get_by_role("textbox", name="Partitions", exact=True).fill("2026-02-01..2026-02-03|eu,us")
    plan = page.get_by_role("complementary", name="Plan")
    expect(plan).to_contain_text("6 runs")
    expect(plan).to_contain_text("regional")
    expect(
        page.get_by_text("partita backfill start regional --partition '2026-02-01..2026-02-03|eu,us'")
    ).to_be_visible()
    page.get_by_role("button", name="Start 6 runs").click()
    expect(page.get_by_role("heading", level=1, name="regional")).to_be_visible()
    expect(page.get_by_text("6 of 6 runs")).to_be_visible()
    expect(page.get_by_text("succeeded").first).to_be_visible()
    page.get_by_role("row").filter(has_text="2026-02-02|us").get_by_role("link").click()
    expect(page).to_have_url(re.compile("/runs/"))


def test_a_plan_that_cannot_be_made_says_what_and_what_to_do(page: Page) -> None:
    page.goto("/backfills?new=1&target=raw_orders&partitions=yesterday")
    expect(page.get_by_role("alert")).to_contain_text("yesterday")
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_disabled()
    page.goto("/backfills?new=1&target=raw_order")
    expect(page.get_by_role("alert")).to_contain_text("did you mean")


def test_options_change_the_plan_and_stand_in_the_address(page: Page) -> None:
    page.goto("/backfills?new=1&target=daily_sales&partitions=2026-03-01..2026-03-04")
    plan = page.get_by_role("complementary", name="Plan")
    expect(plan).to_contain_text("4 runs")
    page.get_by_text("what they read", exact=True).click()
    expect(plan).to_contain_text("raw_orders")
    page.get_by_role("textbox", name="Partitions in a run").fill("0")
    expect(plan).to_contain_text("1 run,")
    expect(page).to_have_url(re.compile("cascade=upstreams.*batch=0|batch=0.*cascade=upstreams"))
    expect(page.get_by_text("--with upstreams --batch 0")).to_be_visible()


def test_partitions_of_a_plan_are_brushed(page: Page) -> None:
    page.goto("/backfills?new=1&target=raw_orders")
    heat = page.get_by_role("application", name=re.compile("partitions of raw_orders"))
    heat.focus()
    heat.press("Home")
    heat.press("Shift+ArrowDown")
    expect(page.get_by_role("textbox", name="Partitions", exact=True)).to_have_value("2026-01-01,2026-01-02")


def test_a_backfill_is_paused_goes_on_fails_and_is_run_again(page: Page, service: Service) -> None:
    made = service.client.backfills.start("held", "*", max_runs=1)
    page.goto(f"/backfills/{made['id']}")
    expect(page.get_by_text("0 of 3 runs")).to_be_visible()
    expect(page.get_by_text("1 of its runs are open, as many as it may have")).to_be_visible()
    page.get_by_role("button", name="Pause…").click()
    page.get_by_role("textbox", name="Reason").fill("the source is down")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_text("it is paused: the source is down")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause…")).to_be_visible()
    # It is live: what ends is seen without a reload.
    service.open_gate("held_one")
    expect(page.get_by_text("1 of 3 runs")).to_be_visible()
    service.open_gate("held_two")
    service.open_gate("held_three")
    expect(page.get_by_text("3 of 3 runs")).to_be_visible()
    expect(page.get_by_text("held: the second one is odd", exact=False)).to_be_visible()
    page.get_by_role("row").filter(has_text="two").click()
    panel = page.get_by_role("complementary", name="Inspector")
    expect(panel).to_contain_text("the second one is odd")
    service.open_gate("held_works")
    page.get_by_role("button", name="Retry 1 that did not succeed").click()
    expect(page.get_by_text("3 succeeded").first).to_be_visible()
    assert finished(service, made["id"]) == "succeeded"


def test_a_backfill_is_cancelled_with_its_open_runs(page: Page, service: Service) -> None:
    for name in ("one", "two", "three"):
        (service.gate / f"held_{name}").unlink(missing_ok=True)
    made = service.client.backfills.start("held", "*", max_runs=2)
    page.goto(f"/backfills/{made['id']}")
    expect(page.get_by_text("2 running").first).to_be_visible()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel 3 runs").click()
    expect(page.get_by_text("3 cancelled").first).to_be_visible()
    assert finished(service, made["id"]) == "cancelled"


def test_the_list_says_how_far_each_is_and_is_narrowed(page: Page, service: Service) -> None:
    made = service.client.backfills.start("regional", "2026-03-01|eu")
    finished(service, made["id"])
    page.goto("/backfills")
    first = page.get_by_role("row").filter(has_text=f"#{made['no']}")
    expect(first).to_contain_text("1 of 1")
    expect(first).to_contain_text("succeeded")
    page.goto("/backfills?state=running")
    expect(page.get_by_text("None is running.")).to_be_visible()
    page.goto("/backfills")
    first.click()
    expect(page.get_by_text("1 of 1 run", exact=True)).to_be_visible()


def test_a_backfill_that_is_not_there_is_said(page: Page) -> None:
    page.goto("/backfills/99999")
    expect(page.get_by_role("alert")).to_contain_text("99999")
