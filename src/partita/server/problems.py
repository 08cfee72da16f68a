"""What went wrong, as `application/problem+json` (RFC 9457), and which of our errors is which status.

Rule: a problem says what, and what to do. It never says that something exists which the asker may not see.
"""

from __future__ import annotations

from typing import Final

import msgspec

from partita.errors import DefinitionError, LoadError, NotAllowed, PartitaError, StoreFull, WorldError
from partita.store.contract import OriginTaken

TITLES: Final = {
    400: "Malformed request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    421: "Wrong host",
    422: "Not valid",
    429: "Too many requests",
    500: "A bug of ours",
    503: "Not available now",
    507: "No space left",
}


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem: `title` is that of its status, `detail` says what is wrong here, `hint` what to do about it."""

    type: str
    title: str
    status: int
    detail: str = ""
    hint: str = ""
    # Of a run that exists already under the same key or origin.
    run: str = ""


class Refused(Exception):
    """A request is answered with a problem. Raise it from a guard or a route. `audited`: it has its entry already."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        hint: str = "",
        run: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        audited: bool = False,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers
        self.audited = audited
        title = TITLES.get(status, "Refused")
        self.problem = ProblemDetails(
            type=f"urn:partita:problem:{title.lower().replace(' ', '-')}",
            title=title,
            status=status,
            detail=detail,
            hint=hint,
            run=run,
        )


def not_found(what: str, name: str = "") -> Refused:
    """Not there, or not for the asker: the same answer."""
    return Refused(404, f"there is no {what} {name[:200]!r}" if name else f"there is no such {what}")


def refusal_of(error: PartitaError) -> Refused:
    """The answer that an error of ours stands for."""
    hint = error.hint or ""
    if isinstance(error, OriginTaken):
        return Refused(409, error.message, run=error.run)
    if isinstance(error, DefinitionError):
        return Refused(422, error.message, hint=hint)
    if isinstance(error, NotAllowed):
        return Refused(403, error.message, hint=hint)
    if isinstance(error, StoreFull):
        return Refused(507, error.message, hint=hint)
    if isinstance(error, LoadError):
        return Refused(409, error.message, hint=hint)
    if isinstance(error, WorldError):
        return Refused(503, error.message, hint=hint, headers=(("Retry-After", "1"),))
    return Refused(409, error.message, hint=hint)
