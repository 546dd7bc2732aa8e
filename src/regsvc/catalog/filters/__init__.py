"""Search: checked expressions become SQL with parameters; nothing is ever filtered row by row in Python."""

from regsvc.catalog.filters.kinds import BUILDS, MODELS, VERSIONS, Kind
from regsvc.catalog.filters.query import Order, Query, find_order

__all__ = ["BUILDS", "MODELS", "VERSIONS", "Kind", "Order", "Query", "find_order"]
