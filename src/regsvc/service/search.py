"""Search: expressions of CEL over versions, builds, models and datasets."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from regsvc.catalog import builds, datasets, models, versions
from regsvc.catalog.database import Catalog, Reader, TooSlow
from regsvc.catalog.datasets import Dataset
from regsvc.catalog.filters import (
    BUILDS,
    DATASETS,
    KINDS,
    MODELS,
    VERSIONS,
    Found,
    Kind,
    Query,
    Scope,
    find_order,
    known_orders,
)
from regsvc.catalog.filters.kinds import Type
from regsvc.catalog.versions import Version
from regsvc.content.expression import Node, Unsupported, read_checked, size_of
from regsvc.errors import FilterInvalid, FilterTooCostly, InvalidArgument, ResourceExhausted
from regsvc.service.builds import BuildView, view_of
from regsvc.service.checks import record_size
from regsvc.service.filter_words import Suggest, nearest, plain_words
from regsvc.service.limits import Limits
from regsvc.service.paging import Page, Pager, PageRequest
from regsvc.service.registry import ModelView, model_view

T = TypeVar("T")

_ERROR = re.compile(r"<input>:(\d+):(\d+): (.*)")
_MAX_DEPTH = 60
_MAX_MESSAGE = 300
"""Characters of what the library says: it repeats names, however long, and headers are bounded."""
_SUGGESTING = 0.2
"""Seconds to look for what was meant by a name."""


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

    def datasets(self, search: Search) -> Page[Dataset]:
        """Errors as Search documents."""
        return self._search(DATASETS, search, datasets.get, lambda found: len(found.uri) + 300)

    def _search(
        self, kind: Kind, search: Search, get: Callable[[Reader, int], T], weigh: Callable[[T], int]
    ) -> Page[T]:
        order = find_order(kind, search.order_by)
        if order is None:
            raise InvalidArgument(
                f"{search.order_by[:60]!r} is no order; known are {', '.join(known_orders(kind))}, with desc behind"
            )
        if search.scope.name and search.scope.collection != kind.collection:
            raise InvalidArgument(f"{kind.name} are not searched within {search.scope.collection}")
        node = None
        if search.filter.strip():
            node = compiled(kind, search.filter, self._limits, lambda name: self._meant(kind, name))
        try:
            query = Query(kind, node, search.scope, order, self._pager.size(search.page))
        except Unsupported as error:
            raise invalid(search.filter, str(error), error.position) from None
        asked = [kind.name, search.filter, search.order_by, search.scope.namespace, search.scope.name]

        def read(db: Reader) -> Page[tuple[Found, T]]:
            return self._pager.page(
                search.page,
                f"search:{json.dumps(asked)}",
                None,
                lambda after, limit: [(row, get(db, row.id)) for row in query.rows(db, after, limit)],
                lambda item: item[0].key,
                lambda item: weigh(item[1]),
            )

        try:
            page = self._catalog.read_within(self._limits.search_seconds, read)
        except TooSlow:
            seconds = self._limits.search_seconds
            raise FilterTooCostly(
                f"the search takes longer than {seconds:g} s; add a condition that fewer match", limit=seconds
            ) from None
        return Page([item for _, item in page.items], page.next_token)

    def _meant(self, kind: Kind, name: str) -> str:
        """What may be meant by a name that is no field: the key of a map, or a field that is nearly called so."""
        order = find_order(kind, "")
        if order is None:
            return ""

        def read(db: Reader) -> str:
            for field in kind.maps:
                node = compiled(kind, f"{json.dumps(name)} in {field}", self._limits)
                if list(Query(kind, node, Scope(), order, 1).rows(db, None, 1)):
                    return f"{field}.{name}" if name.isidentifier() else f"{field}[{json.dumps(name)}]"
            return ""

        try:
            key = self._catalog.read_within(_SUGGESTING, read)
        except TooSlow:
            key = ""
        return key or nearest(name, variables(kind))


def compiled(kind: Kind, text: str, limits: Limits, suggest: Suggest | None = None) -> Node:
    """The checked tree of an expression of type bool. Raises `FilterInvalid`, `ResourceExhausted`."""
    return checked(
        _environment(kind.name), text, limits, suggest or (lambda name: nearest(name, variables(kind)))
    )[1]


def checked(environment: cel.Env, text: str, limits: Limits, suggest: Suggest) -> tuple[cel.Expression, Node]:
    """An expression of type bool, and its tree; of a name that is not known, `suggest` says what may be meant.

    Raises `FilterInvalid`, `ResourceExhausted`.
    """
    if len(text.encode("utf-8", "replace")) > limits.max_filter_bytes:
        raise ResourceExhausted(
            f"a filter of more than {limits.max_filter_bytes} bytes", limit=limits.max_filter_bytes
        )
    if max(_depths(text)) > _MAX_DEPTH:
        raise invalid(text, f"more than {_MAX_DEPTH} parentheses within each other", 0)
    try:
        expression = environment.compile(text)
    except RuntimeError as error:
        found = _ERROR.search(str(error))
        if found is None and "recursion" in str(error):
            raise invalid(text, "more than 32 operators or parentheses within each other", 0) from None
        if found is None:
            raise FilterInvalid("the filter cannot be read", line=1, column=1) from None
        line, column, message = found.groups()
        message = plain_words(text, _position(text, int(line), int(column)), message, suggest)[:_MAX_MESSAGE]
        raise FilterInvalid(f"line {line}, column {column}: {message}", line=line, column=column) from None
    if expression.return_type().name() not in ("bool", "BOOL", "dyn", "DYN"):
        raise invalid(text, "a filter is a condition", 0)
    try:
        node = read_checked(expression.serialize())
    except Unsupported as error:
        raise invalid(text, str(error), error.position) from None
    if size_of(node) > limits.max_filter_nodes:
        raise invalid(text, f"more than {limits.max_filter_nodes} operators, names and literals", 0)
    return expression, node


def _position(text: str, line: int, column: int) -> int:
    """How many characters are before a place, both counted from 1."""
    return sum(len(each) + 1 for each in text.split("\n")[: line - 1]) + column - 1


def _depths(text: str) -> list[int]:
    """How deep brackets go, position by position; strings may count, too."""
    depths, depth = [0], 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        depths.append(depth)
    return depths


def invalid(text: str, message: str, position: int) -> FilterInvalid:
    """The error of an expression, with line and column."""
    before = text[:position]
    line, column = before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1
    return FilterInvalid(f"line {line}, column {column}: {message}", line=line, column=column)


def variables(kind: Kind) -> dict[str, cel.Type]:
    """The types of a kind's fields."""
    types = {
        Type.BOOL: cel.Type.BOOL,
        Type.INT: cel.Type.DYN,  # so that an int literal compares with a double
        Type.STRING: cel.Type.STRING,
        Type.DIGEST: cel.Type.STRING,
        Type.TIMESTAMP: cel.Type.TIMESTAMP,
    }
    anything = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    strings = cel.Type.Map(cel.Type.STRING, cel.Type.STRING)
    found = {field: types[column.type] for field, column in kind.columns.items()}
    for field, table in kind.maps.items():
        found[field] = strings if table.fields["value"].type is Type.STRING else anything
    for field, table in kind.lists.items():
        found[field] = cel.Type.List(cel.Type.STRING if "" in table.fields else anything)
    return found | dict.fromkeys(kind.records, strings)


@functools.cache
def _environment(name: str) -> cel.Env:
    """What the checker knows of a kind."""
    kind = KINDS[name]
    functions = []
    if kind.text:
        overload = cel.Overload("text_string", cel.Type.BOOL, [cel.Type.STRING])
        functions.append(cel.FunctionDecl("text", [overload]))
    # Of the functions of strings, lowerAscii and upperAscii are SQL's too; the others are refused when compiled.
    return cel.NewEnv(variables=variables(kind), functions=functions, extensions=[ext_strings.ExtStrings()])
