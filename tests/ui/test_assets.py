"""Assets: the catalog, everything about one of them, lineage."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import Service

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")


@pytest.fixture(scope="module", autouse=True)
def made(service: Service) -> None:
    """Three days of orders and sales."""
    backfill = service.client.backfills.start("raw_orders, daily_sales", f"{DAYS[0]}..{DAYS[-1]}")
    finished(service, backfill["id"])


def finished(service: Service, backfill: str) -> str:
    """How a backfill ends; its runs are waited for one by one."""
    for _ in range(200):
        found = service.client.backfills.get(backfill)
        if found["state"] != "running":
            return str(found["state"])
        for part in service.client.backfills.parts(backfill, state="running"):
            service.client.get(f"/runs/{part['run']}", wait=10)
    raise AssertionError("it does not end")


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=re.compile(f"^{name}")).click()


def test_the_catalog_has_every_asset_with_its_health(page: Page) -> None:
    page.goto("/assets")
    expect(row(page, "raw_orders")).to_contain_text("made in part")
    expect(row(page, "raw_orders")).to_contain_text("All orders of a day, as they came.")
    expect(row(page, "raw_orders")).to_contain_text(re.compile(r"\d+ of 90"))
    expect(row(page, "crm")).to_contain_text("made elsewhere")
    expect(page.get_by_text("partita assets", exact=True)).to_be_visible()


def test_the_catalog_is_searched_by_a_column_and_the_search_is_in_the_address(page: Page) -> None:
    page.goto("/assets")
    page.get_by_role("textbox", name="Search assets").fill("amount")
    expect(row(page, "customers")).to_have_count(0)
    expect(row(page, "raw_orders")).to_be_visible()
    expect(page).to_have_url(re.compile("q=amount"))
    page.reload()
    expect(page.get_by_role("textbox", name="Search assets")).to_have_value("amount")
    expect(row(page, "customers")).to_have_count(0)
    page.get_by_role("textbox", name="Search assets").fill("no such thing")
    expect(page.get_by_text("Nothing here is like that.")).to_be_visible()


def test_a_group_and_a_health_narrow_the_catalog(page: Page) -> None:
    page.goto("/assets")
    page.get_by_role("navigation", name="Groups").get_by_role("button", name=re.compile("^raw")).click()
    expect(row(page, "raw_orders")).to_be_visible()
    expect(row(page, "daily_sales")).to_have_count(0)
    page.go_back()
    page.get_by_role("group", name="By health").get_by_role("button", name=re.compile("made elsewhere")).click()
    expect(row(page, "raw_orders")).to_have_count(0)
    expect(page).to_have_url(re.compile("state=(external|current)"))


def test_the_catalog_is_walked_by_keyboard(page: Page) -> None:
    page.goto("/assets?q=raw_orders")
    expect(row(page, "raw_orders")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="raw_orders")).to_be_visible()


def test_an_asset_tells_itself_in_a_line_and_what_stands_around_it(page: Page) -> None:
    page.goto("/assets/daily_sales")
    expect(page.get_by_text("Sales of a day.")).to_be_visible()
    expect(page.get_by_role("link", name="raw_orders")).to_be_visible()
    expect(page.get_by_text("1 without a failure")).to_be_visible()
    expect(page.get_by_text("daily from 2026-01-01 to 2026-03-31 (UTC)")).to_be_visible()
    expect(page.get_by_role("application", name=re.compile("3 made, 87 missing"))).to_be_visible()


def test_a_check_that_only_warns_is_told_when_it_did(page: Page, service: Service) -> None:
    run = service.client.post("/runs", {"assets": "loose"})
    while run["state"] not in ("succeeded", "failed", "cancelled"):
        run = service.client.get(f"/runs/{run['id']}", wait=30)
    page.goto("/assets/loose")
    expect(page.get_by_text("is_tight failed, only warns")).to_be_visible()
    page.goto("/assets?q=loose")
    expect(row(page, "loose").get_by_title("is_tight failed, only warns")).to_be_visible()


def test_partitions_are_chosen_by_keyboard_and_a_plan_stands_beside_them(page: Page) -> None:
    page.goto("/assets/daily_sales?tab=partitions")
    heat = page.get_by_role("application", name=re.compile("partitions of daily_sales"))
    heat.focus()
    heat.press("Home")
    heat.press("Shift+ArrowRight")
    expect(page.get_by_text("8 chosen")).to_be_visible()
    expect(page.get_by_text("A backfill would make 8 of them in 8 runs", exact=False)).to_be_visible()
    page.get_by_role("radiogroup", name="Which of them").get_by_text("missing").click()
    expect(page.get_by_text("A backfill would make 5 of them in 5 runs", exact=False)).to_be_visible()
    expect(
        page.get_by_text("partita backfill start daily_sales --partition 2026-01-01..2026-01-08 --only missing")
    ).to_be_visible()
    page.get_by_role("button", name="Backfill…").last.click()
    expect(page).to_have_url(re.compile(r"/backfills\?new=1&target=daily_sales&partitions=2026-01-01..2026-01-08"))
    expect(page.get_by_role("button", name="Start 5 runs")).to_be_enabled()


def test_partitions_are_brushed_with_the_mouse(page: Page) -> None:
    page.goto("/assets/regional?tab=partitions")
    heat = page.get_by_role("application")
    expect(heat).to_be_visible()
    box = heat.bounding_box()
    assert box is not None
    # The second row of cells, from the third column on: "us" of some days.
    page.mouse.move(box["x"] + 80, box["y"] + 34)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 34, steps=4)
    page.mouse.up()
    expect(page.get_by_text(re.compile(r"^\d+ chosen$"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"--partition '2026-01-\d\d..2026-01-\d\d\|us'"))).to_be_visible()


def test_a_partition_is_opened_beside_the_map_and_made(page: Page, service: Service) -> None:
    page.goto("/assets/daily_sales?tab=partitions")
    page.get_by_role("radiogroup", name="Which partitions").get_by_text("made", exact=True).click()
    page.get_by_role("row").filter(has_text="2026-01-02").click()
    panel = page.get_by_role("complementary", name="Inspector")
    expect(panel).to_contain_text("current")
    expect(panel).to_contain_text("total")
    expect(page).to_have_url(re.compile("partition=2026-01-02"))
    panel.get_by_role("button", name="Make it…").click()
    page.get_by_role("button", name="Start a run").click()
    expect(page).to_have_url(re.compile("/runs/"))
    run = page.url.rpartition("/")[2].partition("?")[0]
    assert service.client.get(f"/runs/{run}", wait=20)["partition"] == "2026-01-02"


def test_materializations_have_plots_of_their_numbers_and_open_beside_the_list(page: Page) -> None:
    page.goto("/assets/raw_orders?tab=made")
    expect(page.get_by_role("img", name=re.compile("^rows over 3 materializations"))).to_be_visible()
    page.get_by_role("row").filter(has_text="2026-01-03").first.click()
    panel = page.get_by_role("complementary", name="Inspector")
    expect(panel).to_contain_text("orders.parquet")
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)


def test_checks_stand_with_what_they_said_before(page: Page) -> None:
    page.goto("/assets/daily_sales?tab=checks")
    expect(page.get_by_text("sales_are_positive").first).to_be_visible()
    expect(page.get_by_role("table", name="evaluations").get_by_text("passed").first).to_be_visible()
    page.goto("/assets/customers?tab=checks")
    expect(page.get_by_text("No check looks at it")).to_be_visible()
    expect(page.get_by_text("@pt.check(customers, blocking=True)")).to_be_visible()


@pytest.fixture
def stale(service: Service) -> Iterator[None]:
    """Customers are made, and then what they are made from is new."""
    run = service.client.post("/runs", {"assets": "customers"})
    service.client.get(f"/runs/{run['id']}", wait=20)
    yield
    again = service.client.post("/runs", {"assets": "customers"})
    service.client.get(f"/runs/{again['id']}", wait=20)


def test_it_becomes_stale_before_ones_eyes_with_the_reason(page: Page, service: Service, stale: None) -> None:
    page.goto("/assets?q=customers")
    expect(row(page, "customers")).to_contain_text("current")
    service.client.assets.report("crm", data_version="new")
    expect(row(page, "customers")).to_contain_text("stale")
    expect(row(page, "customers")).to_contain_text("crm has newer data")
    page.goto("/assets/customers?tab=why")
    expect(page.get_by_text("customers is stale")).to_be_visible()
    expect(page.get_by_role("tabpanel").get_by_role("link", name="crm")).to_be_visible()
    expect(page.get_by_text("It has no condition", exact=False)).to_be_visible()


def test_the_tree_of_reasons_is_of_the_partition_that_is_asked_for(page: Page) -> None:
    page.goto("/assets/daily_sales?tab=why")
    page.get_by_role("textbox", name="Partition").fill("2026-03-30")
    page.get_by_role("textbox", name="Partition").press("Enter")
    expect(page.get_by_text("raw_orders of 2026-03-30").first).to_be_visible()
    page.get_by_role("textbox", name="Partition").fill("yesterday")
    page.get_by_role("textbox", name="Partition").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("asset daily_sales has no partition 'yesterday'")


def test_columns_lead_to_what_they_are_made_from(page: Page) -> None:
    page.goto("/assets/daily_sales?tab=columns")
    page.get_by_role("link", name="raw_orders.amount").click()
    expect(page.get_by_role("heading", level=1, name="raw_orders")).to_be_visible()
    expect(page.get_by_role("link", name="daily_sales.total")).to_be_visible()
    page.goto("/assets/held?tab=columns")
    expect(page.get_by_text("Its columns are not declared")).to_be_visible()


def test_its_code_is_shown_where_it_is_written(page: Page) -> None:
    page.goto("/assets/daily_sales")
    tab(page, "Definition")
    expect(page.get_by_text("pipelines.py", exact=True)).to_be_visible()
    expect(page.get_by_text("ctx.add_metadata(total=sum(raw_orders))")).to_be_visible()
    expect(page.get_by_text("at most 26 h old, warned about from 20 h on")).to_be_visible()


def test_who_uses_it(page: Page) -> None:
    page.goto("/assets/raw_orders")
    tab(page, "Used by")
    expect(page.get_by_role("tabpanel").get_by_role("link", name="daily_sales")).to_be_visible()
    expect(page.get_by_text("No sensor hears of it.")).to_be_visible()


def test_lineage_goes_as_far_as_one_says(page: Page) -> None:
    page.goto("/assets/daily_sales?tab=lineage")
    panel = page.get_by_role("tabpanel")
    expect(panel.get_by_text("2 assets")).to_be_visible()
    page.get_by_role("radiogroup", name="Steps upstream").get_by_text("0", exact=True).click()
    expect(panel.get_by_text("1 assets")).to_be_visible()
    expect(page).to_have_url(re.compile("up=0"))


def test_the_whole_lineage_opens_an_asset_beside_it(page: Page) -> None:
    page.goto("/lineage?node=daily_sales")
    panel = page.get_by_role("complementary", name="Inspector")
    expect(panel.get_by_role("link", name="Open daily_sales")).to_be_visible()
    panel.get_by_role("link", name="Everything above and below it").click()
    expect(page.get_by_role("heading", name="Lineage of daily_sales")).to_be_visible()
    expect(page.get_by_text("2 assets")).to_be_visible()


def test_what_is_not_there_is_said(page: Page) -> None:
    page.goto("/assets/nothing")
    expect(page.get_by_role("alert")).to_contain_text("nothing")


def test_it_is_good_on_a_telephone(phone: Page) -> None:
    phone.goto("/assets/daily_sales?tab=partitions")
    expect(phone.get_by_role("application")).to_be_visible()
    for path in ("/assets", "/assets/daily_sales", "/backfills", "/backfills?new=1&target=daily_sales"):
        phone.goto(path)
        expect(phone.get_by_role("heading", level=1)).to_be_visible()
        wide = phone.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path
