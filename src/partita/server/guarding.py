"""What the server asks of whoever decides who may: the seam to `server/access.py`.

Rule: the guard is called for every request, before anything of it is read but its head; nothing is exempt by its path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from partita.core.permissions import Principal


class Incoming(msgspec.Struct, frozen=True):
    """The head of a request. `headers` have lower-case names; the first of a name counts, but `cookie` is joined.

    `permission` is what its route declares ("" = no route has this path: the guard still checks host and origin).
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    address: str
    permission: str
    # "GET /runs/{run}", as in the audit; "" = none.
    route: str = ""
    https: bool = False


class Guard(Protocol):
    """Who may. Methods are called in threads of the server, several at once."""

    def admit(self, incoming: Incoming) -> Principal:
        """Who asks. Raises `problems.Refused`: 421 for a foreign host, 403 for a foreign origin or a permission that the
        principal has in no namespace, 401 for one who must sign in first.
        """
        ...

    def may(self, principal: Principal, permission: str, namespace: str) -> bool:
        """Whether the principal may do this in the namespace of the stored row."""
        ...

    def answered(
        self,
        incoming: Incoming,
        principal: Principal | None,
        status: int,
        *,
        namespace: str = "",
        object: str = "",
        audited: bool = False,
    ) -> None:
        """A request was answered: changes, and what was denied, are for the audit.

        Not called for what was read. `audited`: the engine has put it there, in the commit of the change.
        """
        ...
