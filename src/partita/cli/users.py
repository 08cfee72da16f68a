"""`partita users`: who may sign in, and their roles.

Rule: passwords are typed unseen or come over stdin, and leave this process as Argon2id hashes only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from partita.cli import options, project, terminal
from partita.cli.parsing import Argument, Option
from partita.cli.tables import Column, print_table
from partita.errors import DefinitionError
from partita.store import opening

if TYPE_CHECKING:
    from partita.core.permissions import Grant
    from partita.settings import Settings
    from partita.store.access import UserRow

Name = Annotated[str, Argument("NAME", "The user")]
Roles = Annotated[
    list[str] | None,
    Option(("--role",), "viewer, operator, author, admin; in one namespace: sales:operator (repeat it)", "ROLE"),
]
Email = Annotated[str | None, Option(("--email",), "For those who sign in elsewhere, and for messages", "ADDRESS")]


def users(json: options.Json = False, folder: options.Project = None) -> int:
    """List users and their roles."""
    from partita.server import access_objects

    settings = project.settings_of(folder)
    rows = _rows(settings)
    if json:
        import msgspec

        terminal.print_json([msgspec.to_builtins(access_objects.user(row)) for row in rows])
        return 0
    if not rows:
        terminal.note("there are no users: whoever has the link of `partita up` may do all")
        terminal.hint("add one: partita users add NAME --role operator")
        return 0
    columns = (Column("name", flexible=True), Column("roles"), Column("signs in"), Column("account"))
    shown = map(access_objects.user, rows)
    cells = [[u.name, ", ".join(u.roles), u.signs_in, "" if u.active else "closed"] for u in shown]
    print_table(terminal.out(), columns, cells)
    return 0


def users_add(name: Name, role: Roles = None, email: Email = None, folder: options.Project = None) -> int:
    """Add a user. Their password is asked for, or read from stdin."""
    roles = _grants(role or [])
    if not roles:
        raise DefinitionError(f"user {name} needs a role", hint="--role viewer, operator, author or admin")
    _set(name, folder, "users.add", password=_password(), roles=roles, email=email, must_be_new=True)
    terminal.out().line(("✓ ", "green"), f"user {name} may sign in")
    return 0


def users_set(
    name: Name,
    role: Roles = None,
    password: Annotated[bool, Option(("--password",), "Ask for a new password, or read it from stdin")] = False,
    email: Email = None,
    folder: options.Project = None,
) -> int:
    """Change a user; with --role, these are all roles. Whoever gets other rights is signed out everywhere."""
    roles = _grants(role) if role is not None else None
    if roles is None and not password and email is None:
        raise DefinitionError("nothing to change is said", hint="--role, --password or --email")
    _known(name, folder)
    _set(name, folder, "users.set", password=_password() if password else None, roles=roles, email=email)
    terminal.out().line(("✓ ", "green"), f"user {name} is changed")
    return 0


def users_close(name: Name, folder: options.Project = None) -> int:
    """Close an account: the user and their tokens get in no more. What they did stays under their name."""
    _known(name, folder)
    _set(name, folder, "users.close", active=False)
    terminal.out().line(("✓ ", "green"), f"the account of {name} is closed")
    return 0


def users_open(name: Name, folder: options.Project = None) -> int:
    """Open an account that was closed."""
    _known(name, folder)
    _set(name, folder, "users.open", active=True)
    terminal.out().line(("✓ ", "green"), f"the account of {name} is open")
    return 0


def _set(name: str, folder: options.Project, action: str, **changes: object) -> None:
    from partita.cli.changing import change, me
    from partita.engine.access import SetUser

    settings = project.settings_of(folder)
    change(settings, SetUser(name, me(), **changes), action, f"user:{name}", "*")  # type: ignore[arg-type]


def _known(name: str, folder: options.Project) -> None:
    if name not in {row.name for row in _rows(project.settings_of(folder))}:
        raise DefinitionError(f"there is no user {name!r}", hint="partita users lists them")


def _password() -> str:
    from partita.cli.secrets import asked_for
    from partita.server.passwords import hash_password

    return hash_password(asked_for("password: "))


def _grants(texts: list[str]) -> tuple[Grant, ...]:
    from partita.core.permissions import read_grant

    try:
        return tuple(read_grant(text) for text in texts)
    except ValueError as error:
        raise DefinitionError(str(error), hint="for example viewer, or sales:operator") from None


def _rows(settings: Settings) -> list[UserRow]:
    from partita.store import access

    if not opening.exists(settings.home):
        return []
    reader = project.open_memory(settings)
    found: list[UserRow] = []
    try:
        while page := access.users(reader, after=found[-1].name if found else "", limit=500):
            found += page
        return found
    finally:
        reader.close()
