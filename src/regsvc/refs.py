"""The names of things: references that people type and resource names that travel.

A person writes `[regsvc://host[:port]/][namespace/]model[:N | @alias | @b3:HEX]`; no suffix means the
latest version. On the wire that is `namespaces/{ns}/models/{model}/versions/{N | latest | b3:HEX}` or
`.../aliases/{alias}`. `protos/vectors/references.json` holds examples of both for other languages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from regsvc.errors import NameInvalid

DEFAULT_NAMESPACE = "default"
LATEST = "latest"

_ID = r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?"
_ID_RE = re.compile(_ID, re.ASCII)
_RUNNER_RE = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?", re.ASCII)
_DIGEST_RE = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NUMBER_RE = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_BUILD_RE = re.compile(r"[^/]/builds/[0-9]+$")
_SHOWN = 80
"""Longest stretch of a bad name that an error repeats, in characters."""


@dataclass(frozen=True, order=True)
class ModelName:
    """A model within its namespace."""

    namespace: str
    model: str

    @property
    def wire(self) -> str:
        """`namespaces/{ns}/models/{model}`"""
        return f"namespaces/{self.namespace}/models/{self.model}"

    def __str__(self) -> str:
        return f"{self.namespace}/{self.model}"


@dataclass(frozen=True)
class VersionRef:
    """A version of a model, named by number, alias or digest; by none of them it is the latest."""

    model: ModelName
    number: int | None = None
    alias: str | None = None
    digest: str | None = None
    """64 hex digits."""

    @property
    def wire(self) -> str:
        """The resource name that requests carry."""
        if self.alias is not None:
            return f"{self.model.wire}/aliases/{self.alias}"
        if self.digest is not None:
            return f"{self.model.wire}/versions/b3:{self.digest}"
        return f"{self.model.wire}/versions/{LATEST if self.number is None else self.number}"

    def __str__(self) -> str:
        if self.alias is not None:
            return f"{self.model}@{self.alias}"
        if self.digest is not None:
            return f"{self.model}@b3:{self.digest}"
        return str(self.model) if self.number is None else f"{self.model}:{self.number}"


@dataclass(frozen=True)
class AliasName:
    """An alias of a model, as a resource of its own."""

    model: ModelName
    alias: str

    @property
    def wire(self) -> str:
        """`namespaces/{ns}/models/{model}/aliases/{alias}`"""
        return f"{self.model.wire}/aliases/{self.alias}"

    def __str__(self) -> str:
        return f"{self.model}@{self.alias}"


@dataclass(frozen=True)
class DeploymentName:
    """A follower of one of a model's aliases."""

    model: ModelName
    deployment: str

    @property
    def wire(self) -> str:
        """`namespaces/{ns}/models/{model}/deployments/{deployment}`"""
        return f"{self.model.wire}/deployments/{self.deployment}"

    def __str__(self) -> str:
        return f"{self.model}/deployments/{self.deployment}"


@dataclass(frozen=True)
class TemplateName:
    """A template of a model."""

    model: ModelName
    template: str

    @property
    def wire(self) -> str:
        """`namespaces/{ns}/models/{model}/templates/{template}`"""
        return f"{self.model.wire}/templates/{self.template}"

    def __str__(self) -> str:
        return f"{self.model}/{self.template}"


@dataclass(frozen=True)
class BuildName:
    """A build of a model."""

    model: ModelName
    number: int

    @property
    def wire(self) -> str:
        """`namespaces/{ns}/models/{model}/builds/{number}`"""
        return f"{self.model.wire}/builds/{self.number}"

    def __str__(self) -> str:
        return f"{self.model}/builds/{self.number}"


@dataclass(frozen=True)
class Reference:
    """What a person typed: a version, and the server when the reference names one."""

    version: VersionRef
    server: str | None = None
    """`host:port`, from a `regsvc://` prefix."""


def parse_reference(text: str) -> Reference:
    """Parse what a person typed for a version. Raises `NameInvalid`."""
    server, rest = _split_server(text)
    base, at, suffix = rest.partition("@")
    if at:
        model = _short_model(base, text)
        if suffix.startswith("b3:"):
            return Reference(VersionRef(model, digest=_digest(suffix[3:], text)), server)
        if suffix == LATEST:
            return Reference(VersionRef(model), server)
        return Reference(VersionRef(model, alias=check_alias(suffix)), server)
    base, colon, number = rest.partition(":")
    model = _short_model(base, text)
    if not colon or number == LATEST:
        return Reference(VersionRef(model), server)
    return Reference(VersionRef(model, number=_number(number, text)), server)


def parse_model(text: str) -> ModelName:
    """Parse `[namespace/]model`. Raises `NameInvalid`."""
    return _short_model(text, text)


def parse_build(text: str) -> BuildName:
    """Parse `[namespace/]model/builds/N` or the wire form. Raises `NameInvalid`."""
    if text.startswith("namespaces/"):
        return build_from_wire(text)
    base, found, number = text.rpartition("/builds/")
    if not found:
        raise _bad("build", text, "expected [namespace/]model/builds/N")
    return BuildName(_short_model(base, text), _number(number, text))


def parse_template(text: str) -> tuple[str | None, TemplateName]:
    """Parse `[regsvc://host[:port]/][namespace/]model/template` or the wire form. Raises `NameInvalid`.

    A name of two parts is a model of the default namespace and its template.
    """
    server, rest = _split_server(text)
    if rest.startswith("namespaces/"):
        return server, template_from_wire(rest)
    base, slash, template = rest.rpartition("/")
    if not slash or base.count("/") > 1:
        raise _bad("template", text, "expected [namespace/]model/template")
    return server, TemplateName(_short_model(base, text), _id(template, "template"))


def parse_source(text: str) -> tuple[str | None, VersionRef | BuildName]:
    """Parse what a person typed for a version or a build; gives the server too. Raises `NameInvalid`."""
    server, rest = _split_server(text)
    if is_build(rest):
        return server, parse_build(rest)
    reference = parse_reference(text)
    return reference.server, reference.version


def is_build(text: str) -> bool:
    """Whether it looks like a build's name: `team/fraud/builds/7`."""
    return _BUILD_RE.search(text) is not None


def is_elsewhere(text: str) -> bool:
    """Whether it names a model that is in no regsvc: a URI, as `hf:org/model` or `https://...`."""
    return ("://" in text or text.startswith(("hf:", "urn:"))) and not text.startswith("regsvc://")


def parse_alias(text: str) -> AliasName:
    """Parse `[namespace/]model@alias`. Raises `NameInvalid`."""
    base, at, alias = text.partition("@")
    if not at:
        raise _bad("alias", text, "expected [namespace/]model@alias")
    return AliasName(_short_model(base, text), check_alias(alias))


def namespace_from_wire(name: str) -> str:
    """`namespaces/{ns}` to the namespace; `-` stands for all. Raises `NameInvalid`."""
    parts = name.split("/")
    if len(parts) != 2 or parts[0] != "namespaces":
        raise _bad("namespace", name, "expected namespaces/{namespace}")
    return parts[1] if parts[1] == "-" else _id(parts[1], "namespace")


def model_from_wire(name: str) -> ModelName:
    """`namespaces/{ns}/models/{model}`. Raises `NameInvalid`."""
    parts = name.split("/")
    if len(parts) != 4:
        raise _bad("model", name, "expected namespaces/{namespace}/models/{model}")
    return _model_parts(parts, name)


def version_from_wire(name: str) -> VersionRef:
    """`{model}/versions/{number | latest | b3:HEX}` or `{model}/aliases/{alias}`. Raises `NameInvalid`."""
    parts = name.split("/")
    if len(parts) != 6 or parts[4] not in ("versions", "aliases"):
        raise _bad("version", name, "expected {model}/versions/{number} or {model}/aliases/{alias}")
    model, last = _model_parts(parts, name), parts[5]
    if parts[4] == "aliases":
        return VersionRef(model) if last == LATEST else VersionRef(model, alias=check_alias(last))
    if last == LATEST:
        return VersionRef(model)
    if last.startswith("b3:"):
        return VersionRef(model, digest=_digest(last[3:], name))
    return VersionRef(model, number=_number(last, name))


def alias_from_wire(name: str) -> AliasName:
    """`{model}/aliases/{alias}`. Raises `NameInvalid`."""
    parts = name.split("/")
    if len(parts) != 6 or parts[4] != "aliases":
        raise _bad("alias", name, "expected {model}/aliases/{alias}")
    return AliasName(_model_parts(parts, name), check_alias(parts[5]))


def deployment_from_wire(name: str) -> DeploymentName:
    """`{model}/deployments/{deployment}`. Raises `NameInvalid`."""
    parts = name.split("/")
    if len(parts) != 6 or parts[4] != "deployments":
        raise _bad("deployment", name, "expected {model}/deployments/{deployment}")
    return DeploymentName(_model_parts(parts, name), check_deployment(parts[5]))


def check_deployment(text: str) -> str:
    """Return the id of a deployment. Raises `NameInvalid`."""
    return _id(text, "deployment")


def template_from_wire(name: str) -> TemplateName:
    """`{model}/templates/{template}`. Raises `NameInvalid`."""
    parts = name.split("/")
    if len(parts) != 6 or parts[4] != "templates":
        raise _bad("template", name, "expected {model}/templates/{template}")
    return TemplateName(_model_parts(parts, name), _id(parts[5], "template"))


def check_runner(text: str) -> str:
    """Return the name of a runner. Raises `NameInvalid`."""
    if not _RUNNER_RE.fullmatch(text):
        raise _bad(
            "runner", text, "1 to 100 of a-z, 0-9, '.', '_', '-', beginning and ending with a-z or 0-9"
        )
    return text


def build_from_wire(name: str) -> BuildName:
    """`{model}/builds/{number}`. Raises `NameInvalid`."""
    parts = name.split("/")
    if len(parts) != 6 or parts[4] != "builds":
        raise _bad("build", name, "expected {model}/builds/{number}")
    return BuildName(_model_parts(parts, name), _number(parts[5], name))


@dataclass(frozen=True)
class DatasetRef:
    """A dataset, or a version of it; without a number the latest."""

    namespace: str
    dataset: str
    number: int | None = None

    @property
    def wire(self) -> str:
        """The resource name that requests carry."""
        return f"{self.parent}/versions/{LATEST if self.number is None else self.number}"

    @property
    def parent(self) -> str:
        """The resource name of the dataset."""
        return f"namespaces/{self.namespace}/datasets/{self.dataset}"

    def __str__(self) -> str:
        name = f"{self.namespace}/{self.dataset}"
        return name if self.number is None else f"{name}:{self.number}"


def parse_dataset(text: str) -> DatasetRef:
    """Parse `[namespace/]dataset[:N]` or the wire form. Raises `NameInvalid`."""
    if text.startswith("namespaces/"):
        return dataset_from_wire(text)
    base, colon, number = text.partition(":")
    model = _short_model(base, text)
    whole = not colon or number == LATEST
    return DatasetRef(model.namespace, model.model, None if whole else _number(number, text))


def dataset_from_wire(name: str) -> DatasetRef:
    """`namespaces/{ns}/datasets/{dataset}[/versions/{number | latest}]`. Raises `NameInvalid`."""
    parts = name.split("/")
    if len(parts) not in (4, 6) or parts[0] != "namespaces" or parts[2] != "datasets":
        raise _bad("dataset", name, "expected namespaces/{namespace}/datasets/{dataset}/versions/{number}")
    number = None
    if len(parts) == 6:
        if parts[4] != "versions":
            raise _bad("dataset", name, "expected {dataset}/versions/{number}")
        number = None if parts[5] == LATEST else _number(parts[5], name)
    return DatasetRef(_id(parts[1], "namespace"), _id(parts[3], "dataset"), number)


def webhook_from_wire(name: str) -> str:
    """Parse `webhooks/{webhook}`; gives the id. Raises `NameInvalid`."""
    collection, slash, webhook = name.partition("/")
    if collection != "webhooks" or not slash:
        raise _bad("webhook name", name, "expected webhooks/{webhook}")
    return _id(webhook, "webhook id")


def source_from_wire(name: str) -> VersionRef | BuildName:
    """A version or a build. Raises `NameInvalid`."""
    return build_from_wire(name) if "builds" in name.split("/")[4:5] else version_from_wire(name)


def check_alias(alias: str) -> str:
    """Return the alias if it may be set by a user. Raises `NameInvalid`."""
    _id(alias, "alias")
    if not alias[0].isalpha():
        raise _bad("alias", alias, "an alias starts with a letter")
    if alias == LATEST:
        raise _bad("alias", alias, "latest is computed and cannot be set")
    return alias


def _split_server(text: str) -> tuple[str | None, str]:
    if not text.startswith("regsvc://"):
        return None, text
    server, slash, rest = text[len("regsvc://") :].partition("/")
    if not server or not slash:
        raise _bad("reference", text, "expected regsvc://host[:port]/[namespace/]model")
    return (server if ":" in server else f"{server}:7070"), rest


def _short_model(base: str, whole: str) -> ModelName:
    namespace, slash, model = base.rpartition("/")
    if not slash:
        namespace = DEFAULT_NAMESPACE
    if not _ID_RE.fullmatch(namespace) or not _ID_RE.fullmatch(model):
        raise _bad("reference", whole, "expected [namespace/]model with ids of a-z, 0-9, '.', '_', '-'")
    return ModelName(namespace, model)


def _model_parts(parts: list[str], name: str) -> ModelName:
    if parts[0] != "namespaces" or parts[2] != "models":
        raise _bad("model", name, "expected namespaces/{namespace}/models/{model}")
    return ModelName(_id(parts[1], "namespace"), _id(parts[3], "model"))


def _id(text: str, what: str) -> str:
    if not _ID_RE.fullmatch(text):
        raise _bad(what, text, "1 to 63 of a-z, 0-9, '.', '_', '-', beginning and ending with a-z or 0-9")
    return text


def _number(text: str, whole: str) -> int:
    if not _NUMBER_RE.fullmatch(text):
        raise _bad("number", whole, "expected a number from 1")
    return int(text)


def _digest(text: str, whole: str) -> str:
    if not _DIGEST_RE.fullmatch(text):
        raise _bad("digest", whole, "expected b3: and 64 hex digits")
    return text


def _bad(what: str, text: str, why: str) -> NameInvalid:
    shown = text[:_SHOWN] + ("..." if len(text) > _SHOWN else "")
    printable = shown.encode("unicode_escape").decode("ascii")
    return NameInvalid(f"bad {what} '{printable}': {why}", name=printable)
