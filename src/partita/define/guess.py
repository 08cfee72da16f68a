"""What the user may have meant: the nearest of the known names."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint that names the nearest known word, or lists them when they are few.

    >>> did_you_mean("extrct", ["extract", "load"])
    'did you mean `extract`?'
    """
    from difflib import get_close_matches

    names = sorted(set(known))
    near = get_close_matches(word, names, n=1, cutoff=0.6)
    if not near:
        lowered = {name.lower(): name for name in names}
        near = [lowered[m] for m in get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)]
    if near:
        return f"did you mean `{near[0]}`?"
    if 0 < len(names) <= 12:
        return "there is " + ", ".join(f"`{name}`" for name in names)
    return None
