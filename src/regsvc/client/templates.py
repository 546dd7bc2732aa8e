"""Templates, builds that they queue, and who executes them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from regsvc import refs
from regsvc.client.author import author
from regsvc.client.build_records import Build, build_from_wire, short_name
from regsvc.client.connection import Connection
from regsvc.client.params import check_params
from regsvc.client.records import param_message, time_from
from regsvc.client.template_files import to_document
from regsvc.content.template import Template
from regsvc.errors import InvalidArgument
from regsvc.refs import BuildName, ModelName, TemplateName
from regsvc.v1 import runner_pb2
from regsvc.v1 import template_pb2 as pb
from regsvc.wire.template import template_from, template_to

_PAGE = 200


@dataclass(frozen=True)
class TemplateRevision:
    """A template as it was set once."""

    name: str
    """`team/fraud/nightly`"""
    revision: int
    template: Template
    author: str
    """Who set it, as the client said."""
    updated: datetime
    next_run: datetime | None
    """When the schedule fires next."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`: what TOML says, and what the server knows."""
        return {
            "template": self.name,
            "revision": self.revision,
            "author": self.author,
            "updated": _json_time(self.updated),
            "next_run": _json_time(self.next_run),
            **to_document(self.template),
        }


@dataclass(frozen=True)
class Runner:
    """A process that executes builds."""

    name: str
    session: str
    labels: tuple[str, ...]
    slots: int
    """How many builds it executes at once; 0 of one that is not connected."""
    host: str
    version: str
    builds: tuple[str, ...]
    """What it has."""
    connected: bool
    since: datetime | None
    """When it connected."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "runner": self.name,
            "session": self.session,
            "labels": list(self.labels),
            "slots": self.slots,
            "host": self.host,
            "version": self.version,
            "builds": list(self.builds),
            "connected": self.connected,
            "since": _json_time(self.since),
        }


def set_template(
    connection: Connection, name: TemplateName, template: Template, expect: int | None, by: str | None
) -> TemplateRevision:
    """The newest revision."""
    message = template_to(name.wire, _checked(template))
    message.author = author() if by is None else by
    request = pb.SetTemplateRequest(template=message, expect_revision=expect)
    return _revision(connection.call(connection.templates.SetTemplate, request).template)


def get_template(connection: Connection, name: TemplateName, revision: int) -> TemplateRevision:
    """Raises `NotFound`."""
    request = pb.GetTemplateRequest(name=name.wire, revision=revision)
    return _revision(connection.call(connection.templates.GetTemplate, request).template)


def list_templates(connection: Connection, model: ModelName | None) -> Iterator[TemplateRevision]:
    """By name; of a model, or of all."""
    parent = "namespaces/-/models/-" if model is None else model.wire
    request = pb.ListTemplatesRequest(parent=parent, page_size=_PAGE)
    while True:
        page = connection.call(connection.templates.ListTemplates, request)
        yield from map(_revision, page.templates)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def delete_template(connection: Connection, name: TemplateName, by: str | None) -> None:
    """What is not there stays so."""
    request = pb.DeleteTemplateRequest(name=name.wire, author=author() if by is None else by)
    connection.call(connection.templates.DeleteTemplate, request)


def run_template(
    connection: Connection, name: TemplateName, params: Mapping[str, object], by: str | None
) -> Build:
    """The build that waits."""
    request = pb.RunTemplateRequest(
        name=name.wire,
        params=_params(params),
        author=author() if by is None else by,
        request_id=uuid.uuid4().hex,
    )
    return build_from_wire(connection.call(connection.templates.RunTemplate, request).build)


def rerun(connection: Connection, build: BuildName, params: Mapping[str, object], by: str | None) -> Build:
    """The build that waits."""
    request = pb.RerunBuildRequest(
        build=build.wire,
        params=_params(params),
        author=author() if by is None else by,
        request_id=uuid.uuid4().hex,
    )
    return build_from_wire(connection.call(connection.templates.RerunBuild, request).build)


def list_runners(connection: Connection) -> list[Runner]:
    """By name."""
    found = connection.call(connection.runners.ListRunners, runner_pb2.ListRunnersRequest())
    return [_runner(each) for each in found.runners]


def _checked(template: Template) -> Template:
    """What no message can carry is refused here, with its name. Raises `InvalidArgument`."""
    check_params(template.params)
    for number, name in (
        (template.timeout_seconds, "timeout_seconds"),
        (template.retries.lost, "lost"),
        (template.retries.failed, "failed"),
        (template.retries.backoff_seconds, "backoff_seconds"),
    ):
        if not 0 <= number < 1 << 32:
            raise InvalidArgument(f"{name} is not 0 to 2^32 - 1", name=name)
    return template


def _params(params: Mapping[str, object]) -> dict[str, Any]:
    return {key: param_message(key, value) for key, value in check_params(params).items()}


def _revision(message: Any) -> TemplateRevision:
    return TemplateRevision(
        str(refs.template_from_wire(message.name)),
        message.revision,
        template_from(message),
        message.author,
        time_from(message.update_time),
        time_from(message.next_run_time) if message.HasField("next_run_time") else None,
    )


def _runner(message: Any) -> Runner:
    return Runner(
        message.name,
        message.session,
        tuple(message.labels),
        message.slots,
        message.host,
        message.version,
        tuple(short_name(build) for build in message.builds),
        message.connected,
        time_from(message.connect_time) if message.HasField("connect_time") else None,
    )


def _json_time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
