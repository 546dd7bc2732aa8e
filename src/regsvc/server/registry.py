"""RegistryService."""

from __future__ import annotations

from regsvc import refs
from regsvc.catalog.aliases import Move
from regsvc.server import convert
from regsvc.server.context import Context
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.v1 import registry_pb2 as pb
from regsvc.v1 import registry_pb2_grpc


class RegistryServicer(registry_pb2_grpc.RegistryServiceServicer):
    """Models, versions, aliases."""

    def __init__(self, app: RegistryApp, workers: Workers, reads: Workers):
        self._registry = app.registry
        self._run = workers.run
        self._read = reads.run

    async def CreateModel(self, request: pb.CreateModelRequest, context: Context) -> pb.CreateModelResponse:
        name = refs.model_from_wire(request.name)
        call = convert.request_of(request, "CreateModel")
        view = await self._run(self._registry.create_model, name, request.description, call)
        return pb.CreateModelResponse(model=convert.model_to(view))

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        view = await self._read(self._registry.model, refs.model_from_wire(request.name))
        return pb.GetModelResponse(model=convert.model_to(view))

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        namespace = refs.namespace_from_wire(request.parent)
        page = await self._run(self._registry.list_models, namespace, convert.page_request(request))
        return pb.ListModelsResponse(
            models=[convert.model_to(view) for view in page.items], next_page_token=page.next_token
        )

    async def GetVersion(self, request: pb.GetVersionRequest, context: Context) -> pb.GetVersionResponse:
        ref = refs.version_from_wire(request.name)
        version = await self._read(self._registry.version, ref, deleted=request.include_deleted)
        return pb.GetVersionResponse(version=convert.version_to(version))

    async def ListVersions(
        self, request: pb.ListVersionsRequest, context: Context
    ) -> pb.ListVersionsResponse:
        model = refs.model_from_wire(request.parent)
        page = await self._run(
            self._registry.list_versions,
            model,
            convert.page_request(request),
            deleted=request.include_deleted,
        )
        return pb.ListVersionsResponse(
            versions=[convert.version_to(version) for version in page.items], next_page_token=page.next_token
        )

    async def SetAlias(self, request: pb.SetAliasRequest, context: Context) -> pb.SetAliasResponse:
        name = refs.alias_from_wire(request.name)
        to = refs.version_from_wire(request.version)
        expect = refs.version_from_wire(request.expect_version) if request.expect_version else None
        call = convert.request_of(request, "SetAlias")
        by = Move(request.author, request.reason)
        alias = await self._run(self._registry.set_alias, name, to, expect, by, call)
        return pb.SetAliasResponse(alias=convert.alias_to(alias))

    async def GetAlias(self, request: pb.GetAliasRequest, context: Context) -> pb.GetAliasResponse:
        alias = await self._read(self._registry.alias, refs.alias_from_wire(request.name))
        return pb.GetAliasResponse(alias=convert.alias_to(alias))

    async def ListAliasHistory(
        self, request: pb.ListAliasHistoryRequest, context: Context
    ) -> pb.ListAliasHistoryResponse:
        name = refs.alias_from_wire(request.parent)
        page = await self._run(self._registry.alias_history, name, convert.page_request(request))
        return pb.ListAliasHistoryResponse(
            changes=[convert.alias_change_to(change) for change in page.items],
            next_page_token=page.next_token,
        )
