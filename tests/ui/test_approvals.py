"""Approvals through a browser: what is to be decided, the answer, and what came of it."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from .conftest import Service


def waiting(service: Service) -> dict:
    """A release that asks."""
    run = service.run("release")
    service.client.get(f"/runs/{run['id']}", wait=0)
    return run


def test_an_approval_shows_what_there_is_to_decide_on_and_goes_on_when_it_is_given(
    page: Page, service: Service
) -> None:
    run = waiting(service)
    page.goto(f"/approvals?of={run['no']}/go/")
    panel = page.get_by_role("region", name="approval go")
    expect(panel).to_contain_text("deploy 1.4 to prod?")
    expect(panel).to_contain_text("whoever is operator or admin may answer")
    # Markdown is elements, never markup out of text.
    expect(panel.locator("strong", has_text="small")).to_be_visible()
    panel.get_by_label("Comment").fill("go ahead")
    panel.get_by_role("button", name="approve").click()
    found = service.client.get(f"/runs/{run['id']}", wait=30)
    assert found["state"] == "succeeded"
    vote = service.client.get(f"/runs/{run['id']}/steps/go/approval")["votes"][0]
    assert (vote["choice"], vote["comment"]) == ("approve", "go ahead")


def test_a_rejection_fails_the_step(page: Page, service: Service) -> None:
    run = waiting(service)
    page.goto(f"/approvals/{run['no']}/go")
    page.get_by_role("button", name="reject").click()
    assert service.client.get(f"/runs/{run['id']}", wait=30)["state"] == "failed"


def test_the_list_is_filtered_and_gone_through_by_keys(page: Page, service: Service) -> None:
    first, second = waiting(service), waiting(service)
    page.goto("/approvals")
    items = page.get_by_role("listitem").filter(has_text="deploy 1.4 to prod?")
    expect(items.nth(1)).to_be_visible()
    page.keyboard.press("j")
    expect(page).to_have_url(re.compile(r"of=\d+%2Fgo%2F|of=\d+/go/"))
    page.get_by_label("Search").fill("nothing like it")
    expect(items).to_have_count(0)
    for run in (first, second):
        service.client.post(f"/runs/{run['id']}/cancel", {})


def test_on_a_phone_the_list_comes_first_then_the_question(phone: Page, service: Service) -> None:
    run = waiting(service)
    phone.goto("/approvals")
    link = phone.get_by_role("link").filter(has_text="deploy 1.4 to prod?").first
    expect(link).to_be_visible()
    link.click()
    expect(phone.get_by_role("button", name="approve")).to_be_visible()
    expect(phone.get_by_role("link", name="← all that waits")).to_be_visible()
    wide = phone.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert not wide
    service.client.post(f"/runs/{run['id']}/cancel", {})


def test_what_waits_for_other_systems_has_its_own_place(page: Page) -> None:
    page.goto("/approvals?tab=others")
    expect(page.get_by_text("No step waits for another system or a time")).to_be_visible()
