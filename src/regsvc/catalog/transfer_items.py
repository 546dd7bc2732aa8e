"""What travels from one registry to another, as plain values: everything that a client can see of a resource."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from regsvc.catalog.aliases import Kind
from regsvc.catalog.builds import BuildState, Step
from regsvc.catalog.metrics import MetricPoint
from regsvc.catalog.records import Metadata
from regsvc.catalog.rules import Approval, Rules
from regsvc.content.comparison import Direction
from regsvc.content.record import Attachment, Record
from regsvc.content.template import Input, Source
from regsvc.refs import AliasName, BuildName, DatasetRef, ModelName, VersionRef

Owner = VersionRef | BuildName
"""Whose blobs and points; a version by its number."""


@dataclass(frozen=True)
class DatasetItem:
    """A dataset version."""

    ref: DatasetRef
    digest: bytes
    uri: str
    profile: bytes
    created_at: int


@dataclass(frozen=True)
class ModelItem:
    """A model without what is in it."""

    name: ModelName
    description: str
    created_at: int
    updated_at: int
    definitions: tuple[tuple[str, Direction], ...]


@dataclass(frozen=True)
class RunItem:
    """How a template made a build: a name and what it read, as the template itself stays with its registry."""

    template: str
    """Its id within the model."""
    revision: int
    inputs: tuple[Input, ...]
    source: Source | None
    trigger: str
    cause: str
    author: str
    attempt: int
    retry_of: int
    """Number of the build whose next attempt it was; 0 for none."""
    rerun_of: int
    """Number of the build that it repeated; 0 for none."""
    runner: str
    started_at: int | None
    not_before: int
    labels: tuple[str, ...]


@dataclass(frozen=True)
class BuildItem:
    """A build that has ended."""

    name: BuildName
    state: BuildState
    reason: str
    metadata: Metadata
    """With the last value of every metric."""
    created_at: int
    ended_at: int | None
    cancel_requested: bool
    steps: tuple[Step, ...]
    log_seq: int
    log_bytes: int
    log_digest: bytes | None
    record: Record
    attachments: tuple[Attachment, ...]
    point_count: int
    run: RunItem | None


@dataclass(frozen=True)
class PointsItem:
    """A stretch of metric points in the order in which they came."""

    owner: Owner
    source: str
    key: str
    first: int
    """How many come before these."""
    points: Sequence[MetricPoint]


@dataclass(frozen=True)
class VersionItem:
    """A version without its files."""

    ref: VersionRef
    digest: bytes
    file_count: int
    size: int
    created_at: int
    metadata: Metadata
    author: str
    build: BuildName | None
    record: Record
    attachments: tuple[Attachment, ...]
    record_digest: bytes | None


@dataclass(frozen=True)
class FilePart:
    """A file of a version, or a stretch of its chunks."""

    path: str
    size: int
    digest: bytes
    chunks: Sequence[tuple[bytes, int]]


@dataclass(frozen=True)
class ManifestItem:
    """Some files of a version."""

    ref: VersionRef
    files: Sequence[FilePart]
    last: bool


@dataclass(frozen=True)
class BlobItem:
    """Which chunks make up an attachment or a log."""

    owner: Owner
    digest: bytes
    size: int
    offset: int
    chunks: Sequence[tuple[bytes, int]]


@dataclass(frozen=True)
class VersionStateItem:
    """What was said of a version later; archiving or deleting one would be said here too."""

    ref: VersionRef
    bad: bool
    bad_reason: str
    approvals: tuple[Approval, ...]
    series: tuple[tuple[str, str, int], ...]
    """(source, key, number of points)"""
    archived_at: int | None


@dataclass(frozen=True)
class NoteText:
    """A note, without its number."""

    author: str
    text: str
    at: int


@dataclass(frozen=True)
class NotesItem:
    """Some notes of a version, oldest first."""

    ref: VersionRef
    notes: Sequence[NoteText]


@dataclass(frozen=True)
class RulesItem:
    """Rules of an alias."""

    rules: Rules


@dataclass(frozen=True)
class AliasMove:
    """One move of an alias."""

    number: int
    """Of the version that it named from then on."""
    digest: bytes
    at: int
    author: str
    reason: str
    kind: Kind
    deleted: bool = field(default=False, compare=False)
    """The version is, where this comes from."""


@dataclass(frozen=True)
class AliasItem:
    """A stretch of the history of an alias, oldest first."""

    name: AliasName
    first: int
    """How many moves come before these."""
    moves: Sequence[AliasMove]


@dataclass(frozen=True)
class LeftOutItem:
    """What does not travel."""

    name: str
    reason: str


Item = (
    DatasetItem
    | ModelItem
    | BuildItem
    | PointsItem
    | VersionItem
    | ManifestItem
    | BlobItem
    | VersionStateItem
    | NotesItem
    | RulesItem
    | AliasItem
    | LeftOutItem
)


def name_of(item: Item) -> str:
    """Resource name of what an item is of."""
    match item:
        case BuildItem() | ModelItem() | AliasItem():
            return item.name.wire
        case DatasetItem() | VersionItem() | ManifestItem() | VersionStateItem() | NotesItem():
            return item.ref.wire
        case PointsItem() | BlobItem():
            return item.owner.wire
        case RulesItem():
            return item.rules.name.wire
        case LeftOutItem():
            return item.name
