"""A real service over real pipelines, and a browser that is signed in to it.

Rule: nothing of ours is replaced by anything; what a test sees went through scheduler, store, web process and Chromium. Tests of one
worker share the service and the browser, so each looks for what it has made itself.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason="the browser's driver is not installed")

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from cli.service import Up  # noqa: E402
from partita.client import Client  # noqa: E402

# Shared machines are slow at times, and what is expected is waited for no longer than it takes.
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
BUILT = ROOT / "src/partita/server/ui/index.html"
# What a browser says about an answer that a test has asked for on purpose (a refusal, a missing run).
_ANSWERS = "Failed to load resource: the server responded with a status of"


class Service:
    """A `partita up` over a copy of the project of these tests."""

    def __init__(self, folder: Path, gate: Path, **more: str) -> None:
        self.folder, self.gate = folder, gate
        self.up = Up(folder, web=True, PARTITA_TEST_GATE=str(gate), **more)
        try:
            ready, loaded = self.up.wait("ready", part="web"), any(e["event"] == "loaded" for e in self.up.seen)
            if not loaded:
                self.up.wait("loaded")
            self.url = str(ready["address"])
            self.token = (folder / ".partita" / "token").read_text().strip()
        except BaseException:
            self.up.close()
            raise
        self.client = Client(self.url, self.token)

    def run(self, pipeline: str, *, until: str = "", **body: object) -> dict:
        """Start a run; with `until`, wait until it is there: "succeeded", "failed", "over"."""
        run = self.client.post("/runs", {"pipeline": pipeline, **body})
        while until and run["state"] not in ("succeeded", "failed", "cancelled"):
            run = self.client.get(f"/runs/{run['id']}", wait=30)
        assert not until or until == "over" or run["state"] == until, run
        return run

    def open_gate(self, name: str) -> None:
        """Let the steps go on that wait for `name`."""
        (self.gate / name).touch()

    def close(self) -> None:
        self.client.close()
        self.up.close()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service that the tests of this process share."""
    if not BUILT.exists():
        pytest.fail("the screens are not built; say: make ui")
    folder = tmp_path_factory.mktemp("served") / "shop"
    shutil.copytree(Path(__file__).parent / "project", folder, ignore=shutil.ignore_patterns(".partita", "__pycache__"))
    service = Service(folder, tmp_path_factory.mktemp("gate"))
    yield service
    service.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium on this machine; say: apt-get install chromium")
        pytest.skip("no Chromium on this machine; say: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def make_context(browser: Browser, service: Service) -> Iterator[Callable[..., BrowserContext]]:
    """Makes browser contexts that are signed in; what their pages complain of fails the test."""
    made: list[BrowserContext] = []
    complaints: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_ANSWERS):
            complaints.append(message.text)

    def make(**options: object) -> BrowserContext:
        headers = {"Authorization": f"Bearer {service.token}"}
        usual: dict[str, object] = {
            "base_url": service.url,
            "viewport": {"width": 1440, "height": 900},
            "timezone_id": "UTC",
            "reduced_motion": "reduce",
            "extra_http_headers": headers,
        }
        context = browser.new_context(**{**usual, **options})
        context.set_default_timeout(PATIENCE_MS)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=service.url)
        context.on("console", complain)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        made.append(context)
        return context

    yield make
    for context in made:
        context.close()
    assert not complaints, complaints


@pytest.fixture
def page(make_context: Callable[..., BrowserContext]) -> Page:
    """A page of somebody who is signed in."""
    return make_context().new_page()


@pytest.fixture
def phone(make_context: Callable[..., BrowserContext]) -> Page:
    """A page on a telephone."""
    return make_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True).new_page()
