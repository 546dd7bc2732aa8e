"""TemplateService."""

from __future__ import annotations

from regsvc import refs
from regsvc.content.template import Template
from regsvc.errors import InvalidArgument
from regsvc.refs import ModelName
from regsvc.server import convert
from regsvc.server.context import Context
from regsvc.server.runs import template_to
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.service.template_checks import MAX_BYTES
from regsvc.v1 import template_pb2 as pb
from regsvc.v1 import template_pb2_grpc
from regsvc.wire.template import template_from

_ALL = "namespaces/-/models/-"


class TemplateServicer(template_pb2_grpc.TemplateServiceServicer):
    """Templates, and builds that they queue."""

    def __init__(self, app: RegistryApp, workers: Workers):
        self._templates = app.templates
        self._queue = app.queue
        self._run = workers.run

    async def SetTemplate(self, request: pb.SetTemplateRequest, context: Context) -> pb.SetTemplateResponse:
        wanted = request.template
        found = await self._run(
            self._templates.set,
            refs.template_from_wire(wanted.name),
            _template_from(wanted),
            wanted.author,
            request.expect_revision if request.HasField("expect_revision") else None,
        )
        return pb.SetTemplateResponse(template=template_to(found))

    async def GetTemplate(self, request: pb.GetTemplateRequest, context: Context) -> pb.GetTemplateResponse:
        name = refs.template_from_wire(request.name)
        return pb.GetTemplateResponse(
            template=template_to(await self._run(self._templates.get, name, request.revision))
        )

    async def ListTemplates(
        self, request: pb.ListTemplatesRequest, context: Context
    ) -> pb.ListTemplatesResponse:
        model: ModelName | None = None if request.parent == _ALL else refs.model_from_wire(request.parent)
        page = await self._run(self._templates.list, model, convert.page_request(request))
        return pb.ListTemplatesResponse(
            templates=map(template_to, page.items), next_page_token=page.next_token
        )

    async def DeleteTemplate(
        self, request: pb.DeleteTemplateRequest, context: Context
    ) -> pb.DeleteTemplateResponse:
        await self._run(self._templates.delete, refs.template_from_wire(request.name), request.author)
        return pb.DeleteTemplateResponse()

    async def RunTemplate(self, request: pb.RunTemplateRequest, context: Context) -> pb.RunTemplateResponse:
        view = await self._run(
            self._queue.run,
            refs.template_from_wire(request.name),
            convert.params_from(request.params),
            request.author,
            convert.request_of(request, "RunTemplate"),
        )
        return pb.RunTemplateResponse(build=convert.build_to(view))

    async def RerunBuild(self, request: pb.RerunBuildRequest, context: Context) -> pb.RerunBuildResponse:
        view = await self._run(
            self._queue.rerun,
            refs.build_from_wire(request.build),
            convert.params_from(request.params),
            request.author,
            convert.request_of(request, "RerunBuild"),
        )
        return pb.RerunBuildResponse(build=convert.build_to(view))


def _template_from(message: pb.Template) -> Template:
    # Before thousands of tiny entries are converted one by one.
    if message.ByteSize() > 2 * MAX_BYTES:
        convert.check_count(message.ByteSize(), 2 * MAX_BYTES, "bytes of a template")
    convert.params_from(message.params)  # one without a value is refused
    try:
        return template_from(message)
    except ValueError:
        raise InvalidArgument("a policy of the schedule is none") from None
