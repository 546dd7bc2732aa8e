"""Templates as people write them: TOML, or a mapping of the same shape (docs/automation.md)."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from regsvc import refs
from regsvc.client.records import utf8
from regsvc.content.template import (
    Input,
    Missed,
    Output,
    Overlap,
    Retries,
    Schedule,
    Source,
    Step,
    Template,
)
from regsvc.errors import InvalidArgument

Document = Mapping[str, Any]
"""What TOML or JSON say."""

_LARGEST = 1 << 20
"""Bytes of a file that is read: a template has at most a quarter of that."""
_PARAM_TYPES = (str, int, float, bool)
_KINDS = {str: "a text", int: "a whole number", bool: "true or false", list: "a list", dict: "a table"}


def read(path: str | os.PathLike[str]) -> Template:
    """The template of a TOML file. Raises `InvalidArgument`, `OSError`."""
    with open(path, "rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise InvalidArgument(f"{os.fspath(path)} is larger than a template may be")
    try:
        document = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"{os.fspath(path)} is not TOML: {error}") from None
    return from_document(document)


def from_document(document: Document) -> Template:
    """A template by its members. Raises `InvalidArgument`, which names the member."""
    found = _Members(document, "the template")
    template = Template(
        steps=tuple(_step(each) for each in found.tables("steps")),
        description=found.text("description"),
        source=_source(found.table("source")),
        params=_params(found.take("params", dict) or {}),
        environment=_texts(found.take("environment", dict) or {}),
        inputs=tuple(_input(each) for each in found.tables("inputs")),
        outputs=tuple(_output(each) for each in found.tables("outputs")),
        timeout_seconds=found.number("timeout_seconds"),
        retries=_retries(found.table("retries")),
        labels=found.texts("labels"),
        schedule=_schedule(found.table("schedule")),
        triggers=tuple(_trigger(each) for each in found.tables("triggers")),
        paused=found.take("paused", bool) or False,
    )
    found.end()
    return template


def to_document(template: Template) -> dict[str, Any]:
    """What `from_document` reads, without what is not set."""
    found: dict[str, Any] = asdict(template)
    found["steps"] = [{"name": each.name, "command": list(each.command)} for each in template.steps]
    source = template.source
    if source is not None:
        git = {"git": source.url, "commit": source.commit}
        found["source"] = {"version": _short(source.version)} if source.version else git
    found["inputs"] = [{"version": _short(each.version), "folder": each.folder} for each in template.inputs]
    found["outputs"] = [_set(asdict(each)) for each in template.outputs]
    found["labels"] = list(template.labels)
    found["retries"] = _set(asdict(template.retries))
    schedule = template.schedule
    if schedule is not None:
        policies = {"missed": schedule.missed.name.lower(), "overlap": schedule.overlap.name.lower()}
        found["schedule"] = _set({**asdict(schedule), **policies})
    found["triggers"] = [{"filter": each} for each in template.triggers]
    return _set(found)


class _Members:
    """The members of a table, each taken once; what is left at the end is an error."""

    def __init__(self, document: Document, where: str) -> None:
        self._left = dict(document)
        self._where = where

    def take(self, name: str, kind: type) -> Any:
        """A member of that type, or None. Raises `InvalidArgument`."""
        value = self._left.pop(name, None)
        # A boolean is an integer to Python.
        if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise InvalidArgument(f"{name} of {self._where} must be {_KINDS[kind]}", name=name)
        return value

    def text(self, name: str, *, required: bool = False) -> str:
        value = self.take(name, str)
        if required and not value:
            raise InvalidArgument(f"{self._where} has no {name}", name=name)
        return utf8(name, value or "")

    def number(self, name: str) -> int:
        value = self.take(name, int) or 0
        if not 0 <= value < 1 << 32:
            raise InvalidArgument(f"{name} of {self._where} is not 0 to 2^32 - 1", name=name)
        return int(value)

    def texts(self, name: str) -> tuple[str, ...]:
        values = self.take(name, list) or []
        if not all(isinstance(each, str) for each in values):
            raise InvalidArgument(f"{name} of {self._where} is a list of texts", name=name)
        return tuple(utf8(name, each) for each in values)

    def table(self, name: str) -> _Members | None:
        value = self.take(name, dict)
        return None if value is None else _Members(value, name)

    def tables(self, name: str) -> Sequence[_Members]:
        values = self.take(name, list) or []
        if not all(isinstance(each, dict) for each in values):
            raise InvalidArgument(f"{name} of {self._where} is a list of tables", name=name)
        return [_Members(each, f"{name} {number}") for number, each in enumerate(values, 1)]

    def choice(self, name: str, kind: Callable[[str], Any], default: Any) -> Any:
        value = self.text(name)
        try:
            return kind(value.upper()) if value else default
        except KeyError:
            raise InvalidArgument(f"{name} of {self._where} cannot be '{value[:40]}'", name=name) from None

    def end(self) -> None:
        """Raises `InvalidArgument`: a misspelt name must not pass unseen."""
        if self._left:
            name = next(iter(self._left))
            shown = name[:60].encode("unicode_escape").decode()
            raise InvalidArgument(f"{self._where} has no member '{shown}'", name=shown)


def _step(found: _Members) -> Step:
    step = Step(found.text("name", required=True), found.texts("command"))
    found.end()
    return step


def _source(found: _Members | None) -> Source | None:
    if found is None:
        return None
    version, url, commit = found.text("version"), found.text("git"), found.text("commit")
    found.end()
    if bool(version) == bool(url) or bool(url) != bool(commit):
        raise InvalidArgument("a source is git and commit, or a version")
    return Source(_wire(version) if version else "", url, commit)


def _input(found: _Members) -> Input:
    made = Input(_wire(found.text("version", required=True)), found.text("folder", required=True))
    found.end()
    return made


def _output(found: _Members) -> Output:
    made = Output(found.text("path", required=True), found.text("promote"))
    found.end()
    return made


def _retries(found: _Members | None) -> Retries:
    if found is None:
        return Retries()
    made = Retries(found.number("lost"), found.number("failed"), found.number("backoff_seconds"))
    found.end()
    return made


def _schedule(found: _Members | None) -> Schedule | None:
    if found is None:
        return None
    made = Schedule(
        found.text("cron", required=True),
        found.text("time_zone"),
        found.choice("missed", Missed.__getitem__, Missed.SKIP),
        found.choice("overlap", Overlap.__getitem__, Overlap.SKIP),
    )
    found.end()
    return made


def _trigger(found: _Members) -> str:
    text = found.text("filter", required=True)
    found.end()
    return text


def _params(found: Document) -> dict[str, str | int | float | bool]:
    for key, value in found.items():
        if not isinstance(value, _PARAM_TYPES):
            raise InvalidArgument(f"param {key[:60]!r} is no text, number or boolean", key=key[:60])
    return dict(found)


def _texts(found: Document) -> dict[str, str]:
    for key, value in found.items():
        if not isinstance(value, str):
            raise InvalidArgument(f"variable {key[:60]!r} is no text: put it into quotes", key=key[:60])
    return {utf8("a variable", key): utf8(key, value) for key, value in found.items()}


def _wire(text: str) -> str:
    """Of this registry: which one the template is set at is not known to it."""
    reference = refs.parse_reference(text)
    if reference.server is not None:
        raise InvalidArgument(f"a template names versions of its own registry, not '{text[:80]}'")
    return reference.version.wire


def _short(name: str) -> str:
    return str(refs.version_from_wire(name))


def _set(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if value not in (None, "", 0, False, [], {}, ())}
