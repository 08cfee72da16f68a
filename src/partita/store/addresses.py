"""Where a store is: a SQLite file by its path or `sqlite://` address, a PostgreSQL database by its address.

Rule: text only; nothing is opened. What is shown to people has no password in it.
"""

from __future__ import annotations

import re
from pathlib import Path

from partita.errors import DefinitionError
from partita.settings import STORE_ADDRESSES

_POSTGRES = ("postgresql://", "postgres://")
_SQLITE = "sqlite://"
# The folder of a store that has none.
NOWHERE = Path("/nonexistent")


def is_postgres(address: str) -> bool:
    """Whether an address is one of PostgreSQL."""
    return address.startswith(_POSTGRES)


def checked(address: str) -> str:
    """The address, if it is one. Raises `DefinitionError`."""
    if address and not address.startswith(STORE_ADDRESSES):
        raise DefinitionError(
            f"{shown(address)} is no address of a store",
            hint="postgresql://user@host/database, or sqlite:///path/to/partita.db",
        )
    return address


def file_of(address: str) -> Path:
    """The file of a `sqlite://` address.

    >>> file_of("sqlite:///srv/partita.db")
    PosixPath('/srv/partita.db')
    """
    return Path(address.removeprefix(_SQLITE))


def shown(address: str) -> str:
    """An address for people: without its password.

    >>> shown("postgresql://ann:secret@db.example/partita")
    'postgresql://ann@db.example/partita'
    """
    bare = re.sub(r"(://[^/:@?]*):[^@/]*@", r"\1@", address)
    return re.sub(r"([?&])(password|sslpassword)=[^&]*", r"\1\2=...", bare)
