"""SearchService."""

from __future__ import annotations

from regsvc import refs
from regsvc.catalog.filters import Scope
from regsvc.errors import InvalidArgument
from regsvc.server import convert
from regsvc.server.context import Context
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.service.search import Search
from regsvc.v1 import search_pb2 as pb
from regsvc.v1 import search_pb2_grpc


class SearchServicer(search_pb2_grpc.SearchServiceServicer):
    """Finds versions, builds, models and datasets."""

    def __init__(self, app: RegistryApp, control: Workers):
        self._searcher = app.searcher
        self._run = control.run

    async def Search(self, request: pb.SearchRequest, context: Context) -> pb.SearchResponse:
        search = Search(
            request.filter, request.order_by, _scope(request.parent), convert.page_request(request)
        )
        match request.kind:
            case pb.SEARCH_KIND_UNSPECIFIED | pb.SEARCH_KIND_VERSIONS:
                versions = await self._run(self._searcher.versions, search)
                return pb.SearchResponse(
                    versions=map(convert.version_to, versions.items), next_page_token=versions.next_token
                )
            case pb.SEARCH_KIND_BUILDS:
                builds = await self._run(self._searcher.builds, search)
                return pb.SearchResponse(
                    builds=map(convert.build_to, builds.items), next_page_token=builds.next_token
                )
            case pb.SEARCH_KIND_MODELS:
                models = await self._run(self._searcher.models, search)
                return pb.SearchResponse(
                    models=map(convert.model_to, models.items), next_page_token=models.next_token
                )
            case pb.SEARCH_KIND_DATASETS:
                datasets = await self._run(self._searcher.datasets, search)
                return pb.SearchResponse(
                    datasets=map(convert.dataset_to, datasets.items), next_page_token=datasets.next_token
                )
        raise InvalidArgument("nothing of this kind can be searched", kind=request.kind)


def _scope(parent: str) -> Scope:
    """Where to search. Raises `NameInvalid`, `InvalidArgument`."""
    if not parent:
        return Scope()
    if parent.count("/") == 1:
        namespace = refs.namespace_from_wire(parent)
        return Scope("" if namespace == "-" else namespace)
    if parent.split("/")[2:3] == ["datasets"]:
        dataset = refs.dataset_from_wire(parent)
        if dataset.parent != parent:
            raise InvalidArgument("a dataset is searched as a whole, not one version of it", parent=parent)
        return Scope(dataset.namespace, dataset.dataset, "datasets")
    model = refs.model_from_wire(parent)
    return Scope(model.namespace, model.model, "models")
