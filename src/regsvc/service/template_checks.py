"""Checks of templates, before anything is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from regsvc import refs
from regsvc.catalog.database import now_us
from regsvc.catalog.records import Metadata
from regsvc.content import template as content
from regsvc.content.manifest import PathError, check_path
from regsvc.content.template import MAX_BACKOFF, ParamValue, Source, Template
from regsvc.errors import InvalidArgument, NameInvalid, ResourceExhausted
from regsvc.service import cron
from regsvc.service.checks import check_key, check_metadata, check_step_name, check_text
from regsvc.service.eventfilter import EventFilter
from regsvc.service.limits import Limits

MAX_BYTES = 256 << 10
"""All of a template."""
MAX_DESCRIPTION_BYTES = 16 << 10
MAX_STEPS = 100
MAX_WORDS = 1_000
"""Program and arguments of a step."""
MAX_INPUTS = 100
MAX_OUTPUTS = 16
MAX_VARIABLES = 1_000
MAX_LABELS = 20
MAX_TRIGGERS = 20
MAX_RETRIES = 20
MAX_URL_BYTES = 2_048
MAX_COMMIT_BYTES = 250
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_RESERVED = "REGSVC_"
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def check_template(template: Template, limits: Limits) -> None:
    """Raises what SetTemplate documents."""
    check_text(template.description, "description", MAX_DESCRIPTION_BYTES)
    _check_steps(template)
    if template.source is not None:
        _check_source(template.source)
    check_params(template.params, limits)
    _check_environment(template)
    _check_files(template)
    if max(template.retries.lost, template.retries.failed) > MAX_RETRIES:
        raise InvalidArgument(f"at most {MAX_RETRIES} more attempts", limit=MAX_RETRIES)
    if template.retries.backoff_seconds > MAX_BACKOFF:
        raise InvalidArgument(f"a backoff is at most {MAX_BACKOFF} s", limit=MAX_BACKOFF)
    _check_few(template.labels, MAX_LABELS, "labels")
    for label in template.labels:
        check_key(label, limits)
    if template.schedule is not None:
        cron.check(template.schedule.cron, template.schedule.time_zone, now_us())
    _check_few(template.triggers, MAX_TRIGGERS, "triggers")
    for text in template.triggers:
        if not text.strip():
            raise InvalidArgument("a trigger has a filter")
        EventFilter(text, limits)
    check_text(content.to_json(template), "a template", MAX_BYTES)


def check_params(params: Mapping[str, ParamValue], limits: Limits) -> None:
    """Raises `InvalidArgument`, `ResourceExhausted`. Steps see params as variables, which have no NUL."""
    check_metadata(Metadata(params=params), limits)
    for key, value in params.items():
        if isinstance(value, str) and "\0" in value:
            raise InvalidArgument(f"a param of a template has no NUL: '{key}'", key=key)


def _check_steps(template: Template) -> None:
    if not 1 <= len(template.steps) <= MAX_STEPS:
        raise InvalidArgument(f"a template has 1 to {MAX_STEPS} steps", limit=MAX_STEPS)
    for step in template.steps:
        check_step_name(step.name)
        if not step.command or not step.command[0]:
            raise InvalidArgument(f"step '{step.name}' has no command", step=step.name)
        if len(step.command) > MAX_WORDS:
            raise ResourceExhausted(f"step '{step.name}' has more than {MAX_WORDS} words", limit=MAX_WORDS)
        if any("\0" in word for word in step.command):
            raise InvalidArgument(f"a command has no NUL: step '{step.name}'", step=step.name)
    _check_once([step.name for step in template.steps], "step")


def _check_source(source: Source) -> None:
    if source.version:
        refs.version_from_wire(source.version)
        return
    for text, what, limit in (
        (source.url, "URL", MAX_URL_BYTES),
        (source.commit, "commit", MAX_COMMIT_BYTES),
    ):
        # What begins with a dash would be an option of git.
        if not 0 < len(text.encode()) <= limit or text.startswith("-") or _CONTROL.search(text):
            raise InvalidArgument(
                f"the {what} of a source has 1 to {limit} bytes without control characters, and no dash first",
                limit=limit,
            )
    try:
        parts = urlsplit(source.url)
        secret = parts.password is not None or (parts.scheme in ("http", "https") and "@" in parts.netloc)
    except ValueError:
        raise InvalidArgument("the URL of the source cannot be read") from None
    if secret:
        raise InvalidArgument("the URL of a source has no user and password: the runner has its own")


def _check_environment(template: Template) -> None:
    if len(template.environment) > MAX_VARIABLES:
        raise ResourceExhausted(
            f"{len(template.environment)} variables, at most {MAX_VARIABLES}", limit=MAX_VARIABLES
        )
    for name, value in template.environment.items():
        if not _VARIABLE.fullmatch(name) or name.startswith(_RESERVED):
            shown = name[:60].encode("unicode_escape").decode()
            raise InvalidArgument(
                f"bad variable '{shown}': letters, digits and _, no digit first, not {_RESERVED}...",
                name=shown,
            )
        if "\0" in value:
            raise InvalidArgument(f"a variable has no NUL: {name[:60]}", name=name[:60])


def _check_files(template: Template) -> None:
    _check_few(template.inputs, MAX_INPUTS, "inputs")
    _check_few(template.outputs, MAX_OUTPUTS, "outputs")
    for each in template.inputs:
        refs.version_from_wire(each.version)
    for output in template.outputs:
        if output.promote:
            refs.check_alias(output.promote)
    folders = [each.folder for each in template.inputs]
    paths = [each.path for each in template.outputs]
    try:
        for path in (*folders, *paths):
            check_path(path)
    except PathError as error:
        raise InvalidArgument(f"in the work folder: {error}") from None
    _check_once(folders, "folder")
    _check_once(paths, "output")


def _check_few(items: Iterable[object], limit: int, what: str) -> None:
    count = sum(1 for _ in items)
    if count > limit:
        raise ResourceExhausted(f"{count} {what}, at most {limit}", limit=limit)
    _check_once([item for item in items if isinstance(item, str)], what.removesuffix("s"))


def _check_once(names: list[str], what: str) -> None:
    for place, name in enumerate(names):
        if name in names[:place]:
            shown = name[:60].encode("unicode_escape").decode()
            raise NameInvalid(f"{what} '{shown}' is there twice", name=shown)
