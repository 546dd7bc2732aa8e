"""DatasetService."""

from __future__ import annotations

from regsvc import refs
from regsvc.catalog.datasets import Dataset
from regsvc.server import convert
from regsvc.server.context import Context
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.v1 import dataset_pb2 as pb
from regsvc.v1 import dataset_pb2_grpc
from regsvc.wire.drift import drift_to, retyped_to
from regsvc.wire.values import timestamp

_MOST_COLUMNS = 2_000


class DatasetServicer(dataset_pb2_grpc.DatasetServiceServicer):
    """Datasets, their profiles and their users."""

    def __init__(self, app: RegistryApp, control: Workers):
        self._datasets = app.datasets
        self._run = control.run

    async def RegisterDataset(
        self, request: pb.RegisterDatasetRequest, context: Context
    ) -> pb.RegisterDatasetResponse:
        found = await self._run(
            self._datasets.register,
            refs.dataset_from_wire(request.parent),
            convert.digest_from_hex(request.digest),
            request.uri,
            request.profile.encode(),
            convert.request_of(request, "RegisterDataset"),
        )
        return pb.RegisterDatasetResponse(dataset=_dataset_to(found))

    async def GetDataset(self, request: pb.GetDatasetRequest, context: Context) -> pb.GetDatasetResponse:
        found, text = await self._run(self._datasets.get, refs.dataset_from_wire(request.name))
        return pb.GetDatasetResponse(dataset=_dataset_to(found, text))

    async def ListDatasets(
        self, request: pb.ListDatasetsRequest, context: Context
    ) -> pb.ListDatasetsResponse:
        namespace = refs.namespace_from_wire(request.parent)
        page = await self._run(self._datasets.list, namespace, convert.page_request(request))
        return pb.ListDatasetsResponse(datasets=map(_dataset_to, page.items), next_page_token=page.next_token)

    async def ListDatasetUses(
        self, request: pb.ListDatasetUsesRequest, context: Context
    ) -> pb.ListDatasetUsesResponse:
        ref = refs.dataset_from_wire(request.name)
        whole = "/versions/" not in request.name
        found = await self._run(self._datasets.users, ref, all_versions=whole)
        return pb.ListDatasetUsesResponse(
            users=[
                pb.DatasetUser(name=each.name, dataset=each.dataset.wire, split=each.split) for each in found
            ]
        )

    async def CompareDatasets(
        self, request: pb.CompareDatasetsRequest, context: Context
    ) -> pb.CompareDatasetsResponse:
        view = await self._run(
            self._datasets.compare,
            refs.dataset_from_wire(request.before),
            refs.dataset_from_wire(request.after),
        )
        drift = view.drift
        return pb.CompareDatasetsResponse(
            before=_dataset_to(view.before),
            after=_dataset_to(view.after),
            added=drift.added,
            removed=drift.removed,
            retyped=retyped_to(drift.retyped),
            columns=map(drift_to, drift.columns[:_MOST_COLUMNS]),
        )


def _dataset_to(dataset: Dataset, profile: bytes = b"") -> pb.Dataset:
    return pb.Dataset(
        name=dataset.ref.wire,
        digest=dataset.digest.hex(),
        uri=dataset.uri,
        row_count=dataset.row_count or 0,
        column_count=dataset.column_count or 0,
        create_time=timestamp(dataset.created_at),
        profile=profile.decode(),
    )
