"""Putting the dashboards where the public sees them.

Rule: what is public is changed page by page and whole, and only by what was looked at: a page that changed since is left out.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from dashboards import DASHBOARDS
from folders import Folders
from whole_files import write_whole


def pages_made(folders: Folders) -> list[dict[str, Any]]:
    """The pages that could be published: what each is called, how large, and whether the public has it already."""
    pages = [folders.dashboards / f"{name}.html" for name in DASHBOARDS]
    return [
        {
            "page": page.stem,
            "bytes": page.stat().st_size,
            "public": _digest(folders.public / page.name) == _digest(page),
            "digest": _digest(page),
        }
        for page in pages
        if page.exists()
    ]


def put_online(pages: list[dict[str, Any]], folders: Folders) -> list[str]:
    """Publish the pages as they were when they were looked at; which ones."""
    published = []
    for told in pages:
        page = folders.dashboards / f"{told['page']}.html"
        content = page.read_bytes()
        if hashlib.sha256(content).hexdigest()[:12] != told["digest"]:
            print(f"{page.name} was written again since it was looked at: left as it is")
            continue
        write_whole(folders.public / page.name, lambda temporary, content=content: temporary.write_bytes(content))
        published.append(told["page"])
    return published


def _digest(page: Path) -> str:
    return hashlib.sha256(page.read_bytes()).hexdigest()[:12] if page.exists() else ""
