"""Search: checked expressions become SQL with parameters; nothing is ever filtered row by row in Python."""

from regsvc.catalog.filters.kinds import Kind
from regsvc.catalog.filters.known import BUILDS, DATASETS, KINDS, MODELS, VERSIONS
from regsvc.catalog.filters.orders import Order, find_order, known_orders
from regsvc.catalog.filters.query import Found, Query, Scope

__all__ = [
    "BUILDS",
    "DATASETS",
    "KINDS",
    "MODELS",
    "VERSIONS",
    "Found",
    "Kind",
    "Order",
    "Query",
    "Scope",
    "find_order",
    "known_orders",
]
