"""More than 200 texts that break out of pages, through every name, log, value, error and field that a screen shows.

Nothing of them runs, asks for anything, or so much as tries to: the content security policy has nothing to refuse.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from partita.errors import PartitaError
from server.poison import payloads

from .conftest import Service

# Two minutes: part of what CI runs, not of every `make test`.
pytestmark = pytest.mark.slow

CANARIES = [
    "<img src=/canary onerror=window.__xss=1>",
    "<script src=/canary></script>",
    "<script>window.__xss=1</script>",
    "<link rel=stylesheet href=/canary>",
    "<style>@import '/canary'; * { background: url(/canary) }</style>",
    "<iframe src=/canary></iframe>",
    "<object data=/canary></object>",
    "<svg><image href=/canary /><script>window.__xss=1</script></svg>",
    "<video poster=/canary onloadstart=window.__xss=1>",
    "<details open ontoggle=window.__xss=1>",
    "<input autofocus onfocus=window.__xss=1>",
    '" autofocus onfocus=window.__xss=1 x="',
    "' onmouseover=window.__xss=1 x='",
    "<form action=/canary><button>",
    "<base href=http://canary.invalid/>",
    "<meta http-equiv=refresh content='0;url=http://canary.invalid/'>",
    "![x](/canary)",
    "![x](http://canary.invalid/x.png)",
    "[x](javascript:window.__xss=1)",
    "[x](JaVa\tScript:window.__xss=1)",
    "[x]: javascript:window.__xss=1",
    "<javascript:window.__xss=1>",
    "javascript:window.__xss=1",
    "data:text/html,<script>window.__xss=1</script>",
    "vbscript:window.__xss=1",
    "//canary.invalid/x",
    "\x1b]8;;javascript:window.__xss=1\x07click\x1b]8;;\x07",
    "${window.__xss=1}",
    "{{constructor.constructor('window.__xss=1')()}}",
    "__proto__",
    "constructor",
    '=HYPERLINK("http://canary.invalid")',
]
POISON = [*CANARIES, *payloads(200)]
WATCH = """
window.__violations = [];
addEventListener("securitypolicyviolation", (event) =>
  window.__violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample} ${location.href}`));
for (const name of ["alert", "confirm", "prompt"])
  window[name] = () => { window.__xss = name; };
"""
# What was made of a text: elements that none of our screens has, and attributes that run.
STRANGE = """() => {
  // Code is drawn in a shadow root.
  const roots = [document];
  for (const root of roots)
    for (const one of root.querySelectorAll("*")) if (one.shadowRoot) roots.push(one.shadowRoot);
  const every = (what) => roots.flatMap((root) => [...root.querySelectorAll(what)]);
  const all = every("iframe, object, embed, base, math, video, form[action], body style, meta[http-equiv=refresh]");
  const strange = all.map((one) => one.outerHTML.slice(0, 120));
  for (const one of every("*")) {
    for (const {name, value} of one.attributes) {
      if (name.startsWith("on")) strange.push(`${name}=${value}`);
      if (["href", "src", "action", "xlink:href"].includes(name) && /^\\s*(javascript|data|vbscript):/i.test(value)
          && !/^data:image\\/svg/.test(value)) strange.push(`${name}=${value.slice(0, 80)}`);
    }
  }
  for (const one of every("script"))
    if (!one.src.startsWith(location.origin + "/static/")) strange.push(one.outerHTML.slice(0, 120));
  const text = roots.map((root) => (root.body ?? root).textContent).join("\\n");
  return {strange, xss: window.__xss ?? null, violations: window.__violations, text};
}"""
# The beginning of any payload that is told from a screen's own words.
BEGINNINGS = {re.split(r"[^ -~]", payload)[0].strip()[:24] for payload in POISON}
SEEN_BY = re.compile("|".join(re.escape(text) for text in sorted(BEGINNINGS) if re.search(r"[<>{}$=]", text[:-1])))


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose every text is a payload."""
    folder = tmp_path_factory.mktemp("poisoned") / "shop"
    shutil.copytree(
        Path(__file__).parent / "poisoned", folder, ignore=shutil.ignore_patterns(".partita", "__pycache__")
    )
    (folder.parent / "poison.json").write_text(json.dumps(POISON))
    service = Service(folder, folder.parent, PARTITA_TEST_POISON=str(folder.parent / "poison.json"))
    try:
        yield service
    finally:
        service.close()


@pytest.fixture(scope="module")
def made(poisoned: Service) -> dict[str, Any]:
    """Runs, materializations, decisions, tokens, limits and messages, each with payloads in all that it may say."""
    client, source = poisoned.client, poisoned.folder / "pipelines.py"
    some = "\n".join(POISON[:40])
    asked = client.post("/runs", {"pipeline": "poisoned", "params": {"text": some, "more": POISON[2]}})
    first = waited(client, asked["id"], "go")
    choice = client.get(f"/runs/{first['id']}/steps/go/approval")["choices"][0]
    client.post(f"/runs/{first['id']}/steps/go/answer", {"choice": choice, "comment": some[:1900]})
    assert client.get(f"/runs/{first['id']}", wait=30)["state"] == "failed"
    # The code of the next one is another, so that both are shown side by side.
    source.write_text(source.read_text() + "".join(f"# {json.dumps(payload)}\n" for payload in POISON))
    client.post("/projects/shop/reload")
    open_ = waited(client, client.post("/runs", {"pipeline": "poisoned"})["id"], "go")
    client.post(f"/runs/{open_['id']}/pause", {"reason": some})
    gone = waited(client, client.post("/runs", {"pipeline": "poisoned"})["id"], "go")
    client.post(f"/runs/{gone['id']}/cancel", {"reason": some})
    client.get(f"/runs/{gone['id']}", wait=30)
    backfill = client.backfills.start("tainted", "a..b")
    for part in client.backfills.parts(backfill["id"]):
        if part["run"]:
            client.get(f"/runs/{part['run']}", wait=30)
    for payload in POISON[:30]:
        asked_for = {"name": payload[:100], "scopes": ["view"], "days": 1}
        allowed = {"Authorization": f"Bearer {poisoned.token}"}
        httpx2.post(f"{poisoned.url}/api/v1/tokens", json=asked_for, headers=allowed).raise_for_status()
    client.put("/limits/default/pool/taint", {"slots": 1, "reason": some})
    for path in ("/schedules/default/poisoned", "/sensors/default/look"):
        client.post(f"{path}/pause", {"reason": POISON[0] + some[:400]})
    # Names of people are what another system calls them: some payloads are such names, and the audit shows them.
    for payload in POISON:
        with contextlib.suppress(PartitaError):
            client.put("/users/" + quote(payload, safe=""), {"roles": ["viewer"]})
    key = quote("<input autofocus onfocus=window.__xss=1>")
    return {"key": key, "first": first["no"], "open": open_["no"], "gone": gone["no"], "backfill": backfill["id"]}


def waited(client: Any, run: str, step: str) -> dict[str, Any]:
    """The run, when its approval is asked for."""
    for _ in range(100):
        if any(gate["run"] == run and gate["step"] == step for gate in client.get("/approvals")["items"]):
            found: dict[str, Any] = client.get(f"/runs/{run}")
            return found
        client.get(f"/runs/{run}", wait="200ms")
    raise AssertionError(f"nobody is asked: {client.get(f'/runs/{run}/why')}")


@pytest.fixture
def victim(poisoned: Service, make_context: Callable[..., BrowserContext]) -> Iterator[Page]:
    """A page of a person who is signed in, and what is watched there; at its end nothing may have happened."""
    headers = {"Authorization": f"Bearer {poisoned.token}"}
    context = make_context(base_url=poisoned.url, extra_http_headers=headers, accept_downloads=True)
    context.add_init_script(WATCH)
    page = context.new_page()
    odd: list[str] = []
    host = urlsplit(poisoned.url).netloc
    page.on("dialog", lambda dialog: (odd.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("popup", lambda popup: odd.append(f"popup {popup.url}"))
    page.on("request", lambda request: is_ours(request.url, host) or odd.append(f"request {request.url}"))
    yield page
    judged(page)
    assert odd == []


def is_ours(url: str, host: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme in ("blob", "data"):
        return True
    # Pages of screens are asked for by this test; a picture, script or frame of a payload would be "/canary" or "/x".
    return parts.netloc == host and parts.path not in ("/canary", "/x")


def judged(page: Page) -> str:
    """What the page says, once it is sure that nothing ran."""
    found = page.evaluate(STRANGE)
    assert found["xss"] is None, f"{found['xss']} ran on {page.url}"
    assert found["violations"] == []
    assert found["strange"] == [], page.url
    return str(found["text"])


def visited(page: Page, address: str) -> str:
    page.goto(address)
    expect(page.locator("main :is(h1, h2, h3), [role=alert]").first).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    return judged(page)


# --- what is kept -------------------------------------------------------------------------------------------------

STEP = "/runs/{first}/steps/say?pane="
# Each screen, and whether payloads must be seen there (else the test would look at nothing).
SCREENS = {
    "/": True,
    "/runs": True,
    "/runs?view=timeline": False,
    "/runs/{first}": True,
    "/runs/{first}?step=fail": True,
    "/runs/{first}?step=say": True,
    "/runs/{first}?tab=timeline": True,
    "/runs/{first}?tab=table": True,
    "/runs/{first}?tab=events": True,
    "/runs/{gone}?tab=events": True,
    "/runs/{open}": True,
    STEP + "log": True,
    STEP + "values": True,
    STEP + "metadata": True,
    STEP + "attempts": False,
    STEP + "use": False,
    STEP + "code": True,
    "/runs/{first}/steps/table?pane=values": True,
    "/runs/{first}/steps/fail?pane=log": True,
    "/runs/{first}/steps/give_up?pane=why": True,
    "/runs/{first}/steps/go": True,
    "/pipelines": True,
    "/pipelines/poisoned": True,
    "/pipelines/poisoned?tab=graph": True,
    "/pipelines/poisoned?tab=calendar": True,
    "/pipelines/poisoned?tab=durations": True,
    "/pipelines/poisoned?tab=runs": True,
    "/pipelines/poisoned?tab=versions": True,
    "/pipelines/poisoned?tab=launch": True,
    "/assets": True,
    "/assets/tainted": True,
    "/assets/tainted?tab=partitions": True,
    "/assets/tainted?tab=made": True,
    "/assets/tainted?tab=checks": True,
    "/assets/tainted?tab=why&partition={key}": True,
    "/assets/tainted?tab=columns": True,
    "/assets/tainted?tab=definition": True,
    "/assets/elsewhere": True,
    "/lineage": True,
    "/schedules": True,
    "/schedules?tab=sensors": True,
    "/schedules/default/poisoned": True,
    "/sensors/default/look": True,
    "/backfills": False,
    "/backfills/{backfill}": False,
    "/approvals": True,
    "/approvals/{open}/go": True,
    "/system?tab=limits": True,
    "/system?tab=notifications": True,
    "/system?tab=resources": True,
    "/system?tab=people": True,
    "/system?tab=audit": True,
    "/system?tab=projects": False,
    "/system?tab=queues": False,
}


def test_there_are_more_than_two_hundred_and_forty_places() -> None:
    assert len(set(POISON)) >= 200
    assert len(SCREENS) >= 40


@pytest.mark.parametrize("part", range(4))
def test_nothing_that_is_kept_runs_on_any_screen(victim: Page, made: dict[str, Any], part: int) -> None:
    unseen = []
    for address, is_seen in list(SCREENS.items())[part::4]:
        visited(victim, address.format(**made))
        if is_seen:
            try:
                expect(victim.locator("body")).to_contain_text(SEEN_BY, timeout=3000)
            except AssertionError:
                unseen.append(address)
        judged(victim)
    assert unseen == []


def test_what_a_log_a_table_and_markdown_hold_is_there_as_text(victim: Page, made: dict[str, Any]) -> None:
    visited(victim, f"/runs/{made['first']}/steps/say?pane=metadata")
    expect(victim.locator("main")).to_contain_text("<script>window.__xss=1</script>")
    visited(victim, f"/runs/{made['first']}/steps/say?pane=log")
    expect(victim.locator("main")).to_contain_text("<img src=/canary onerror=window.__xss=1>")


def test_the_trusted_types_stay_on(browser: Browser, poisoned: Service) -> None:
    """In a context of its own, for what it tries is a violation."""
    with browser.new_context(extra_http_headers={"Authorization": f"Bearer {poisoned.token}"}) as context:
        page = context.new_page()
        answer = page.goto(poisoned.url)
        assert answer is not None
        policy = answer.headers["content-security-policy"]
        assert "require-trusted-types-for 'script'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.evaluate(
            """() => {
              try { document.createElement("div").innerHTML = "<b>x</b>"; return false; }
              catch (error) { return error instanceof TypeError; }
            }"""
        )


# --- what is asked for --------------------------------------------------------------------------------------------

ASKED = [
    "q",
    "state",
    "owner",
    "group",
    "pipeline",
    "tab",
    "step",
    "index",
    "since",
    "from",
    "to",
    "view",
    "of",
    "origin",
]
ASKED += ["partition", "attempt", "against", "level", "hours", "target", "partitions", "standing", "namespace", "sort"]


def test_nothing_in_an_address_runs(victim: Page, made: dict[str, Any]) -> None:
    screens = ["/", "/runs", f"/runs/{made['first']}", "/pipelines/poisoned", "/assets", "/assets/tainted", "/lineage"]
    screens += ["/schedules", "/backfills", "/approvals", "/system", "/signin", f"/runs/{made['first']}/steps/say"]
    left = iter(POISON * 2)
    for screen in screens:
        victim.goto(f"{screen}?{urlencode({name: next(left) for name in ASKED})}")
        expect(victim.locator("body")).to_contain_text(re.compile("."))
        expect(victim.locator(":is(h1, h2, h3), [role=alert]").first).to_be_visible()
        judged(victim)


def test_names_in_an_address_are_text_where_there_is_no_such_thing(victim: Page) -> None:
    ways = ["/runs/{}", "/pipelines/{}", "/assets/{}", "/schedules/default/{}", "/sensors/default/{}", "/backfills/{}"]
    ways += ["/runs/1/steps/{}", "/approvals/1/{}"]
    for at, payload in enumerate(POISON[:36]):
        answer = victim.goto(ways[at % len(ways)].format(quote(payload, safe="")))
        if answer is not None and "json" in answer.headers.get("content-type", ""):
            continue  # what leads upwards in a path is refused before there is a page
        expect(victim.locator("main :is(h1, h2, h3), [role=alert], h1").first).to_be_visible()
        judged(victim)


def test_a_way_back_after_signing_in_leads_nowhere_else(poisoned: Service, make_context: Callable[..., Any]) -> None:
    page = make_context(base_url=poisoned.url).new_page()
    for payload in ("javascript:window.__xss=1", "//canary.invalid/x", "https://canary.invalid/", "/\\canary.invalid"):
        page.goto(f"/signin?to={quote(payload, safe='')}")
        expect(page.locator("body")).to_contain_text(re.compile("."))
        assert urlsplit(page.url).netloc == urlsplit(poisoned.url).netloc
        assert page.evaluate("window.__xss ?? null") is None


# --- what is typed ------------------------------------------------------------------------------------------------


def test_nothing_that_is_typed_into_a_search_runs(victim: Page, made: dict[str, Any]) -> None:
    visited(victim, "/assets")
    field = victim.get_by_role("textbox", name="Search assets")
    for payload in POISON:
        field.fill(payload.replace("\n", " "))
    victim.keyboard.press("Control+k")
    palette = victim.get_by_role("combobox", name="Go to, run, find")
    for payload in POISON:
        palette.fill(payload.replace("\n", " "))
    judged(victim)


@pytest.mark.parametrize(
    "address", ["/runs", "/pipelines", "/assets", "/schedules", "/runs/{first}?tab=table", STEP + "log"]
)
def test_nothing_that_is_typed_into_any_search_runs(victim: Page, made: dict[str, Any], address: str) -> None:
    visited(victim, address.format(**made))
    field = victim.get_by_role("textbox", name=re.compile("search", re.IGNORECASE)).first
    for payload in CANARIES:
        field.fill(payload.replace("\n", " "))
    field.press("Enter")
    judged(victim)


def test_nothing_that_is_typed_into_a_launch_form_runs(victim: Page, made: dict[str, Any]) -> None:
    visited(victim, "/pipelines/poisoned?tab=launch")
    field = victim.get_by_role("textbox", name=re.compile("^text")).first
    for payload in CANARIES:
        field.fill(payload.replace("\n", " "))
        judged(victim)
    expect(victim.locator("main")).to_contain_text("HYPERLINK")


def test_a_link_of_metadata_that_would_run_is_no_link(victim: Page, made: dict[str, Any]) -> None:
    visited(victim, f"/runs/{made['first']}/steps/say?pane=metadata")
    main = victim.locator("main")
    found = main.get_by_text(re.compile(r"^\s*(javascript|vbscript|data):", re.IGNORECASE))
    expect(found.first).to_be_visible()
    for at in range(min(found.count(), 20)):
        found.nth(at).click(force=True)
        judged(victim)
    schemes = main.locator("a[href]").evaluate_all("all => all.map((one) => one.protocol)")
    assert set(schemes) <= {"http:", "https:", "mailto:"}
    assert victim.url.endswith("pane=metadata")


def test_a_launch_form_takes_payloads_and_the_run_shows_them(victim: Page, made: dict[str, Any]) -> None:
    visited(victim, f"/pipelines/poisoned?tab=launch&like={made['first']}")
    expect(victim.locator("main")).to_contain_text("partita run poisoned")
    judged(victim)


# --- what is saved ------------------------------------------------------------------------------------------------


def test_a_saved_table_has_no_formula(victim: Page, made: dict[str, Any], tmp_path: Path) -> None:
    found = 0
    for address, name in [("/assets", "assets"), (f"/runs/{made['first']}?tab=table", ""), ("/system?tab=audit", "")]:
        visited(victim, address.format(**made))
        button = victim.get_by_role("button", name=re.compile(f"^save {name}.* as CSV"))
        with victim.expect_download() as download:
            button.first.click()
        file = tmp_path / "saved.csv"
        download.value.save_as(file)
        for row in csv.reader(file.read_text().splitlines()):
            for cell in row:
                found += 1
                assert not re.match(r"[=+@\t\r]|-\D", cell), f"{cell!r} is a formula, in {address}"
    assert found > 20


# --- what is refused ----------------------------------------------------------------------------------------------


def test_names_of_secrets_are_plain_and_names_of_users_are_text(poisoned: Service, victim: Page) -> None:
    taken: dict[str, list[str]] = {"/secrets/default/": [], "/users/": []}
    bodies: dict[str, dict[str, Any]] = {"/secrets/default/": {"value": "x"}, "/users/": {"roles": ["viewer"]}}
    for payload in POISON:
        for to, done in taken.items():
            with contextlib.suppress(PartitaError):
                poisoned.client.put(to + quote(payload, safe=""), bodies[to])
                done.append(payload)
    assert [name for name in taken["/secrets/default/"] if not re.fullmatch(r"[\w.-]+", name)] == []
    # A user's name is what another system calls a person, so it may hold more; it is text.
    assert [name for name in taken["/users/"] if re.search(r"[<>\"\s/]", name)] == []
    said = visited(victim, "/system?tab=people")
    assert "{{7*7}}" in said or "{{7*7}}" not in taken["/users/"]
