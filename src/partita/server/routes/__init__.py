"""The routes, one file for each noun. Importing a file declares its routes."""

from __future__ import annotations

import pkgutil
from importlib import import_module


def declare() -> None:
    """Declare all routes. Raises `TypeError` for one that cannot be."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        import_module(f"{__name__}.{module.name}")
