"""What a name may look like.

Rule: names are typed in shells, selections and conditions, so they hold letters, digits and `_ - . /` only.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"\w[\w./-]*")
_LONGEST = 200


def name_problem(name: object) -> str | None:
    """What is wrong with a name, or None.

    >>> name_problem("raw/flights") is None, name_problem("a b")
    (True, "the name 'a b' has characters that no name may have: letters, digits and _ - . / are allowed")
    """
    if not isinstance(name, str):
        return f"a name must be a string, not {type(name).__name__}"
    if not name:
        return "a name must not be empty"
    if len(name) > _LONGEST:
        return f"a name must not be longer than {_LONGEST} characters: {name[:40]!r}..."
    # \w takes every letter of every script, but a lone surrogate is no letter and NUL is none either.
    if _NAME.fullmatch(name) is None or not name.isprintable():
        return f"the name {name!a} has characters that no name may have: letters, digits and _ - . / are allowed"
    return None


def clean(text: str) -> str:
    """The text without what cannot be written as UTF-8 (lone surrogates), each in its escaped form.

    >>> clean("a\\ud800")
    'a\\\\ud800'
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
