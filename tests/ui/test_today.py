"""Today, through a browser: what broke, whose it is, what it holds up, and three clicks to mend it."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Locator, Page, expect

from .conftest import Service


def cause_of(page: Page, step: str) -> Locator:
    return page.get_by_test_id("cause").filter(has=page.get_by_role("link", name=step, exact=True))


def test_what_broke_is_told_with_its_error_owner_and_what_it_blocks(page: Page, service: Service) -> None:
    run = service.run("broken", until="over")
    page.goto("/")
    cause = cause_of(page, "parse")
    expect(cause).to_contain_text("ValueError: column 'dep_delay' is missing in flights.csv")
    expect(cause).to_contain_text("flights-team")
    expect(cause).to_contain_text("2 attempts")
    expect(cause).to_contain_text("blocks 2 steps")
    expect(cause.get_by_role("link", name=f"#{run['no']}")).to_be_visible()
    expect(page.get_by_test_id("line")).to_contain_text(re.compile(r"\d+ causes?, \d+ steps behind"))
    # The rail says how many there are.
    expect(
        page.get_by_role("navigation", name="Screens").get_by_role("link", name=re.compile("^Today"))
    ).to_contain_text(re.compile(r"[1-9]"))


def test_log_and_why_lead_to_the_step(page: Page, service: Service) -> None:
    run = service.run("broken", until="over")
    page.goto("/")
    cause = cause_of(page, "parse")
    cause.get_by_role("link", name="Log").click()
    expect(page).to_have_url(re.compile(rf"/runs/{run['no']}/steps/parse\?.*tab=log"))
    page.go_back()
    cause.get_by_role("link", name="Why").click()
    expect(page).to_have_url(re.compile(rf"/runs/{run['no']}\?step=parse"))


def test_keys_move_among_causes_and_open_them(page: Page, service: Service) -> None:
    service.run("broken", until="over")
    service.run("fan", until="over")
    page.goto("/")
    expect(cause_of(page, "parse")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("w")
    expect(page).to_have_url(re.compile(r"/runs/\d+\?step="))


def test_a_cause_is_retried_from_here_and_seen_to_be_mended(page: Page, service: Service) -> None:
    service.run("broken", until="over")
    page.goto("/")
    cause = cause_of(page, "parse")
    service.open_gate("parse_works")
    try:
        cause.get_by_role("button", name=re.compile("^Retry.*from failure$")).click()
        mended = page.get_by_text(re.compile("broke and w(as|ere) mended since"))
        expect(mended).to_be_visible()
        expect(cause).to_be_hidden()
        mended.click()
        expect(page.get_by_role("listitem").filter(has_text="broken · parse")).to_contain_text("mended in")
    finally:
        (service.gate / "parse_works").unlink()


def test_what_runs_and_waits_appears_without_a_reload(page: Page, service: Service) -> None:
    page.goto("/")
    expect(page.get_by_text("Timeline, 24 hours")).to_be_visible()
    name = "today-patient"
    run = service.run("patient", params={"name": name})
    release = service.run("release")
    expect(page.get_by_role("link", name=f"patient #{run['no']}")).to_be_visible()
    question = page.get_by_role("link", name="deploy 1.4 to prod?").first
    expect(question).to_be_visible()
    service.open_gate(name)
    expect(page.get_by_role("link", name=f"patient #{run['no']}")).to_be_hidden()
    question.click()
    expect(page).to_have_url(re.compile(r"/approvals/[^/]+/go"))
    service.client.post(f"/runs/{release['id']}/cancel", {})


def test_since_and_owner_are_in_the_address_and_the_link_can_be_sent(page: Page, service: Service) -> None:
    service.run("broken", until="over")
    service.run("fan", until="over")
    page.goto("/")
    page.get_by_role("button", name=re.compile("^since")).click()
    page.get_by_role("menuitem", name="12 hours").click()
    expect(page).to_have_url(re.compile("since=12h"))
    page.get_by_role("textbox", name="Owner").or_(page.get_by_role("combobox", name="Owner")).first.click()
    page.get_by_role("option", name="flights-team").click()
    expect(page).to_have_url(re.compile("owner=flights-team"))
    expect(cause_of(page, "parse")).to_be_visible()
    expect(page.get_by_test_id("cause").filter(has_text="fan")).to_have_count(0)
    page.get_by_role("button", name="Share").click()
    expect(page.get_by_role("button", name="Link copied")).to_be_visible()
    sent = page.evaluate("navigator.clipboard.readText()")
    assert re.search(r"/\?since=\d{4}-\d\d-\d\dT[^&]+&owner=flights-team$", sent), sent
    page.goto(sent)
    expect(cause_of(page, "parse")).to_be_visible()
    page.goto("/?owner=nobody")
    expect(page.get_by_test_id("line")).to_contain_text("All is well")


def test_what_is_new_since_the_last_visit_is_marked(
    make_context: Callable[..., BrowserContext], service: Service
) -> None:
    context = make_context()
    # Before any page of ours there is an empty one, which keeps nothing.
    context.add_init_script(
        "if (location.origin.startsWith('http') && !localStorage.getItem('partita.today.visits'))"
        " localStorage.setItem('partita.today.visits', JSON.stringify({at: Date.now() - 20 * 3600e3, before: null}))"
    )
    page = context.new_page()
    service.run("broken", until="over")
    page.goto("/")
    expect(cause_of(page, "parse").get_by_text("new", exact=True)).to_be_visible()
    page.get_by_role("button", name=re.compile("^since")).click()
    page.get_by_role("menuitem", name=re.compile("your last visit")).click()
    expect(page).to_have_url(re.compile("since=visit"))


def test_the_timeline_leads_to_a_run(page: Page, service: Service) -> None:
    service.run("orders", until="succeeded")
    page.goto("/")
    lane = page.get_by_test_id("lane-orders")
    expect(lane.get_by_role("link").first).to_be_visible()
    expect(page.get_by_test_id("now")).to_be_visible()
    lane.get_by_role("link").last.click()
    expect(page).to_have_url(re.compile(r"/runs(/\d+|\?pipeline=orders)"))


def test_on_a_telephone_nothing_is_cut(phone: Page, service: Service) -> None:
    service.run("broken", until="over")
    phone.goto("/")
    cause = cause_of(phone, "parse")
    expect(cause.get_by_role("button", name=re.compile("^Retry.*from failure$"))).to_be_visible()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    for button in cause.get_by_role("button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        assert box["height"] >= 32


def test_a_check_that_failed_leads_to_the_checks_of_its_asset(page: Page, service: Service) -> None:
    run = service.client.post("/runs", {"assets": "leaky"})
    while run["state"] not in ("succeeded", "failed", "cancelled"):
        run = service.client.get(f"/runs/{run['id']}", wait=30)
    page.goto("/")
    link = page.get_by_test_id("cause").get_by_role("link", name=re.compile("3 rows that should not be there"))
    link.first.click()
    expect(page).to_have_url(re.compile(r"/assets/leaky\?tab=checks"))
    expect(page.get_by_role("table", name="evaluations")).to_contain_text("3 rows that should not be there")
