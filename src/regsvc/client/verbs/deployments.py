"""Deployments: followers and their inventory."""

from __future__ import annotations

from collections.abc import Iterator

from regsvc import refs
from regsvc.client import deployments
from regsvc.client.connection import Connection
from regsvc.client.deployments import Deployment
from regsvc.client.verbs.connections import Connections
from regsvc.errors import NameInvalid


class Deployments(Connections):
    """Those methods of `Client`."""

    def deployments(self, of: str = "") -> Iterator[Deployment]:
        """Who follows what and serves what: of all, a `namespace/`, a model or an alias, by alias and name."""
        if of.endswith("/"):
            return deployments.list_deployments(self._connection(None), f"namespaces/{of[:-1]}")
        if not of:
            return deployments.list_deployments(self._connection(None), "namespaces/-")
        reference = refs.parse_reference(of)
        version = reference.version
        if version.alias is not None:
            parent = refs.AliasName(version.model, version.alias).wire
        elif version == refs.VersionRef(version.model):
            parent = version.model.wire
        else:
            raise NameInvalid(f"'{of}' names a version; a model or an alias is expected", name=of)
        return deployments.list_deployments(self._connection(reference.server), parent)

    def forget_deployment(self, name: str) -> None:
        """Forget a follower that is gone for good, `team/fraud/deployments/web-1`. Raises `DeploymentAlive`."""
        model, found, deployment = name.partition("/deployments/")
        if not found:
            raise NameInvalid(f"'{name}' is no deployment: [NAMESPACE/]MODEL/deployments/NAME", name=name)
        owner = refs.DeploymentName(refs.parse_model(model), refs.check_deployment(deployment))
        deployments.forget(self._connection(None), owner)

    def connection_of(self, server: str | None) -> Connection:
        """The connection to a server, None for this client's own; for what is built on the wire."""
        return self._connection(server)
