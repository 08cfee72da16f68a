"""What a request must not do: wrong types, wrong sizes, names that are no names, paths that lead elsewhere."""

from __future__ import annotations

import json
from urllib.parse import quote

import httpx2
import pytest

from partita.server import routes
from partita.server.calling import Call
from partita.server.routing import declared, route

from .serving import Serving

V1 = "/api/v1"

TRAVERSALS = [
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "..%252f..%252fetc%252fpasswd",
    "..\\..\\etc\\passwd",
    "%5c%5chost%5cshare",
    "....//....//etc/passwd",
    "/etc/passwd",
    "//etc/passwd",
    "%00",
    "index.html%00.png",
    "..;/..;/etc/passwd",
    "file:///etc/passwd",
    "CON",
    "a" * 3000,
    "~root/.ssh/id_rsa",
    "%c0%ae%c0%ae/etc/passwd",
    "‥/‥/etc/passwd",
]
NAMES = [
    *TRAVERSALS,
    "",
    " ",
    "\n",
    "\r\nSet-Cookie: a=b",
    "'; DROP TABLE runs; --",
    '" OR ""="',
    "<script>alert(1)</script>",
    "{{7*7}}",
    "${jndi:ldap://x}",
    "$(reboot)",
    "`id`",
    "\x00",
    "\x1b[31m",
    "\u202e",
    "\ufeff",
    "💥" * 50,
    "\ud7ff",
    "a/b",
    "a%b",
    "%",
    "%s%s%s%n",
    "NaN",
    "-1",
    "0",
    str(2**63),
    str(10**40),
    "1e400",
    "null",
    "undefined",
    "true",
    "last",
    "*",
    "%%",
    "_",
    "../",
    ".",
    "..",
    "health",
    "x/healthz",
    "openapi.json",
]
SINKS = [
    "/runs/{}",
    "/runs/{}/why",
    "/runs/1/steps/{}",
    "/runs/1/steps/{}/why",
    "/runs/1/steps/{}/log",
    "/runs/1/steps/extract/log?index={}",
    "/pipelines/{}",
    "/assets/{}",
    "/assets/{}/why",
    "/assets/flights/why?partition={}",
    "/backfills/{}",
    "/schedules/{}/x",
    "/sensors/default/{}",
    "/projects/{}/versions/{}",
    "/search?q={}",
    "/runs?cursor={}",
    "/runs?partition={}",
    "/events?kind={}",
]


@pytest.mark.parametrize("sink", SINKS)
def test_any_name_is_answered_like_one_that_is_not_there(serving: Serving, api: httpx2.Client, sink: str) -> None:
    for name in NAMES:
        answer = api.get(f"{V1}{sink.replace('{}', quote(name, safe=''))}")
        assert answer.status_code in (200, 400, 404, 405, 422), (sink, name, answer.status_code, answer.text)
        assert "root:x:" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"].partition(";")[0] in ("application/json", "application/problem+json")


def test_the_lists_of_poison_are_two_hundred_and_more() -> None:
    assert len(NAMES) * len(SINKS) > 200


def test_no_path_leads_to_a_file(serving: Serving) -> None:
    import socket

    host, port = serving.address.removeprefix("http://").split(":")
    for path in TRAVERSALS:
        raw = path.encode("utf-8", "surrogatepass").replace(b" ", b"%20").replace(b"\\", b"%5c")
        for prefix in (b"/", b"/api/v1/", b"/api/v1/runs/1/steps/", b"/ui/", b"/static/"):
            request = b"GET %s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (
                prefix,
                raw,
                f"{host}:{port}".encode(),
            )
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.sendall(request)
                answer = b""
                while part := connection.recv(65536):
                    answer += part
            assert answer.split(b" ", 2)[1] in (b"400", b"401", b"404", b"405", b"421"), (prefix, path, answer[:200])
            assert b"root:x:" not in answer


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        (b'{"pipeline": "nightly"}', "text/plain", 415),
        (b"pipeline=nightly", "application/x-www-form-urlencoded", 415),
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"[" * 100_000, "application/json", 422),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "application/json", 422),
        (b'{"pipeline": "nightly", "unknown": 1}', "application/json", 422),
        (b'{"pipeline": 5}', "application/json", 422),
        (b'{"pipeline": "\\ud800"}', "application/json", 400),
        (b'"\xff\xfe"', "application/json", 422),
        (b'{"pipeline": "nightly", "priority": 1e999}', "application/json", 422),
        (b'{"pipeline": "nightly", "params": {"region": NaN}}', "application/json", 400),
        (b" " * (2 << 20), "application/json", 413),
    ],
    ids=range(13),
)
def test_a_body_that_is_wrong_gets_one_clear_problem(api: httpx2.Client, body: bytes, media: str, status: int) -> None:
    answer = api.post(f"{V1}/runs", content=body, headers={"Content-Type": media})
    assert answer.status_code in (status, 400 if status == 422 else status), answer.text
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == answer.status_code
    assert problem["title"]
    assert problem["detail"]


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=0", 422), ("limit=501", 422), ("limit=a", 422), ("limit=1&limit=2", 422), ("unknown=1", 422), ("%", 400)],
)
def test_a_query_that_is_wrong_is_refused(api: httpx2.Client, query: str, status: int) -> None:
    assert api.get(f"{V1}/runs?{query}").status_code == status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD", "PROPFIND"])
def test_a_method_that_is_not_declared_is_refused(api: httpx2.Client, method: str) -> None:
    answer = api.request(method, f"{V1}/runs")
    assert answer.status_code in (400, 403, 405)
    if answer.status_code == 405:
        assert answer.headers["allow"] == "GET, POST"


def test_health_is_one_exact_path_and_says_nothing(serving: Serving) -> None:
    with httpx2.Client(base_url=serving.address) as nobody:
        assert nobody.get("/healthz").content == b"{}"
        for path in ("/healthz/", "/api/v1/runs/healthz", "//healthz", "/healthz/../api/v1/runs", "/Healthz"):
            assert nobody.get(path).content != b"{}", path


def test_every_answer_has_the_headers_that_keep_pages_apart(api: httpx2.Client) -> None:
    for path in ("/", "/healthz", f"{V1}/runs", f"{V1}/nothing", "/metrics", f"{V1}/openapi.json"):
        headers = api.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"], path
        assert "access-control-allow-origin" not in headers, path


def test_whoever_shows_no_token_is_told_to_sign_in_everywhere(serving: Serving) -> None:
    routes.declare()
    with httpx2.Client(base_url=serving.address) as nobody:
        for found in declared():
            if found.permission in ("public", "signed"):
                continue
            path = found.path.replace("{attempt}", "1")
            answer = nobody.request(
                found.method, path, content=b"{}", headers={"Content-Type": "application/json", "Host": _host(serving)}
            )
            assert answer.status_code in (401, 403, 429), (found.key, answer.status_code, answer.text)


def test_a_foreign_host_and_a_foreign_page_are_refused(api: httpx2.Client) -> None:
    assert api.get("/healthz", headers={"Host": "evil.example"}).status_code == 421
    for origin in ("https://evil.example", "null"):
        answer = api.post(f"{V1}/runs", json={"pipeline": "nightly"}, headers={"Origin": origin, "Cookie": "a=b"})
        # With a token it is no browser's doing; without one it is refused before it is read.
        assert answer.status_code in (201, 403)


def test_a_route_without_a_permission_does_not_come_into_being() -> None:
    with pytest.raises(TypeError, match="permission"):

        @route("GET", "/oops", permission="", summary="")
        def oops(call: Call) -> None: ...


def test_metrics_are_numbers_and_name_nobody(api: httpx2.Client) -> None:
    text = api.get("/metrics").text
    assert "partita_engine_up 1" in text
    for name in ("nightly", "flights", "shop", "extract"):
        assert name not in text
    for line in text.splitlines():
        if not line.startswith("#"):
            float(line.rpartition(" ")[2])


def test_the_document_is_complete(api: httpx2.Client) -> None:
    document = api.get(f"{V1}/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            good = next(iter(operation["responses"].values()))
            if "content" in good:
                media = next(iter(good["content"].values()))
                assert "example" in media, where
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                assert "example" in operation["requestBody"]["content"]["application/json"], where
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert "application/problem+json" in answer["content"], where
    json.dumps(document)


def test_the_document_is_openapi_3_1_and_each_example_is_of_its_type(api: httpx2.Client) -> None:
    import jsonschema
    from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

    document = api.get(f"{V1}/openapi.json").json()
    OPENAPI_31_VALIDATOR.validate(document)
    components = {"components": document["components"]}
    names, checked = [], 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            names.append(operation["operationId"])
            places = [operation.get("requestBody", {}), *operation["responses"].values()]
            for media in [m for place in places for m in place.get("content", {}).values() if "example" in m]:
                validator = jsonschema.Draft202012Validator({**media["schema"], **components})
                wrong = [error.message for error in validator.iter_errors(media["example"])]
                assert not wrong, (method, path, wrong)
                checked += 1
    assert len(names) == len(set(names))
    assert checked > 500


def _host(serving: Serving) -> str:
    return serving.address.removeprefix("http://")
