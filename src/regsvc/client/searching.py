"""Search over the wire."""

from __future__ import annotations

from collections.abc import Iterator

from regsvc import refs
from regsvc.client.build_records import Build, build_from_wire
from regsvc.client.connection import Connection
from regsvc.client.datasets import Dataset, dataset_from
from regsvc.client.records import Model, Version, model_from, version_from
from regsvc.errors import InvalidArgument
from regsvc.v1 import search_pb2

KINDS = {
    "versions": search_pb2.SEARCH_KIND_VERSIONS,
    "builds": search_pb2.SEARCH_KIND_BUILDS,
    "models": search_pb2.SEARCH_KIND_MODELS,
    "datasets": search_pb2.SEARCH_KIND_DATASETS,
}
Found = Version | Build | Model | Dataset
_PAGE = 100


def search(
    connection: Connection,
    filter: str,
    *,
    kind: str = "versions",
    within: str = "",
    order_by: str = "",
    limit: int | None = None,
) -> Iterator[Found]:
    """What a filter finds, page by page. Raises as `Client.search` says."""
    if kind not in KINDS:
        raise InvalidArgument(f"{kind!r} cannot be searched; known are {', '.join(KINDS)}", kind=kind)
    request = search_pb2.SearchRequest(
        parent=_parent(within, kind), kind=KINDS[kind], filter=filter, order_by=order_by
    )
    left = limit
    while left is None or left > 0:
        request.page_size = _PAGE if left is None else min(_PAGE, left)
        page = connection.call(connection.search.Search, request)
        found: list[Found] = [
            *map(version_from, page.versions),
            *map(build_from_wire, page.builds),
            *map(model_from, page.models),
            *map(dataset_from, page.datasets),
        ]
        yield from found
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
        left = None if left is None else left - len(found)


def _parent(within: str, kind: str) -> str:
    """`namespace/`, or `[namespace/]model`, of datasets `[namespace/]dataset`, to the wire."""
    if not within:
        return ""
    if within.endswith("/"):
        return f"namespaces/{within[:-1]}"
    return refs.parse_dataset(within).parent if kind == "datasets" else refs.parse_model(within).wire
