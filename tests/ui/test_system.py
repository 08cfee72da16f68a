"""The screens of the service itself, through a browser."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from .conftest import Service


def test_health_says_who_leads_and_what_was_looked_at(page: Page) -> None:
    page.goto("/system")
    expect(page.get_by_text("fencing epoch")).to_be_visible()
    expect(page.get_by_role("table", name="findings")).to_contain_text("time zones")


def test_a_pool_gets_another_size_with_a_reason_and_its_own_back(page: Page, service: Service) -> None:
    page.goto("/system?tab=limits")
    row = page.get_by_role("table", name="limits").get_by_role("row").filter(has_text="warehouse")
    expect(row).to_contain_text("0 of 2")
    row.get_by_role("button", name="change warehouse").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Slots").fill("7")
    dialog.get_by_label("Reason").fill("a quiet night")
    dialog.get_by_role("button", name="Set", exact=True).click()
    expect(row).to_contain_text("0 of 7")
    expect(row).to_contain_text("a quiet night")
    row.get_by_role("button", name="change warehouse").click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("As declared")).click()
    expect(row).to_contain_text("as declared")
    expect(row).to_contain_text("0 of 2")


def test_what_a_worker_has_in_hand_is_seen_while_it_has_it(page: Page, service: Service) -> None:
    run = service.run("patient", params={"name": "system"})
    page.goto("/system?tab=workers")
    row = page.get_by_role("table", name="work").get_by_role("row").filter(has_text=f"patient · {run['no']}")
    expect(row).to_contain_text("hold")
    service.open_gate("system")
    expect(row).to_have_count(0)


def test_what_the_machine_has_and_what_executors_there_are_stand_with_the_workers(page: Page) -> None:
    page.goto("/system?tab=workers")
    expect(page.get_by_role("table", name="machine")).to_contain_text("cpu")
    expect(page.get_by_role("table", name="local workers")).to_contain_text("shop")
    expect(page.get_by_text("No project names an executor")).to_be_visible()
    page.goto("/system?tab=projects")
    expect(page.get_by_text("its folder")).to_be_visible()


def test_the_store_is_backed_up_and_tidied(page: Page, service: Service) -> None:
    page.goto("/system?tab=storage")
    expect(page.get_by_role("table", name="spaces")).to_contain_text("database")
    page.get_by_role("button", name="Back up").click()
    page.get_by_role("dialog").get_by_role("button", name="Back up").click()
    expect(page.get_by_role("status").first).to_contain_text("is made")
    page.get_by_role("button", name="Look now").click()
    page.get_by_role("dialog").get_by_role("button", name="Look now").click()
    expect(page.get_by_role("status").first).to_contain_text(re.compile("nothing to remove|Removed"))


def test_a_project_is_loaded_again_and_shows_its_versions(page: Page) -> None:
    page.goto("/system?tab=projects")
    page.get_by_role("button", name="Load again").click()
    expect(page.get_by_role("status").first).to_be_visible()
    page.get_by_role("button", name="Versions").click()
    expect(page.get_by_role("table", name=re.compile("versions of"))).to_be_visible()


def test_a_channel_that_nobody_answers_says_so(page: Page) -> None:
    page.goto("/system?tab=notifications")
    expect(page.get_by_role("table", name="rules")).to_contain_text("run.failed")
    channel = page.get_by_role("table", name="channels").get_by_role("row").filter(has_text="nowhere")
    channel.get_by_role("button", name="Send a test").click()
    expect(channel).to_contain_text("failed")


def test_resources_are_tried_in_a_worker(page: Page) -> None:
    page.goto("/system?tab=resources")
    table = page.get_by_role("table", name="resources")
    table.get_by_role("button", name="test warehouse").click()
    expect(table.get_by_role("row").filter(has_text="warehouse")).to_contain_text("healthy")
    table.get_by_role("button", name="test attic").click()
    expect(table.get_by_role("row").filter(has_text="attic")).to_contain_text("is no database")


def test_a_secret_is_set_and_removed_and_its_value_never_comes_back(page: Page, service: Service) -> None:
    page.goto("/system?tab=secrets")
    page.get_by_role("button", name="Set a secret").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=False).first.fill("SHOP_KEY")
    dialog.get_by_role("textbox", name="Value").fill("correct horse battery")
    dialog.get_by_role("button", name="Set", exact=True).click()
    row = page.get_by_role("table", name="secrets").get_by_role("row").filter(has_text="SHOP_KEY")
    expect(row).to_be_visible()
    # The field goes with the dialog.
    expect(dialog).to_have_count(0)
    assert "correct horse" not in page.content()
    row.get_by_role("button", name="remove SHOP_KEY").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)


def test_a_user_is_added_changed_closed_and_let_in_again(page: Page) -> None:
    page.goto("/system?tab=people")
    page.get_by_role("button", name="Add a user").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Name").fill("ann")
    dialog.get_by_role("textbox", name="Password").fill("correct horse battery")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog).to_be_hidden()
    row = page.get_by_role("table", name="users").get_by_role("row").filter(has_text="ann")
    expect(row).to_contain_text("viewer")
    row.get_by_role("button", name="change ann").click()
    dialog.get_by_label("Roles").fill("operator")
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("operator")
    row.get_by_role("button", name="close ann").click()
    page.get_by_role("dialog").locator("button[type=submit]").click()
    expect(row).to_contain_text("closed")
    row.get_by_role("button", name="open ann again").click()
    expect(row).to_contain_text("on")


def test_a_token_is_shown_once_works_and_is_revoked(page: Page, service: Service) -> None:
    from partita.client import Client
    from partita.errors import PartitaError

    page.goto("/system?tab=people")
    page.get_by_role("button", name="Make a token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Name", exact=True).fill("ci")
    dialog.get_by_role("button", name="Make", exact=True).click()
    text = page.get_by_test_id("token").inner_text()
    with Client(service.url, text) as client:
        assert client.get("/session")["name"]
    page.get_by_role("button", name="I have it").click()
    assert text not in page.content()
    row = page.get_by_role("table", name="tokens").get_by_role("row").filter(has_text="ci")
    row.get_by_role("button", name="revoke ci").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row).to_have_count(0)
    with Client(service.url, text) as client:
        try:
            client.get("/session")
        except PartitaError:
            return
    raise AssertionError("a token that was revoked still lets in")


def test_the_audit_tells_who_did_what_and_that_nobody_changed_it(page: Page, service: Service) -> None:
    service.run("orders", until="succeeded")
    page.goto("/system?tab=audit")
    expect(page.get_by_role("table", name="audit")).to_contain_text("POST /runs")
    page.get_by_role("button", name="Is it as it was written?").click()
    expect(page.get_by_test_id("chain")).to_contain_text("it is as it was written")
