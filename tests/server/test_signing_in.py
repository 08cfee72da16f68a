"""Signing in over HTTP: by link, password and provider, through the whole application."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from joserfc.jwk import RSAKey

from partita.engine.access import IssueToken, SetUser
from partita.engine.control import ControlServer
from partita.errors import DefinitionError, WorldError
from partita.server.access import AccessGuard
from partita.server.app import App, build_app
from partita.server.bearers import new_link
from partita.server.links import EngineLink, Readers
from partita.server.oidc import OidcLogin
from partita.server.passwords import hash_password
from partita.server.policy import Policy, Provider
from partita.server.routing import route
from partita.settings import Home, Settings
from partita.store import access
from partita.store.sqlite import open_store

from .a_provider import CLIENT, SECRET, AProvider
from .desk import HOST, Desk

OURS = {"origin": f"http://{HOST}"}


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: Any

    @property
    def cookies(self) -> dict[str, str]:
        found = [value.partition(";")[0].partition("=") for name, value in self.headers if name == "set-cookie"]
        return {name: value for name, _, value in found}


class Site:
    """The application beside a real control socket; requests of a browser that keeps its cookies."""

    def __init__(self, folder: Path, policy: Policy) -> None:
        home = Home(folder / ".partita")
        self.store = open_store(home.db)
        self.desk = Desk(folder, policy, store=self.store)
        self.desk.clock.at = time.time()
        self.control = ControlServer(home.socket, self.desk, self.desk.part.handlers())  # type: ignore[arg-type]
        self.links = (Readers(home), EngineLink(home))
        readers, engine = self.links
        guard = AccessGuard(policy, home, bound="127.0.0.1", reader=readers.get, ask=engine.ask)
        self.app: App = build_app(Settings(project=folder, home=home), guard)
        self.cookies: dict[str, str] = {}

    def close(self) -> None:
        asyncio.run(self.app.close())
        for link in self.links:
            link.close()
        self.control.close()
        self.store.close()

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        answer = asyncio.run(self._ask(method, path, body, headers))
        self.cookies.update(answer.cookies)
        return answer

    async def _ask(self, method: str, path: str, body: object, more: dict[str, str]) -> Answer:
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"host": HOST, **OURS, **{k.replace("_", "-"): v for k, v in more.items()}}
        if body is not None:
            headers |= {"content-type": "application/json", "content-length": str(len(data))}
        if self.cookies and "cookie" not in headers:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        bare, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": bare,
            "raw_path": bare.encode(),
            "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            "client": ("127.0.0.1", 1),
            "scheme": "http",
            "http_version": "1.1",
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": data, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        raw = b"".join(m.get("body", b"") for m in sent[1:])
        found = [(k.decode(), v.decode()) for k, v in sent[0]["headers"]]
        return Answer(sent[0]["status"], found, json.loads(raw) if raw else None)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path, Policy(auth="password"))
    yield found
    found.close()


def test_a_password_begins_a_session_and_signing_out_ends_it(site: Site) -> None:
    site.desk.user("ann", ("sales", "operator"), password=hash_password("correct horse"))
    assert site.ask("GET", "/api/v1/session").status == 401
    begun = site.ask("POST", "/api/v1/session", {"name": "ann", "password": "correct horse"})
    assert begun.status == 201
    assert begun.body["permissions"] == {"sales": ["log.read", "operate", "report", "view"]}
    cookie = next(value for name, value in begun.headers if name == "set-cookie")
    assert cookie.endswith("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict")
    assert site.ask("GET", "/api/v1/session").body["name"] == "ann"
    kept = dict(site.cookies)
    assert site.ask("DELETE", "/api/v1/session").status == 200
    site.cookies = kept
    assert site.ask("GET", "/api/v1/session").status == 401


def test_a_wrong_password_an_unknown_name_and_a_closed_account_look_the_same(site: Site) -> None:
    site.desk.user("ann", ("*", "viewer"), password=hash_password("correct horse"))
    site.desk.user("bob", ("*", "viewer"), password=hash_password("correct horse"))
    site.desk.ask(SetUser("bob", "x", active=False))
    site.desk.user("eve", ("*", "viewer"), password="")  # signs in elsewhere
    answers = [
        site.ask("POST", "/api/v1/session", {"name": name, "password": password})
        for name, password in [("ann", "wrong horse"), ("nobody", "x"), ("bob", "correct horse"), ("eve", "")]
    ]
    assert {(a.status, a.body["detail"]) for a in answers} == {(401, "this is not the password of such a user")}
    assert site.cookies == {}
    denied = [row for row in access.audit_entries(site.store) if row.result.startswith("denied")]
    assert [row.object for row in denied] == ["user:eve", "user:bob", "user:nobody", "user:ann"]


def test_guessing_is_slowed_down(site: Site) -> None:
    site.desk.user("ann", ("*", "viewer"), password=hash_password("correct horse"))
    statuses = [site.ask("POST", "/api/v1/session", {"name": "ann", "password": "x"}).status for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    assert site.ask("POST", "/api/v1/session", {"name": "ann", "password": "correct horse"}).status == 429
    assert list(access.broken_links(site.store)) == []


def test_a_link_signs_in_whoever_has_it_once(site: Site) -> None:
    link = new_link(time.time())
    site.desk.ask(IssueToken(link.id, link.digest, "", "link", (("*", "admin"),), "x", time.time() + 60, "link"))
    assert site.ask("POST", "/api/v1/session", {"link": link.text}).status == 201
    assert "admin" in site.ask("GET", "/api/v1/session").body["permissions"]["*"]
    site.cookies.clear()
    assert site.ask("POST", "/api/v1/session", {"link": link.text}).status == 401
    assert site.cookies == {}


def test_nobody_is_signed_in_by_another_sites_form(site: Site) -> None:
    site.desk.user("eve", ("*", "viewer"), password=hash_password("correct horse"))
    body = {"name": "eve", "password": "correct horse"}
    assert site.ask("POST", "/api/v1/session", body, origin="https://evil.example").status == 403
    assert site.cookies == {}


def test_a_changed_password_ends_all_sessions(site: Site) -> None:
    site.desk.user("ann", ("*", "viewer"), password=hash_password("correct horse"))
    site.ask("POST", "/api/v1/session", {"name": "ann", "password": "correct horse"})
    changed = site.ask("POST", "/api/v1/session/password", {"old": "correct horse", "new": "incorrect mule"})
    assert changed.status == 200
    assert site.ask("GET", "/api/v1/session").status == 401
    assert site.ask("POST", "/api/v1/session", {"name": "ann", "password": "incorrect mule"}).status == 201


def test_users_tokens_and_secrets_are_kept_over_http_and_nothing_secret_comes_back(site: Site) -> None:
    site.desk.user("root", ("*", "admin"), password=hash_password("correct horse"))
    site.ask("POST", "/api/v1/session", {"name": "root", "password": "correct horse"})
    made = site.ask("PUT", "/api/v1/users/ann", {"password": "correct horse", "roles": ["sales:operator"]})
    assert (made.status, made.body["roles"]) == (200, ["sales:operator"])
    token = site.ask("POST", "/api/v1/tokens", {"name": "ci", "scopes": ["sales:operate"]}).body
    assert token["token"]["scopes"] == ["sales:operate"]
    assert site.ask("PUT", "/api/v1/secrets/sales/DB", {"value": "hunter2-hunter2"}).status == 200
    assert site.ask("PUT", "/api/v1/secrets/sales/DB", {"value": "abc"}).status == 422
    listed = [site.ask("GET", f"/api/v1/{noun}") for noun in ("users", "tokens", "secrets", "audit")]
    text = json.dumps([a.body for a in listed])
    assert [a.status for a in listed] == [200] * 4
    assert all(word in text for word in ("ann", "ci", "DB", "PUT /api/v1/secrets/{namespace}/{secret}"))
    assert not any(word in text for word in ("hunter2", "argon2", token["text"], "correct horse"))
    bearer = {"authorization": f"Bearer {token['text']}"}
    assert site.ask("GET", "/api/v1/users", **bearer).status == 403
    assert site.ask("POST", "/api/v1/tokens", {"name": "x", "scopes": ["admin"]}, **bearer).status == 403
    assert site.ask("DELETE", f"/api/v1/tokens/{token['token']['id']}").status == 200
    assert site.ask("GET", "/api/v1/session", **bearer).status == 401
    assert list(access.broken_links(site.store)) == []


def test_an_operator_of_one_namespace_neither_sees_nor_gives_away_another(site: Site) -> None:
    site.desk.user("root", ("*", "admin"), password=hash_password("correct horse"))
    site.desk.user("ann", ("sales", "admin"), password=hash_password("correct horse"))
    site.ask("POST", "/api/v1/session", {"name": "root", "password": "correct horse"})
    site.ask("PUT", "/api/v1/secrets/hr/PAY", {"value": "hunter2-hunter2"})
    site.cookies.clear()
    site.ask("POST", "/api/v1/session", {"name": "ann", "password": "correct horse"})
    assert site.ask("GET", "/api/v1/secrets").body["items"] == []
    assert site.ask("PUT", "/api/v1/secrets/hr/PAY", {"value": "mine-mine-mine"}).status == 404
    assert site.ask("DELETE", "/api/v1/secrets/hr/PAY").status == 404
    assert site.ask("PUT", "/api/v1/users/ann", {"roles": ["admin"]}).status == 404
    assert site.ask("POST", "/api/v1/tokens", {"name": "t", "scopes": ["hr:view"]}).status == 403
    assert site.ask("POST", "/api/v1/tokens", {"name": "t", "scopes": ["admin"]}).status == 403
    assert {row["namespace"] for row in site.ask("GET", "/api/v1/audit").body["items"]} <= {"sales"}
    unseen, absent = (site.ask("DELETE", f"/api/v1/secrets/{n}/PAY").body["detail"] for n in ("hr", "nowhere"))
    assert unseen == absent


# --- by a provider ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared_provider() -> Iterator[AProvider]:
    provider = AProvider()
    yield provider
    provider.close()


@pytest.fixture
def provider(shared_provider: AProvider) -> AProvider:
    shared_provider.claims = {
        "email": "Ann@example.com",
        "email_verified": True,
        "hd": "example.com",
        "groups": ["data", "others"],
    }
    shared_provider.signer, shared_provider.says_it_is = shared_provider.key, shared_provider.issuer
    shared_provider.refused.clear()
    return shared_provider


def settings_for(provider: AProvider) -> Provider:
    return Provider(
        provider.issuer,
        CLIENT,
        SECRET,
        hosted_domain="example.com",
        roles={"data": (("sales", "operator"),), "boss": (("*", "admin"),)},
    )


def test_a_provider_signs_somebody_in_with_the_roles_of_their_groups(tmp_path: Path, provider: AProvider) -> None:
    site = Site(tmp_path, Policy(auth="oidc", provider=settings_for(provider)))
    try:

        def sign_in() -> Answer:
            there = site.ask("GET", "/api/v1/session/oidc")
            assert there.status == 302
            assert "SameSite=Lax" in next(v for n, v in there.headers if n == "set-cookie")
            state, code = provider.authorize(dict(there.headers)["location"])
            return site.ask("GET", f"/api/v1/session/oidc/callback?state={state}&code={code}")

        back = sign_in()
        assert (back.status, dict(back.headers)["location"]) == (302, "/")
        me = site.ask("GET", "/api/v1/session").body
        assert (me["name"], list(me["permissions"])) == ("ann@example.com", ["sales"])
        first = dict(site.cookies)
        provider.claims["groups"] = ["boss"]
        assert sign_in().status == 302
        assert site.ask("GET", "/api/v1/session").body["permissions"].keys() == {"*"}
        site.cookies = first
        assert site.ask("GET", "/api/v1/session").status == 401  # other rights: earlier sessions are over
        provider.claims["groups"] = []
        refused = sign_in()
        assert (refused.status, refused.body["detail"]) == (401, "none of your groups has a role here")
    finally:
        site.close()


def attempt(provider: AProvider, login: OidcLogin) -> Any:
    begun = login.begin("http://127.0.0.1:4400/api/v1/session/oidc/callback")
    state, code = provider.authorize(begun.address)
    return login.finish(state, begun.state, code)


def test_who_signs_in_is_who_the_provider_says(provider: AProvider) -> None:
    who = attempt(provider, OidcLogin(settings_for(provider)))
    assert who == ("ann@example.com", "ann@example.com", (("sales", "operator"),))


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"iss": "https://evil.example"}, "iss"),
        ({"aud": "another"}, "aud"),
        ({"aud": [CLIENT, "another"]}, "somebody else"),
        ({"azp": "another"}, "somebody else"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "exp"),
        ({"iat": 4_000_000_000}, "future"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"sub": None}, "sub"),
        ({"email_verified": False}, "not verified"),
        ({"email_verified": "true"}, "not verified"),
        ({"email_verified": None}, "not verified"),
        ({"email": None}, "not verified"),
        ({"hd": "evil.example"}, "only accounts of example.com"),
        ({"hd": "example.com.evil.example"}, "only accounts of example.com"),
        ({"hd": "sub.example.com"}, "only accounts of example.com"),
        ({"hd": None}, "only accounts of example.com"),
        ({"groups": "data"}, "none of your groups"),
        ({"groups": [["data"]]}, "none of your groups"),
    ],
)
def test_what_a_provider_says_is_believed_only_if_all_of_it_holds(
    provider: AProvider, claims: dict[str, Any], says: str
) -> None:
    provider.claims |= claims
    provider.claims = {k: v for k, v in provider.claims.items() if not (k in claims and v is None)} | {
        k: v for k, v in claims.items() if v is not None or k in ("exp", "nonce", "sub")
    }
    with pytest.raises(DefinitionError, match=says):
        attempt(provider, OidcLogin(settings_for(provider)))


def test_a_token_that_another_key_signed_is_none(provider: AProvider) -> None:
    provider.signer = RSAKey.generate_key(2048, {"kid": "one"})
    with pytest.raises(DefinitionError, match="does not hold"):
        attempt(provider, OidcLogin(settings_for(provider)))


def test_an_attempt_is_used_once_by_the_browser_that_began_it(provider: AProvider) -> None:
    login = OidcLogin(settings_for(provider))
    begun, other = login.begin("http://x/back"), login.begin("http://x/back")
    state, code = provider.authorize(begun.address)
    with pytest.raises(DefinitionError, match="not begun here"):
        login.finish(state, other.state, code)
    with pytest.raises(DefinitionError, match="not begun here"):
        login.finish(state, state, code)  # the first try has ended it
    with pytest.raises(DefinitionError, match="not begun here"):
        login.finish("", "", code)


def test_a_code_of_another_attempt_does_not_fit_its_verifier(provider: AProvider) -> None:
    login = OidcLogin(settings_for(provider))
    mine, theirs = login.begin("http://x/back"), login.begin("http://x/back")
    _, stolen = provider.authorize(theirs.address)
    with pytest.raises(DefinitionError, match="not signed you in"):
        login.finish(mine.state, mine.state, stolen)
    assert provider.refused == ["wrong verifier"]


def test_a_provider_that_says_it_is_another_one_is_not_asked_further(provider: AProvider) -> None:
    provider.says_it_is = "https://evil.example"
    with pytest.raises(WorldError, match="says that it is"):
        OidcLogin(settings_for(provider)).begin("http://x/back")


def test_nobody_becomes_a_local_user_by_having_their_name_elsewhere(tmp_path: Path) -> None:
    from partita.engine.access import SignInElsewhere

    desk = Desk(tmp_path)
    desk.user("ann@example.com", ("*", "admin"), password="$argon2id$")
    with pytest.raises(DefinitionError, match="does not sign in this way"):
        desk.ask(SignInElsewhere("ann@example.com", "ann@example.com", (("*", "viewer"),), "i", b"d", 2e9))


def test_the_application_does_not_start_with_a_route_that_declares_nothing() -> None:
    with pytest.raises(TypeError, match="declares no known permission"):
        route("GET", "/free", permission="", summary="x")
