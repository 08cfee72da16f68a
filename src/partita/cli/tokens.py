"""`partita tokens`: what programs show to be let in, and the link with which a browser is, once.

Rule: a token is printed when it is made, and never again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from partita.cli import options, project, terminal
from partita.cli.parsing import Argument, Option
from partita.cli.tables import Column, print_table
from partita.errors import DefinitionError
from partita.store import opening

if TYPE_CHECKING:
    from partita.settings import Settings
    from partita.store.access import TokenRow

_DAYS = 90


def tokens(json: options.Json = False, folder: options.Project = None) -> int:
    """List tokens that hold: whose they are, what they may do, until when."""
    from partita.server import access_objects

    rows = _rows(project.settings_of(folder))
    shown = [access_objects.token(row) for row in rows]
    if json:
        import msgspec

        terminal.print_json([msgspec.to_builtins(token) for token in shown])
        return 0
    if not shown:
        terminal.note("there are no tokens")
        terminal.hint("make one: partita tokens make NAME --scope operator")
        return 0
    columns = (Column("id"), Column("name", flexible=True), Column("of"), Column("scopes"), Column("until"))
    cells = [[t.id, t.name, t.owner or "this machine", ", ".join(t.scopes), (t.expires_at or "")[:10]] for t in shown]
    print_table(terminal.out(), columns, cells)
    return 0


def tokens_make(
    name: Annotated[str, Argument("NAME", "What it is for, such as ci")],
    scope: Annotated[
        list[str] | None,
        Option(("--scope",), "A role or permission: viewer, report, sales:operate (repeat it)", "SCOPE"),
    ] = None,
    days: Annotated[int, Option(("--days",), "It holds so long; 0 = until it is revoked", "N", least=0)] = _DAYS,
    user: Annotated[str, Option(("--user",), "Of this user: it may do no more than they may", "NAME")] = "",
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Make a token and print it: once, here."""
    from partita.cli.changing import change, me
    from partita.cli.users import _grants
    from partita.engine.access import IssueToken
    from partita.server.bearers import new_token

    settings = project.settings_of(folder)
    now = time.time()
    bearer = new_token(now)
    expires_at = now + days * 86_400.0 if days else None
    request = IssueToken(bearer.id, bearer.digest, user, name, _grants(scope or []), me(), expires_at)
    change(settings, request, "tokens.make", f"token:{bearer.id}")
    if json:
        terminal.print_json({"id": bearer.id, "text": bearer.text})
        return 0
    terminal.out().line(bearer.text)
    terminal.note(f"token {name} is shown this once; its id is {bearer.id}")
    return 0


def tokens_revoke(
    id: Annotated[str, Argument("ID", "Of the token")],
    folder: options.Project = None,
) -> int:
    """Let a token hold no more, from this moment on."""
    from partita.cli.changing import change, me
    from partita.engine.access import RevokeToken

    if not change(project.settings_of(folder), RevokeToken(id, me()), "tokens.revoke", f"token:{id}"):
        raise DefinitionError(f"there is no token {id!r} that holds", hint="partita tokens lists them")
    terminal.out().line(("✓ ", "green"), f"token {id} holds no more")
    return 0


def tokens_link(
    user: Annotated[str, Option(("--user",), "Sign in as this user, else as the user of this machine", "NAME")] = "",
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Print a link that signs a browser in, once, within a quarter of an hour."""
    from partita.cli.changing import change, me
    from partita.engine.access import IssueToken
    from partita.server.bearers import LINK_S, new_link

    settings = project.settings_of(folder)
    address = _address(settings)
    now = time.time()
    bearer = new_link(now)
    scopes = () if user else (("*", "admin"),)
    request = IssueToken(bearer.id, bearer.digest, user, "link", scopes, me(), now + LINK_S, "link")
    change(settings, request, "tokens.link", f"token:{bearer.id}")
    link = f"{address}/#link={bearer.text}"
    if json:
        terminal.print_json({"link": link})
        return 0
    terminal.out().line(link)
    terminal.note("it works once, within 15 minutes")
    return 0


def _address(settings: Settings) -> str:
    """Where the service that runs here answers."""
    import json as json_module

    try:
        told = json_module.loads(settings.home.service.read_text(encoding="utf-8"))
        address = told["address"]
    except (OSError, ValueError, KeyError, TypeError):
        address = ""
    if not isinstance(address, str) or not address:
        raise DefinitionError("no service is at work here", hint="start it: partita up")
    return address


def _rows(settings: Settings) -> list[TokenRow]:
    from partita.store import access

    if not opening.exists(settings.home):
        return []
    reader = project.open_memory(settings)
    found: list[TokenRow] = []
    try:
        while page := access.tokens(reader, after=found[-1].id if found else "", limit=500):
            found += page
    finally:
        reader.close()
    return [row for row in found if row.holds(time.time())]
