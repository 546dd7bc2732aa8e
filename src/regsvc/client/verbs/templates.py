"""Templates, builds that they queue, and who executes them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from blake3 import blake3

from regsvc import refs
from regsvc.client import catalog, template_files, templates
from regsvc.client.build_records import Build
from regsvc.client.scan import scan
from regsvc.client.templates import Runner, TemplateRevision
from regsvc.client.verbs.artifacts import Artifacts
from regsvc.content.manifest import Entry, version_digest
from regsvc.content.template import Source, Template
from regsvc.errors import InvalidArgument, NotFound

SOURCES = ".source"
"""What the name of the model ends with whose versions are the folders of a model's templates."""


class Templates(Artifacts):
    """Those methods of `Client`."""

    def set_template(
        self,
        name: str,
        template: Template | Mapping[str, Any] | str | os.PathLike[str],
        *,
        folder: str | os.PathLike[str] | None = None,
        git: str | None = None,
        commit: str | None = None,
        expect_revision: int | None = None,
        author: str | None = None,
    ) -> TemplateRevision:
        """Set `[namespace/]model/template`: a `Template`, a mapping as TOML says it, or the path of a TOML file.

        `folder` is pushed as a version of `[namespace/]model.source`, which becomes the source, as do `git` and
        `commit`; the same files make no other version. `expect_revision` is the
        newest, 0 for none. Raises `InvalidArgument`, `ScheduleInvalid`, `FilterInvalid`, `ResourceExhausted`,
        `EtagMismatch`, `OSError`.
        """
        if isinstance(template, Mapping):
            template = template_files.from_document(template)
        elif not isinstance(template, Template):
            template = template_files.read(template)
        server, wanted = refs.parse_template(name)
        if folder is not None or git is not None or commit is not None:
            if template.source is not None:
                raise InvalidArgument("the template has a source of its own")
            if (folder is None) == (git is None) or (git is None) != (commit is None):
                raise InvalidArgument("a source is a folder, or git and commit")
        if folder is not None:
            if not Path(folder).is_dir():
                raise InvalidArgument(f"{os.fspath(folder)} is no folder")
            template = replace(template, source=self._source_of(folder, server, wanted.model))
        elif git is not None and commit is not None:
            template = replace(template, source=Source(url=git, commit=commit))
        return templates.set_template(self._connection(server), wanted, template, expect_revision, author)

    def get_template(self, name: str, revision: int = 0) -> TemplateRevision:
        """A template, or an older revision of it. Raises `NotFound`."""
        server, wanted = refs.parse_template(name)
        return templates.get_template(self._connection(server), wanted, revision)

    def templates(self, model: str | None = None) -> Iterator[TemplateRevision]:
        """Templates of `[namespace/]model`, or all, by name. Raises `NotFound`."""
        if model is None:
            return templates.list_templates(self._connection(None), None)
        return templates.list_templates(*self._model(model))

    def pause_template(
        self, name: str, *, paused: bool = True, author: str | None = None
    ) -> TemplateRevision:
        """Let schedule and triggers rest, or go on. Raises `NotFound`, `EtagMismatch` (set by another meanwhile)."""
        found = self.get_template(name)
        return self.set_template(
            name, replace(found.template, paused=paused), expect_revision=found.revision, author=author
        )

    def delete_template(self, name: str, *, author: str | None = None) -> None:
        """With its schedule and triggers; builds stay. What is not there stays so."""
        server, wanted = refs.parse_template(name)
        templates.delete_template(self._connection(server), wanted, author)

    def run_template(
        self, name: str, *, params: Mapping[str, object] | None = None, author: str | None = None
    ) -> Build:
        """Queue a build; `params` are over the template's own.

        Raises `NotFound` (the template, or what it refers to), `InvalidArgument` (a param), `QueueFull`.
        """
        server, wanted = refs.parse_template(name)
        return templates.run_template(self._connection(server), wanted, params or {}, author)

    def rerun(
        self, build: str, *, params: Mapping[str, object] | None = None, author: str | None = None
    ) -> Build:
        """Queue the same again: revision, source, inputs, and params but for these.

        Raises `NotFound`, `NotRun` (no template made the build), `InvalidArgument`, `QueueFull`.
        """
        connection, name = self._build(build)
        return templates.rerun(connection, refs.parse_build(name), params or {}, author)

    def runners(self) -> list[Runner]:
        """Runners that are connected, and those that have builds, by name."""
        return templates.list_runners(self._connection(None))

    def _source_of(self, folder: str | os.PathLike[str], server: str | None, model: refs.ModelName) -> Source:
        """The version that has the folder's files; the same files make no other one."""
        source = refs.parse_model(f"{model}{SOURCES}")
        files = [
            Entry(each.path, each.size, blake3(Path(each.location).read_bytes()).digest())
            for each in scan(folder)
        ]
        same = refs.VersionRef(source, digest=version_digest(files).hex())
        try:
            return Source(refs.parse_reference(self._found(server, same)).version.wire)
        except NotFound:
            where = f"regsvc://{server}/" if server else ""
            pushed = self.push(folder, f"{where}{source}", capture=False)
            return Source(refs.parse_reference(pushed.reference).version.wire)

    def _found(self, server: str | None, ref: refs.VersionRef) -> str:
        return catalog.get_version(self._connection(server), ref).reference
