"""How the nouns' files reach a database: by named statements of `sql/`, to read with a reader and to write inside a commit.

Rule: who asks names a statement and gives its parameters; nobody puts SQL together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from partita.store.database import Params, Row


class Fetching(Protocol):
    """A reader of any store over SQL."""

    def fetch(self, name: str, params: Params = ()) -> list[Row]:
        """The rows of a named statement."""
        ...


Execute = Callable[[str, Params], list[Row]]
"""Runs a named statement with its parameters, in the transaction of a commit."""
