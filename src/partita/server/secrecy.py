"""What is masked in what the web process shows of values and code: the secrets of a project that can be known here.

Rule: they are known to mask them and for nothing else; no function gives one out.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any

from partita.core.manifest import Manifest
from partita.errors import StoreError
from partita.settings import Home
from partita.values.sealing import KEY_VARIABLE
from partita.worker.masking import Masker
from partita.worker.secrets import SecretBook, Where

# One masker for each project; a secret that was known once stays masked.
_known: dict[tuple[str, str], tuple[Masker, SecretBook]] = {}
_lock = threading.Lock()


def mask_of(home: Home, manifest: Manifest | None) -> Callable[[str], str]:
    """Masks the secrets of a project in a text."""
    if manifest is None:
        return lambda text: text
    key = (str(home.root), manifest.project)
    with _lock:
        if key not in _known:
            where = Where(manifest.namespace, "", manifest.secret_sources, os.environ.get(KEY_VARIABLE, ""))
            _known[key] = (Masker(), SecretBook(home, where))
        masker, book = _known[key]
        declared = (os.environb.get(name.encode(), b"") for name in manifest.secrets)
        # What cannot be read now is masked by what was known before.
        with contextlib.suppress(StoreError):
            masker.add(*filter(None, declared), *book.known())
        return masker.text


def masked(value: Any, mask: Callable[[str], str]) -> Any:
    """Data as JSON with every text in it masked, names of fields too."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask(str(key)): masked(item, mask) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item, mask) for item in value]
    return value
