"""Changes of users, tokens and secrets from the command line: asked for as the machine's user, with their entry in the audit.

Rule: against a running service or straight at the folder, the same request with the same entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from partita.cli.asking import answer
from partita.cli.project import user_name
from partita.engine.access import Done, Entry, carried

if TYPE_CHECKING:
    import msgspec

    from partita.settings import Settings


def me() -> str:
    """As whom the command line asks."""
    return f"local:{user_name()}"


def change(settings: Settings, request: msgspec.Struct, action: str, object: str, namespace: str = "") -> bool:
    """Have it done; whether there was anything to change. Raises `PartitaError`."""
    from partita.store import opening

    if not opening.exists(settings.home):
        # What is kept here may come before the first run.
        opening.open_store(settings.home).close()
    return answer(settings, carried(request, Entry(me(), action, object, namespace)), Done).changed
