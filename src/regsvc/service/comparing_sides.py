"""What is known of each version or build that is compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from regsvc.catalog import builds, provenance, versions
from regsvc.catalog.builds import Build, Step
from regsvc.catalog.database import Reader
from regsvc.catalog.records import Metadata
from regsvc.content.comparison import Subject
from regsvc.content.record import Attachment, Record
from regsvc.refs import BuildName, VersionRef

Name = VersionRef | BuildName


@dataclass(frozen=True)
class Side:
    """All that is known of one subject."""

    subject: Subject
    version_id: int | None
    build_id: int | None
    """The build itself, or the one that published the version."""
    metadata: Metadata
    record: Record
    attachments: Sequence[Attachment]
    steps: Sequence[Step]


def read_side(db: Reader, name: Name) -> Side:
    """A version or build. Raises `NotFound`."""
    if isinstance(name, BuildName):
        build = builds.find(db, name)
        return Side(
            _with_build(Subject(build.name.wire, build.created_at), build),
            None,
            build.id,
            builds.metadata(db, build),
            provenance.find(db, "build", build.id),
            provenance.attachments(db, "build", build.id),
            builds.steps(db, build.id),
        )
    version = versions.find(db, name)
    subject = Subject(
        version.ref.wire,
        version.created_at,
        digest=version.digest.hex(),
        aliases=version.aliases,
        file_count=version.file_count,
        size=version.size,
    )
    build_id, steps = None, list[Step]()
    if version.build is not None:
        made_by = builds.find(db, version.build)
        build_id, steps = made_by.id, builds.steps(db, made_by.id)
        subject = _with_build(subject, made_by)
    return Side(
        subject,
        version.id,
        build_id,
        version.metadata,
        provenance.find(db, "version", version.id),
        provenance.attachments(db, "version", version.id),
        steps,
    )


def _with_build(subject: Subject, build: Build) -> Subject:
    seconds = 0.0 if build.ended_at is None else (build.ended_at - build.created_at) / 1e6
    return replace(subject, build=build.name.wire, build_state=build.state.name, build_seconds=seconds)
