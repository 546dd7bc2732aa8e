"""The inventory of what runs where, by the leases of those who follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from regsvc.catalog import aliases, deployments, models, requests, versions
from regsvc.catalog.database import Catalog, Reader, Transaction, now_us
from regsvc.catalog.deployments import Deployment, Hello, Report
from regsvc.catalog.requests import Request
from regsvc.errors import InvalidArgument, NameInvalid
from regsvc.refs import AliasName, DeploymentName, ModelName, VersionRef
from regsvc.service.paging import Page, Pager, PageRequest

LEASES = (5, 3600)
"""Seconds, shortest and longest."""
DEFAULT_LEASE = 30
_HOST = 200
_ERROR = 4 << 10
_LABELS = 64
_LABEL = 250


@dataclass(frozen=True)
class Target:
    """What a follower shall serve."""

    version: VersionRef | None
    digest: bytes
    generation: int


class Deployments:
    """What `DeploymentService` does."""

    def __init__(self, catalog: Catalog, pager: Pager):
        self._catalog = catalog
        self._pager = pager

    def enter(self, hello: Hello, told: Report) -> int:
        """Note a follower; gives its id. Errors as Follow documents."""
        _check(hello)
        told = _checked(hello.name.model, told)

        def enter(tx: Transaction) -> int:
            deployment_id = deployments.enter(tx, hello)
            deployments.report(tx, deployment_id, told)
            return deployment_id

        return self._catalog.write(enter)

    def report(self, deployment_id: int, model: ModelName, told: Report) -> None:
        """Note what it says. Raises `NotFound`, `InvalidArgument`."""
        told = _checked(model, told)
        self._catalog.write(lambda tx: deployments.report(tx, deployment_id, told))

    def seen(self, deployment_id: int) -> None:
        """It is alive."""
        self._catalog.write(lambda tx: deployments.seen(tx, deployment_id))

    def target(self, name: AliasName) -> Target:
        """What an alias names now, which may be nothing. Raises `NotFound` (model)."""

        def read(db: Reader) -> Target:
            models.find_id(db, name.model)
            version_id = aliases.named(db, name)
            if version_id is None:
                return Target(None, b"", 0)
            version = versions.get(db, version_id)
            return Target(version.ref, version.digest, aliases.generation(db, name))

        return self._catalog.read(read)

    def page(self, parent: str | ModelName | AliasName, request: PageRequest) -> Page[Deployment]:
        """By alias and name. Raises `InvalidArgument`, `PageTokenInvalid`."""
        return self._pager.page(
            request,
            f"deployments {parent}",
            ["", "", "", ""],
            lambda after, limit: self._catalog.read(
                lambda db: deployments.page(db, parent, tuple(after), limit)
            ),
            lambda found: [
                found.name.model.namespace,
                found.name.model.model,
                found.alias.alias,
                found.name.deployment,
            ],
            lambda found: 500 + len(found.error) + sum(len(k) + len(v) for k, v in found.labels.items()),
        )

    def forget(self, name: DeploymentName, request: Request) -> None:
        """Errors as DeleteDeployment documents."""

        def forget(tx: Transaction) -> None:
            if requests.replay(tx, request) is None:
                deployments.forget(tx, name)
                requests.remember(tx, request, "")

        self._catalog.write(forget)

    @staticmethod
    def now() -> int:
        """By which leases are judged, in microseconds since 1970."""
        return now_us()


def _check(hello: Hello) -> None:
    if hello.name.model != hello.alias.model:
        raise NameInvalid(f"{hello.alias} is not an alias of {hello.name.model}", name=hello.alias.wire)
    _check_text("host", hello.host, _HOST)
    if not hello.host:
        raise InvalidArgument("a follower says which host it is on")
    _check_labels(hello.labels)
    shortest, longest = LEASES
    if not shortest <= hello.lease / 1_000_000 <= longest:
        raise InvalidArgument(f"a lease has {shortest} to {longest} seconds")


def _check_labels(labels: Mapping[str, str]) -> None:
    if len(labels) > _LABELS:
        raise InvalidArgument(f"{len(labels)} labels, at most {_LABELS}", limit=_LABELS)
    for key, value in labels.items():
        _check_text("label", key, _LABEL)
        _check_text("label", value, _LABEL)


def _check_text(what: str, text: str, most: int) -> None:
    if len(text.encode()) > most or not text.isprintable():
        raise InvalidArgument(f"a {what} has at most {most} bytes without control characters")


def _checked(model: ModelName, told: Report) -> Report:
    if told.version is not None and told.version.model != model:
        raise NameInvalid(f"{told.version} is not a version of {model}", name=told.version.wire)
    if len(told.error.encode()) > _ERROR:
        raise InvalidArgument(f"an error has at most {_ERROR} bytes", limit=_ERROR)
    return told
