"""Which values of a metric are the better ones: as defined for its model, else as its name suggests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from regsvc.catalog import definitions, requests
from regsvc.catalog.database import Catalog, Reader, Transaction
from regsvc.catalog.requests import Request
from regsvc.content.comparison import Direction, direction_of
from regsvc.refs import ModelName
from regsvc.service.checks import check_key
from regsvc.service.limits import Limits


class Directions:
    """What `MetricService` does with definitions."""

    def __init__(self, catalog: Catalog, limits: Limits):
        self._catalog = catalog
        self._limits = limits

    def define(self, model: ModelName, key: str, direction: Direction, request: Request) -> None:
        """Errors as DefineMetric documents."""
        check_key(key, self._limits)

        def define(tx: Transaction) -> None:
            if requests.replay(tx, request) is None:
                definitions.define(tx, model, key, direction)
                requests.remember(tx, request, model.wire)

        self._catalog.write(define)

    def list(self, model: ModelName) -> Mapping[str, Direction]:
        """What was defined, by key. Raises `NotFound`."""
        return self._catalog.read(lambda db: definitions.of_model(db, model))


def directions(db: Reader, model: ModelName, keys: Iterable[str]) -> dict[str, Direction]:
    """Of metrics of a model, by key. Raises `NotFound`."""
    defined = definitions.of_model(db, model)
    return {key: defined.get(key) or direction_of(key) for key in keys}
