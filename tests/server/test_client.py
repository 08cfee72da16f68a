"""`pt.Client`, and the guide's page, against a real service."""

from __future__ import annotations

import inspect
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

import partita as pt
from partita.client import NotFound
from partita.client_nouns import Noun
from partita.errors import DefinitionError, NotAllowed, WorldError
from partita.server import reference, routes
from partita.server.routing import Router, declared

from .serving import Serving

ROOT = Path(__file__).parents[2]


@pytest.fixture
def client(serving: Serving) -> Iterator[pt.Client]:
    with pt.Client(serving.address, serving.token) as client:
        yield client


def test_a_run_is_started_watched_and_explained(client: pt.Client) -> None:
    run = client.runs.start("nightly", region="us")
    assert client.runs.wait(run.id, timeout_s=30).state == "succeeded"
    assert [step.step for step in client.runs.steps(run.no)] == ["extract", "load"]
    while client.get(f"/runs/{run.id}/steps/extract/log")["state"] is None:
        pass  # its lines come through a pipe, a moment after the outcome
    assert list(client.runs.log(run.id, "extract")) == ["extracting us"]
    broken = client.runs.start("broken", wait="30s")
    assert client.runs.why(broken.id)["causes"][0]["step"] == "breaks"
    assert client.runs.why(broken.id, "after").state == "upstream_failed"
    assert client.runs.retry(broken.id).rerun_of == broken.id


def test_events_come_until_one_has_heard_enough_also_over_a_break(serving: Serving, client: pt.Client) -> None:
    run = client.runs.start("nightly", wait="30s")
    rows = list(
        itertools.takewhile(lambda row: row["events"][-1]["kind"] != "run_ended", client.events(run=run.id, after=0))
    )
    assert rows[0]["events"][0]["kind"] == "run_created"
    kinds = [event["kind"] for row in rows for event in row["events"]]
    assert kinds.count("attempt_started") == 2


def test_a_request_whose_answer_is_lost_is_sent_again_and_done_once(serving: Serving) -> None:
    class Lossy(httpx2.HTTPTransport):
        lost = 0

        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            answer = super().handle_request(request)
            if request.method == "POST" and not self.lost:
                self.lost += 1
                answer.close()
                raise httpx2.ReadError("the connection broke")
            return answer

    with pt.Client(serving.address, serving.token, transport=Lossy()) as client:
        before = client.runs.list(limit=1)[0].no
        run = client.runs.start("nightly")
        assert run.no == before + 1
        assert client.runs.list(limit=1)[0].id == run.id


def test_what_is_wrong_is_an_error_of_ours(serving: Serving, client: pt.Client) -> None:
    with pytest.raises(NotFound, match="no run"):
        client.runs.get("99999999")
    with pytest.raises(DefinitionError) as caught:
        client.runs.start("nightly", regoin="us")
    assert "regoin" in caught.value.message
    with pytest.raises(NotAllowed), pt.Client(serving.address, "ptk_wrong") as other:
        other.runs.list()
    with pytest.raises(WorldError, match="does not answer"), pt.Client("http://127.0.0.1:1") as nobody:
        nobody.runs.list()


def test_it_finds_the_service_of_its_folder(serving: Serving, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PARTITA_URL", raising=False)
    monkeypatch.delenv("PARTITA_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorldError, match="no service runs"):
        pt.Client()
    (serving.home / "service.json").write_text(json.dumps({"address": serving.address}))
    try:
        monkeypatch.chdir(serving.folder)
        with pt.Client() as client:
            assert {p.name for p in client.pipelines.list()} >= {"nightly"}
    finally:
        (serving.home / "service.json").unlink()


def test_an_asset_is_reported_once(client: pt.Client) -> None:
    assert client.assets.report("outside", data_version="9", metadata={"rows": 3}, key="once")
    assert not client.assets.report("outside", data_version="9", metadata={"rows": 3}, key="once")
    assert client.assets.materializations("outside", limit=1)[0].metadata[0].value == 3


# Signing in is a browser's; streams and logs have methods of their own; the rest is for other programs.
NOT_IN_CLIENT = {
    "GET /healthz", "GET /metrics", "GET /api/v1/openapi.json", "GET /api/v1/events", "GET /api/v1/events/live",
    "GET /api/v1/session/ways", "POST /api/v1/session", "DELETE /api/v1/session", "POST /api/v1/session/password",
    "GET /api/v1/session/oidc", "GET /api/v1/session/oidc/callback", "POST /hooks/{namespace}/{sensor}",
    "POST /api/v1/callbacks", "POST /api/v1/callbacks/heartbeat", "GET /api/v1/runs/{run}/steps/{step}/log/live",
    "GET /api/v1/runs/{run}/steps/{step}/log/text", "GET /api/v1/removals", "GET /api/v1/checks",
    "GET /api/v1/runs/{run}/attempts", "GET /api/v1/runs/{run}/steps/{step}/attempts/{attempt}",
    "GET /api/v1/partitions/{namespace}/{name}", "GET /api/v1/projects/{project}",
    "GET /api/v1/projects/{project}/versions/{code}", "GET /api/v1/resources/{resource}", "GET /api/v1/users/{user}",
    "DELETE /api/v1/users/{user}",
    # In the shape in which a screen draws them.
    "GET /api/v1/durations", "GET /api/v1/floor", "GET /api/v1/runs/{run}/reruns", "GET /api/v1/pipelines-overview", "GET /api/v1/waiting",
    "GET /api/v1/pipelines/{pipeline}/partition-keys", "GET /api/v1/runs/{run}/steps/{step}/log/find",
    "GET /api/v1/runs/{run}/steps/{step}/log/lines", "GET /api/v1/runs/{run}/steps/{step}/log/whole",
    "GET /api/v1/runs/{run}/steps/{step}/value/image",
}  # fmt: skip


def nouns(client: pt.Client) -> dict[str, Any]:
    """Every method of every noun."""
    return {
        f"{noun}.{name}": method
        for noun, value in vars(client).items()
        if isinstance(value, Noun)
        for name, method in inspect.getmembers(value, inspect.ismethod)
        if not name.startswith("_")
    }


def _called(method: Any, arguments: list[str]) -> None:
    found = method(*arguments)
    if inspect.isgenerator(found):
        next(found)


def test_each_route_has_a_method_of_the_client_and_each_method_a_route() -> None:
    routes.declare()
    own = [route for route in declared() if route.function.__module__.startswith("partita.")]
    router, reached = Router(own), set()

    class Asked(httpx2.BaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            found = router.find(request.method, request.url.raw_path.partition(b"?")[0])
            assert found is not None and found.route is not None, request.url  # noqa: PT018
            reached.add(found.route.key)
            return httpx2.Response(404, json={})

    with pt.Client("http://127.0.0.1:1", "t", transport=Asked()) as client:
        for method in nouns(client).values():
            wanted = [p for p in inspect.signature(method).parameters.values() if p.default is p.empty]
            arguments = ["1" for p in wanted if p.kind is not p.VAR_KEYWORD]
            with pytest.raises(NotFound):
                _called(method, arguments)
        for more in (lambda: client.assets.health("1"), lambda: client.backfills.why(1, 0, 0)):
            with pytest.raises(NotFound):
                more()
        with pytest.raises(NotFound):
            client.runs.why(1, "1")
    missing = {route.key for route in own} - reached - NOT_IN_CLIENT
    assert not missing, "\n".join(sorted(missing))


def test_each_method_of_the_client_is_in_the_reference(client: pt.Client) -> None:
    page = (ROOT / "docs/reference/client.md").read_text()
    assert [name for name in nouns(client) if f"`{name}(" not in page] == []


BLOCKS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/guide/api.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_the_guide_runs_as_it_is_printed(serving: Serving, code: str) -> None:
    env = {**os.environ, "PARTITA_URL": serving.address, "PARTITA_TOKEN": serving.token}
    code = code.replace('"warehouse"', '"outside"')
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, env=env
    )
    assert done.returncode == 0, code + done.stderr


def test_the_list_of_routes_is_what_is_declared() -> None:
    routes.declare()
    own = [route for route in declared() if route.function.__module__.startswith("partita.")]
    assert (ROOT / "docs/reference/api.md").read_text() == reference.page(own), (
        "python -m partita.server.reference > docs/reference/api.md"
    )
