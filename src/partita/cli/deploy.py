"""`partita deploy` and `partita deployments`: bring a project to a server, go back, and see which version runs where.

Rule: asked of a server over its API, also of the one on this machine; what it refuses is told with its problems per file.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from partita.cli import options, project, terminal
from partita.cli.parsing import Argument, Option
from partita.cli.tables import Column, print_table
from partita.cli.words import many
from partita.errors import DefinitionError

if TYPE_CHECKING:
    from partita.cli.styled import Span
    from partita.client import Client
    from partita.executors.bundle import BundledFile

_SHOWN = 20
_FAILED = 1

To = Annotated[str, Option(("--to",), "The server (default: PARTITA_URL, or the service of this folder)", "URL")]
Token = Annotated[str, Option(("--token",), "Whose permission (default: PARTITA_TOKEN)", "TOKEN")]


def deploy(
    version: Annotated[int, Argument("NO", "With --rollback: the deployment to go back to")] = 0,
    to: To = "",
    token: Token = "",
    name: Annotated[str, Option(("--name",), "Only if the project is called so", "NAME")] = "",
    reason: Annotated[str, Option(("--reason",), "Why, for whoever looks later", "TEXT")] = "",
    rollback: Annotated[bool, Option(("--rollback",), "Serve the version before again, or that of NO")] = False,
    anyway: Annotated[
        bool, Option(("--anyway",), "Also if the server lacks packages, or another has deployed")
    ] = False,
    dry: Annotated[bool, Option(("--dry-run",), "Say what would change, and change nothing")] = False,
    json: options.Json = False,
    folder: options.Project = None,
) -> int:
    """Bring this project to a server: its code, its settings and its lock, as one bundle.

    It is loaded there first: if anything is wrong with it, the problems are told and what was served goes on. Runs that are under
    way end on the version that they began with.
    """
    from partita.client import Client
    from partita.define.project import read_config

    if version and not rollback:
        raise DefinitionError(f"{version} is for going back", hint=f"partita deploy --rollback {version}")
    settings = project.settings_of(folder)
    config = read_config(settings.project)
    if name and name != config.name:
        raise DefinitionError(
            f"{settings.project} is project {config.name!r}, not {name!r}",
            hint=f"name it in its pyproject.toml: [tool.partita] name = {name!r}",
        )
    with Client(to or None, token or None) as client:
        if rollback:
            begun = client.deployments.rollback(config.name, version or None, reason=reason)
            return _followed(client, begun, json=json)
        return _deployed(client, settings.project, config.name, config.namespace, reason, anyway, dry, json)


def deployments(
    name: Annotated[str, Argument("PROJECT", "All deployments of this one")] = "",
    to: To = "",
    token: Token = "",
    json: options.Json = False,
) -> int:
    """Which version of each project a server serves: since when, by whom, with which lock."""
    from partita.client import Client

    with Client(to or None, token or None) as client:
        found = client.deployments.of(name) if name else client.deployments.list()
    if json:
        terminal.print_json(found)
        return 0
    if not found:
        terminal.note("nothing is deployed there")
        terminal.hint("bring a project: partita deploy --to URL")
        return 0
    several = len({each["namespace"] for each in found}) > 1
    columns = (
        Column("project"),
        *([Column("namespace")] if several else []),
        Column("no", right=True),
        Column("state"),
        Column("version"),
        Column("bundle"),
        Column("since"),
        Column("by"),
        Column("lock", flexible=True),
        Column("why", flexible=True),
    )
    print_table(terminal.out(), columns, [_cells(each, several) for each in found])
    return 0


def _deployed(
    client: Client, folder: Path, name: str, namespace: str, reason: str, anyway: bool, dry: bool, json: bool
) -> int:
    from partita.executors import bundle

    with tempfile.TemporaryDirectory(prefix="partita-deploy-") as place:
        packed = bundle.pack(folder, into=Path(place))
        data = packed.path.read_bytes()
    served = next((d for d in client.deployments.list() if d["project"] == name), None)
    if served is not None and served["digest"] == packed.digest and served["served"]:
        if json:
            terminal.print_json(served)
        else:
            terminal.out().line(("✓ ", "green"), f"{name} is served as it is here: deployment {served['no']}")
        return 0
    if not json:
        _print_changes(name, bundle.contents(data), _files(client, served), packed.size)
    if dry:
        if json:
            terminal.print_json({"project": name, "digest": packed.digest, "size": packed.size, "served": served})
        return 0
    over = None if anyway else served["digest"] if served is not None else ""
    begun = client.deployments.bring(
        name, packed.digest, data, namespace=namespace, over=over, reason=reason, anyway=anyway
    )
    return _followed(client, begun, json=json)


def _files(client: Client, served: dict[str, Any] | None) -> dict[str, str] | None:
    """What lies in what is served, or None if that cannot be known."""
    from partita.client import NotFound
    from partita.errors import NotAllowed

    if served is None:
        return {}
    try:
        return {file["path"]: file["sha256"] for file in client.deployments.files(served["project"], served["no"])}
    except (NotFound, NotAllowed):
        return None


def _print_changes(name: str, new: list[BundledFile], old: dict[str, str] | None, size: int) -> None:
    out = terminal.out()
    out.line((name, "bold"), f": {many(len(new), 'file')}, {size:,} bytes packed")
    if not old:
        out.line("  ", "a new project there" if old == {} else "its files there cannot be compared")
        return
    names = {file.path for file in new}
    changes: list[tuple[str, Span]] = [(f.path, ("+ ", "green")) for f in new if f.path not in old]
    changes += [(f.path, ("~ ", "amber")) for f in new if f.path in old and old[f.path] != f.sha256]
    changes += [(path, ("- ", "red")) for path in old if path not in names]
    for path, sign in sorted(changes)[:_SHOWN]:
        out.line("  ", sign, path)
    if len(changes) > _SHOWN:
        out.line(f"  and {len(changes) - _SHOWN} more")


def _followed(client: Client, begun: dict[str, Any], *, json: bool) -> int:
    """Wait for the end of a deployment, and say how it went."""
    if not json:
        terminal.note(f"deployment {begun['no']} of {begun['project']} is tried ...")
    ended = client.deployments.wait(begun["project"], begun["no"])
    if json:
        terminal.print_json(ended)
        return 0 if ended["served"] else _FAILED
    out = terminal.out()
    for line in ended["warnings"]:
        out.line(("! ", "amber"), line)
    if ended["served"]:
        out.line(("✓ ", "green"), (ended["project"], "bold"), f" is served with version {ended['code']}")
        return 0
    head, _, hint = ended["error"].partition("\n  hint: ")
    out.line(("■ ", "red"), f"deployment {ended['no']} is refused: {head}")
    for problem in ended["problems"]:
        where = f"{problem['file']}:{problem['line']}: " if problem.get("file") else ""
        out.line(("  ■ ", "red"), where + problem["message"].partition("\n")[0])
        if problem.get("hint"):
            out.line(("    hint: ", "accent"), problem["hint"])
    terminal.hint(hint or "what was served before goes on")
    return _FAILED


def _cells(found: dict[str, Any], several: bool) -> list[Any]:
    state = "served" if found["served"] else found["state"]
    since = (found["ended_at"] or found["at"] or "")[:16].replace("T", " ")
    why = found["error"].partition("\n")[0] or found["reason"]
    return [
        found["project"],
        *([found["namespace"]] if several else []),
        str(found["no"]),
        (state, "green" if found["served"] else "red" if state == "refused" else "dim"),
        found["code"],
        found["digest"][:12],
        since,
        found["by"],
        found["lock"],
        why,
    ]
