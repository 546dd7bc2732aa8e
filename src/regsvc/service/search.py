"""Search: expressions of CEL over versions, builds and models."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cel_expr_python import cel

from regsvc.catalog import builds, models, versions
from regsvc.catalog.database import Catalog, Reader, TooSlow
from regsvc.catalog.filters import BUILDS, MODELS, VERSIONS, Kind, Query, find_order
from regsvc.catalog.filters.kinds import Type
from regsvc.catalog.filters.query import Scope
from regsvc.catalog.versions import Version
from regsvc.content.expression import Node, Unsupported, read_checked, size_of
from regsvc.errors import FilterInvalid, FilterTooCostly, InvalidArgument, ResourceExhausted
from regsvc.service.builds import BuildView, view_of
from regsvc.service.checks import record_size
from regsvc.service.limits import Limits
from regsvc.service.paging import Page, Pager, PageRequest
from regsvc.service.registry import ModelView, model_view

T = TypeVar("T")

_ERROR = re.compile(r"<input>:(\d+):(\d+): (.*)")
_MAX_DEPTH = 60


@dataclass(frozen=True)
class Search:
    """What is asked."""

    filter: str
    order_by: str
    scope: Scope
    page: PageRequest


class Searcher:
    """What `SearchService` does."""

    def __init__(self, catalog: Catalog, pager: Pager, limits: Limits):
        self._catalog = catalog
        self._pager = pager
        self._limits = limits

    def versions(self, search: Search) -> Page[Version]:
        """Errors as Search documents."""
        return self._search(VERSIONS, search, versions.get, lambda found: record_size(found.metadata))

    def builds(self, search: Search) -> Page[BuildView]:
        """Errors as Search documents."""

        def get(db: Reader, build_id: int) -> BuildView:
            return view_of(db, builds.get(db, build_id))

        return self._search(BUILDS, search, get, lambda found: record_size(found.metadata))

    def models(self, search: Search) -> Page[ModelView]:
        """Errors as Search documents."""

        def get(db: Reader, model_id: int) -> ModelView:
            return model_view(db, models.get(db, model_id))

        return self._search(MODELS, search, get, lambda found: len(found.model.description) + 500)

    def _search(
        self, kind: Kind, search: Search, get: Callable[[Reader, int], T], weigh: Callable[[T], int]
    ) -> Page[T]:
        order = find_order(kind, search.order_by)
        if order is None:
            known = ", ".join(
                [*kind.orders, *(f"{each}.KEY" for each in ("metrics", "params") if each in kind.maps)]
            )
            raise InvalidArgument(
                f"'{search.order_by[:60]}' is no order; known are {known}, with desc behind"
            )
        node = compiled(kind, search.filter, self._limits) if search.filter.strip() else None
        try:
            query = Query(kind, node, search.scope, order)
        except Unsupported as error:
            raise _invalid(search.filter, str(error), error.position) from None

        def fetch(after: list[object] | None, limit: int) -> list[tuple[list[object], T]]:
            def read(db: Reader) -> list[tuple[list[object], T]]:
                key = None if after is None else (after[0], int(str(after[1])))
                rows = query.page(db, key, limit)
                return [([value, row_id], get(db, row_id)) for value, row_id in rows]

            return self._catalog.read_within(self._limits.search_seconds, read)

        scope = "\0".join(
            (kind.name, search.filter, search.order_by, search.scope.namespace, search.scope.model)
        )
        try:
            page = self._pager.page(
                search.page, f"search:{scope}", None, fetch, lambda item: item[0], lambda item: weigh(item[1])
            )
        except TooSlow:
            seconds = self._limits.search_seconds
            raise FilterTooCostly(
                f"the search takes longer than {seconds:g} s; add a condition that fewer match", limit=seconds
            ) from None
        return Page([item for _, item in page.items], page.next_token)


def compiled(kind: Kind, text: str, limits: Limits) -> Node:
    """The checked tree of an expression of type bool. Raises `FilterInvalid`, `ResourceExhausted`."""
    if len(text.encode("utf-8", "replace")) > limits.max_filter_bytes:
        raise ResourceExhausted(
            f"a filter of more than {limits.max_filter_bytes} bytes", limit=limits.max_filter_bytes
        )
    if max(_depths(text)) > _MAX_DEPTH:
        raise _invalid(text, f"more than {_MAX_DEPTH} parentheses within each other", 0)
    try:
        expression = _environment(kind.name).compile(text)
    except RuntimeError as error:
        found = _ERROR.search(str(error))
        if found is None:
            raise FilterInvalid("the filter cannot be read", line=1, column=1) from None
        line, column, message = found.groups()
        raise FilterInvalid(f"line {line}, column {column}: {message}", line=line, column=column) from None
    if expression.return_type().name() not in ("bool", "BOOL", "dyn", "DYN"):
        raise _invalid(text, "a filter is a condition", 0)
    try:
        node = read_checked(expression.serialize())
    except Unsupported as error:
        raise _invalid(text, str(error), error.position) from None
    if size_of(node) > limits.max_filter_nodes:
        raise _invalid(text, f"more than {limits.max_filter_nodes} operators, names and literals", 0)
    return node


def _depths(text: str) -> list[int]:
    """How deep brackets go, position by position; strings may count, too."""
    depths, depth = [0], 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        depths.append(depth)
    return depths


def _invalid(text: str, message: str, position: int) -> FilterInvalid:
    before = text[:position]
    line, column = before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1
    return FilterInvalid(f"line {line}, column {column}: {message}", line=line, column=column)


@functools.cache
def _environment(name: str) -> cel.Env:
    """What the checker knows of a kind."""
    kind = {each.name: each for each in (VERSIONS, BUILDS, MODELS)}[name]
    types = {
        Type.NUMBER: cel.Type.DYN,  # so that an int literal compares with a double
        Type.STRING: cel.Type.STRING,
        Type.DIGEST: cel.Type.STRING,
        Type.TIMESTAMP: cel.Type.TIMESTAMP,
    }
    anything = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    strings = cel.Type.Map(cel.Type.STRING, cel.Type.STRING)
    variables = {field: types[column.type] for field, column in kind.columns.items()}
    for field, table in kind.maps.items():
        variables[field] = strings if table.fields["value"].type is Type.STRING else anything
    for field, table in kind.lists.items():
        variables[field] = cel.Type.List(cel.Type.STRING if "" in table.fields else anything)
    variables |= dict.fromkeys(kind.records, strings)
    functions = []
    if kind.text:
        overload = cel.Overload("text_string", cel.Type.BOOL, [cel.Type.STRING])
        functions.append(cel.FunctionDecl("text", [overload]))
    return cel.NewEnv(variables=variables, functions=functions)
