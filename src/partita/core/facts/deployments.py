"""Facts about deployments: bundles of projects that were brought to a server."""

from __future__ import annotations

from partita.core.facts.fact import FactBase


class DeploymentBegun(FactBase, frozen=True, array_like=True, tag="deployment_begun"):
    """Somebody brought a bundle, or asked for one that was there. `no` counts a project's deployments.

    `digest` is the bundle's; `rollback` says that it is an earlier one.
    """

    project: str
    no: int
    namespace: str
    digest: str
    size: int
    by: str
    reason: str = ""
    rollback: bool = False


class DeploymentTaken(FactBase, frozen=True, array_like=True, tag="deployment_taken"):
    """It was loaded well: it is what is to be served from now on. `warnings` are lines about its packages."""

    project: str
    no: int
    code: str
    lock: str = ""
    warnings: tuple[str, ...] = ()


class DeploymentRefused(FactBase, frozen=True, array_like=True, tag="deployment_refused"):
    """It cannot be served, and why; what was served before goes on. `problems` are packed."""

    project: str
    no: int
    error: str
    problems: bytes = b""


DeploymentFact = DeploymentBegun | DeploymentTaken | DeploymentRefused
