"""What an enemy sends or has stored: poison in every field, pages of elsewhere, paths that lead out, and what the audit says."""

from __future__ import annotations

import itertools
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import msgspec
import pytest

from partita import server
from partita.server import routes
from partita.server.routing import Route, declared

from .poison import payloads, traversals
from .serving import Part, Serving
from .test_runs import V1, ended, started

POISON = payloads()


def own_routes() -> list[Route]:
    routes.declare()
    return [r for r in declared() if r.function.__module__.startswith("partita.")]


# --- what was stored comes back as data (S3) ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def poisoned(serving: Serving) -> Iterator[tuple[httpx2.Client, str]]:
    """A service in which every text that anybody may store is poison; and a run of that kind."""
    with serving.client() as api:
        for number, text in enumerate(POISON):
            metadata = [{"name": f"{number}{text}"[:400], "value": {"text": text, "list": [text]}, "kind": "json"}]
            report = {"asset": "outside", "data_version": text[:300], "metadata": metadata}
            assert api.post(f"{V1}/materializations", json=report).status_code == 201, text
            check = {"asset": "outside", "check": f"c{number}{text}"[:190], "passed": False, "message": text}
            assert api.post(f"{V1}/checks", json={**check, "metadata": metadata}).status_code == 201, text
        made: list[str] = []
        for some in itertools.batched(POISON, 50) if hasattr(itertools, "batched") else _batched(POISON, 50):
            tags = [f"t{text}"[:200] for text in some]
            body = {"pipeline": "nightly", "tags": tags, "params": {"region": "".join(some)[:5000]}}
            made.append(started(api, body, **{"Idempotency-Key": f"poison-{len(made)}"})["id"])
        broken = started(api, {"pipeline": "patient", "params": {"file": POISON[0]}})
        api.post(f"{V1}/runs/{broken['id']}/pause", json={"reason": POISON[1]})
        api.post(f"{V1}/runs/{broken['id']}/cancel", json={"reason": POISON[2]})
        assert {ended(api, run)["state"] for run in made} == {"succeeded"}
        api.put(f"{V1}/limits/default/pool/line", json={"slots": 1, "reason": POISON[3]})
        yield api, made[-1]


def _batched(items: list[str], size: int) -> Iterator[list[str]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]


def path_of(route: Route, run: str) -> str:
    known = {
        "{run}": run, "{step}": "extract", "{attempt}": "1", "{pipeline}": "nightly", "{asset}": "outside",
        "{namespace}": "default", "{schedule}": "narrow", "{sensor}": "orders", "{stage}": "0", "{part}": "0",
    }  # fmt: skip
    return "/" + "/".join(known.get(s, "1") if s.startswith("{") else s for s in route.segments)


def test_what_was_stored_as_poison_is_read_as_data_by_every_route(poisoned: tuple[httpx2.Client, str]) -> None:
    api, run = poisoned
    seen, asked = set(), 0
    for route in own_routes():
        if route.method != "GET" or route.permission == "public" or route.path.endswith("/live"):
            continue
        answer = api.get(path_of(route, run), params=_asked(route))
        assert answer.status_code in (200, 404), (route.key, answer.text)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'; sandbox"
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in ("application/json", "application/problem+json", "text/plain"), route.key
        if kind == "application/json":
            seen |= set(_strings(json.loads(answer.text)))
        asked += 1
    assert asked > 50
    # Nothing was changed on its way.
    whole = "\0".join(seen)
    missing = [text for text in POISON if text not in whole]
    assert not missing, missing[:5]


_ASKED = {"limit": 500, "q": "nightly"}
# What a route cannot be asked without.
_NEEDED = {"against": "x", "pipeline": "nightly"}


def _asked(route: Route) -> dict[str, Any]:
    needed = {f.name for f in msgspec.structs.fields(route.query_type) if f.required} if route.query_type else set()
    return {k: v for k, v in _ASKED.items() if k in _query(route)} | {k: v for k, v in _NEEDED.items() if k in needed}


def _query(route: Route) -> set[str]:
    return set(route.query_type.__struct_fields__) if route.query_type is not None else set()  # type: ignore[attr-defined]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def test_a_problem_repeats_a_poisonous_name_as_data(api: httpx2.Client) -> None:
    for text in POISON:
        answer = api.get(f"{V1}/pipelines/{quote(text, safe='')}")
        assert answer.status_code in (400, 404), text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not [name for name in answer.headers if name == "set-cookie"]


# --- pages of elsewhere (S4) --------------------------------------------------------------------------------------------

ORIGINS = [
    "https://evil.example",
    "null",
    "http://localhost",
    "http://127.0.0.1:1",
    "https://127.0.0.1",
    "file://",
    "http://{host}.evil.example",
    "chrome-extension://abc",
]
FORMS = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json", ""]
SITES = ["cross-site", "same-site", None]


class Page:
    """A web process of its own, for it counts who is denied too often; and the cookie of somebody who opened its link."""

    def __init__(self, serving: Serving) -> None:
        self.web = Part("partita.server.main", "--home", str(serving.home), folder=serving.folder)
        ready = self.web.wait_for("ready")
        self.address = str(ready["address"])
        origin = {"Origin": self.address, "Sec-Fetch-Site": "same-origin"}
        with httpx2.Client(base_url=self.address) as browser:
            link = ready["link"].partition("#link=")[2]
            answer = browser.post(f"{V1}/session", json={"link": link}, headers=origin)
            assert answer.status_code == 201, answer.text
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
            headers = {"Cookie": self.cookie, "Sec-Fetch-Site": "same-origin"}
            assert browser.get(f"{V1}/runs", headers=headers).status_code == 200


@pytest.fixture
def page(serving: Serving) -> Iterator[Page]:
    page = Page(serving)
    yield page
    assert page.web.end() == 0


@pytest.mark.parametrize("origins", [ORIGINS[::2], ORIGINS[1::2]], ids=["some", "others"])
def test_a_page_of_elsewhere_changes_nothing_and_reads_nothing(
    serving: Serving, page: Page, origins: list[str]
) -> None:
    host = page.address.removeprefix("http://")
    body = json.dumps({"pipeline": "nightly"}).encode()
    cases = 0
    with serving.client() as own, httpx2.Client(base_url=page.address) as browser:
        before = started(own, {"pipeline": "nightly"})["no"]
        for origin, media, site in itertools.product(origins, FORMS, SITES):
            headers = {"Cookie": page.cookie, "Origin": origin.replace("{host}", host)}
            headers |= {"Content-Type": media} if media else {}
            headers |= {"Sec-Fetch-Site": site} if site else {}
            for method, path in (("POST", f"{V1}/runs"), ("DELETE", f"{V1}/session"), ("GET", f"{V1}/runs")):
                answer = browser.request(method, path, headers=headers, content=body if method == "POST" else None)
                assert answer.status_code in (403, 415), (method, headers, answer.status_code)
                assert "access-control-allow-origin" not in answer.headers
                assert "nightly" not in answer.text
                cases += 1
        for path in (f"{V1}/events/live", f"{V1}/runs/1/steps/extract/log/live"):
            headers = {"Cookie": page.cookie, "Sec-Fetch-Site": "cross-site"}
            assert browser.get(path, headers=headers).status_code == 403
            cases += 1
        assert own.get(f"{V1}/runs", params={"limit": 1}).json()["items"][0]["no"] == before
    assert cases == len(origins) * len(FORMS) * len(SITES) * 3 + 2


REBOUND = [
    "evil.example",
    "{host}.evil.example",
    "evil.example:{port}",
    "169.254.169.254",
    "[::ffff:1.2.3.4]",
    "localhost.evil",
    "0",
]


def test_a_name_that_was_rebound_to_us_gets_nothing(page: Page) -> None:
    host, port = page.address.removeprefix("http://").split(":")
    paths = ("/", "/healthz", "/metrics", f"{V1}/runs", f"{V1}/openapi.json", f"{V1}/events/live")
    with httpx2.Client(base_url=page.address) as browser:
        for name, path in itertools.product(REBOUND, paths):
            named = name.replace("{host}", host).replace("{port}", port)
            answer = browser.get(path, headers={"Host": named, "Cookie": page.cookie})
            assert answer.status_code == 421, (name, path, answer.status_code)
            assert "nightly" not in answer.text


# --- paths that lead out (S5) -------------------------------------------------------------------------------------------


def _raw(serving: Serving, paths: list[str]) -> Iterator[tuple[str, bytes]]:
    """Answers to paths exactly as they are written here; no client tidies them up."""
    host, port = serving.address.removeprefix("http://").split(":")
    for path in paths:
        head = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {serving.token}\r\nConnection: close\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(head.encode("latin-1"))
            answer = b""
            while part := connection.recv(1 << 16):
                answer += part
        yield path, answer


PLACES = [
    "/{}",
    "/assets/{}",
    f"{V1}/runs/1/steps/{{}}/log",
    f"{V1}/runs/{{}}/steps/extract/log/text",
    f"{V1}/projects/x/versions/{{}}",
]


def _stays_inside(serving: Serving, count: int) -> int:
    secrets = [
        (serving.home / name).read_bytes().strip()
        for name in ("token", "secrets.key")
        if (serving.home / name).exists()
    ]
    paths = [place.replace("{}", path) for place in PLACES for path in traversals(count)]
    for path, answer in _raw(serving, paths):
        status = answer.split(b" ", 2)[1]
        # A name like a path is a name: its screen is the page, which is one file and says that there is no such thing.
        is_page = status == b"200" and b'<div id="root">' in answer
        assert is_page or status in (b"400", b"404", b"405", b"414", b"422", b"431"), (path, answer[:200])
        assert b"root:" not in answer
        assert not any(secret in answer for secret in secrets)
        assert b"SQLite format" not in answer
    return len(paths)


def test_no_path_leads_out_of_where_it_is(serving: Serving) -> None:
    assert _stays_inside(serving, 40) == 200


@pytest.mark.slow
def test_no_path_of_five_hundred_leads_out_of_where_it_is(serving: Serving) -> None:
    assert _stays_inside(serving, 500) > 1900


# --- addresses that somebody else names (S6) ----------------------------------------------------------------------------


def test_no_route_takes_an_address_to_go_to_or_to_fetch() -> None:
    words = {
        "url",
        "uri",
        "redirect",
        "redirect_uri",
        "next",
        "return_to",
        "to",
        "callback",
        "host",
        "link_to",
        "fetch",
    }
    for route in own_routes():
        body = set(getattr(route.body, "__struct_fields__", ()))
        assert not (_query(route) | body) & words, route.key


def test_only_signing_in_by_a_provider_asks_anybody_else() -> None:
    folder = Path(server.__file__).parent
    asking = re.compile(r"httpx2|urlopen|create_connection|HTTPConnection|\brequests\.get|aiohttp")
    found = {file.name for file in folder.rglob("*.py") if asking.search(file.read_text())}
    assert found == {"oidc.py"}


def test_where_a_provider_sends_a_browser_back_to_is_ours(api: httpx2.Client) -> None:
    for target in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"):
        for name in ("next", "to", "return_to", "redirect_uri"):
            answer = api.get(f"{V1}/session/oidc/callback", params={name: target}, follow_redirects=False)
            assert answer.status_code in (404, 422)
            assert "location" not in answer.headers


# --- the audit (S13) ----------------------------------------------------------------------------------------------------


def _entries(api: httpx2.Client) -> int:
    items = api.get(f"{V1}/audit", params={"limit": 1}).json()["items"]
    return int(items[0]["no"]) if items else 0


# Asked of many at once: an entry for each of them. Questions, and what is checked by its own signature.
NOT_ONE = {"POST /api/v1/runs/bulk"}


def test_each_change_and_each_denied_request_has_exactly_one_entry(serving: Serving, api: httpx2.Client) -> None:
    # Another web process: what it counts of denied requests is its own.
    web = Part("partita.server.main", "--home", str(serving.home), folder=serving.folder)
    address = web.wait_for("ready")["address"]
    asked = 0
    with httpx2.Client(base_url=address, timeout=30) as nobody, serving.client() as own:
        for route in own_routes():
            if route.method == "GET" and route.permission in ("public", "signed"):
                continue
            path, body = path_of(route, "no-such-run"), route.body_example
            content = json.dumps(body if body is not None else {}).encode() if route.body is not None else None
            if route.body is bytes:
                content = b"{}"
            headers = {"Content-Type": "application/json"} if content is not None else {}
            if route.method != "GET" and route.key not in NOT_ONE and route.noun != "session":
                before = _entries(own)
                status = own.request(route.method, path, content=content, headers=headers).status_code
                assert status < 500, (route.key, status)
                assert _entries(own) == before + 1, (route.key, status)
                asked += 1
            if route.permission in ("public", "signed") or asked > 250:
                continue
            before = _entries(own)
            status = nobody.request(
                route.method, path, content=content, headers={**headers, "Origin": address}
            ).status_code
            assert status == 401, (route.key, status)
            assert _entries(own) == before + 1, route.key
            asked += 1
    assert web.end() == 0
    assert asked > 120
