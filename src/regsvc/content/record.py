"""How a version was made, as plain values, and the canonical text that its digest is taken of.

The text is canonical JSON, RFC 8785: any language can make it anew and check the digest. What is empty is left out,
so a field that is added later does not change the digest of older records.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import IntEnum
from typing import Any

import rfc8785
from blake3 import blake3


class Relation(IntEnum):
    """How a version came from its parent; as in record.proto."""

    UNSPECIFIED = 0
    FINE_TUNED = 1
    QUANTISED = 2
    MERGED = 3
    DISTILLED = 4
    CONVERTED = 5


@dataclass(frozen=True)
class Code:
    """What was run."""

    remote: str = ""
    """URL without credentials."""
    commit: str = ""
    branch: str = ""
    """Empty when none was checked out."""
    dirty: bool = False
    diff: str = ""
    """Name of the attachment with the changes that are not in the commit."""
    snapshot: str = ""
    """Name of the attachment with the sources."""


@dataclass(frozen=True)
class Accelerator:
    """A GPU or the like."""

    name: str
    memory_bytes: int = 0
    driver: str = ""


@dataclass(frozen=True)
class Environment:
    """Where it ran."""

    python: str = ""
    platform: str = ""
    cpu: str = ""
    cores: int = 0
    memory_bytes: int = 0
    accelerators: Sequence[Accelerator] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    """Version by normalised name."""
    variables: Mapping[str, str] = field(default_factory=dict)
    lock_file: str = ""
    """Name of the attachment."""


@dataclass(frozen=True)
class Image:
    """A container image."""

    reference: str = ""
    digest: str = ""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model."""

    name: str
    dtype: str
    shape: Sequence[int] = ()
    """-1 is any size."""


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives."""

    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()
    json_schema: str = ""


@dataclass(frozen=True)
class Parent:
    """A model that a version was made from."""

    relation: Relation
    version: str = ""
    """Resource name of a version of this registry, or empty."""
    uri: str = ""
    """What it is called elsewhere."""


@dataclass(frozen=True)
class DatasetUse:
    """A dataset version that was used."""

    dataset: str
    """Resource name."""
    split: str = ""
    filter: str = ""
    begin: str = ""
    end: str = ""
    digest: str = ""
    """64 hex digits, of the dataset version."""


@dataclass(frozen=True)
class Attachment:
    """A blob that belongs to a record."""

    name: str
    size: int
    digest: bytes


@dataclass(frozen=True)
class Record:
    """How a version was made; everything may be missing."""

    code: Code = Code()
    environment: Environment = Environment()
    image: Image = Image()
    signature: Signature = Signature()
    card: str = ""
    """Markdown."""
    labels: Sequence[str] = ()
    parents: Sequence[Parent] = ()
    framework: str = ""
    format: str = ""
    gaps: Sequence[str] = ()
    """What could not be captured, and why."""
    datasets: Sequence[DatasetUse] = ()


EMPTY = Record()

UNTRACKED = re.compile(r"code: \d+ untracked files or folders are not in the diff")
"""A gap: there are files that git does not track."""


def has_only_untracked(record: Record) -> bool:
    """Whether what is not committed are files that git does not track, and no changes of those it does."""
    code = record.code
    of_code = [gap for gap in record.gaps if gap.startswith("code: ")]
    return code.dirty and not code.diff and bool(of_code) and all(map(UNTRACKED.fullmatch, of_code))


def merged(base: Record, over: Record) -> Record:
    """`over` where it says something, else `base`; labels, parents, gaps and datasets of both.

    An environment is taken whole, but for the lock file, which a process within a build need not find again.
    """
    given = {
        each.name: getattr(over, each.name)
        for each in fields(Record)
        if getattr(over, each.name) != getattr(EMPTY, each.name)
    }
    if "environment" in given and not over.environment.lock_file:
        given["environment"] = replace(over.environment, lock_file=base.environment.lock_file)
    for name in ("labels", "parents", "gaps", "datasets"):
        given[name] = tuple(dict.fromkeys([*getattr(base, name), *getattr(over, name)]))
    return replace(base, **given)


def document(record: Record) -> dict[str, Any]:
    """The record as JSON values, without what is empty."""
    found: dict[str, Any] = _bare(asdict(record)) or {}
    for parent in found.get("parents", ()):
        parent["relation"] = Relation(parent["relation"]).name if "relation" in parent else "UNSPECIFIED"
    return found


def from_document(found: Mapping[str, Any]) -> Record:
    """The record that `document` wrote."""
    environment = dict(found.get("environment", {}))
    environment["accelerators"] = tuple(Accelerator(**each) for each in environment.get("accelerators", ()))
    signature = dict(found.get("signature", {}))
    for side in ("inputs", "outputs"):
        signature[side] = tuple(
            TensorSpec(each.get("name", ""), each.get("dtype", ""), tuple(each.get("shape", ())))
            for each in signature.get(side, ())
        )
    return Record(
        code=Code(**found.get("code", {})),
        environment=Environment(**environment),
        image=Image(**found.get("image", {})),
        signature=Signature(**signature),
        card=found.get("card", ""),
        labels=tuple(found.get("labels", ())),
        parents=tuple(
            Parent(Relation[each["relation"]], each.get("version", ""), each.get("uri", ""))
            for each in found.get("parents", ())
        ),
        framework=found.get("framework", ""),
        format=found.get("format", ""),
        gaps=tuple(found.get("gaps", ())),
        datasets=tuple(DatasetUse(**each) for each in found.get("datasets", ())),
    )


def canonical(found: Mapping[str, Any]) -> bytes:
    """Canonical JSON, RFC 8785, in UTF-8."""
    return rfc8785.dumps(dict(found))


def digest_of(text: bytes) -> bytes:
    """BLAKE3 of a canonical text, 32 bytes."""
    return blake3(text).digest()


def sealed_text(
    version_digest: bytes,
    *,
    description: str,
    params: Mapping[str, str | int | float | bool],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    record: Record,
    attachments: Iterable[Attachment],
) -> bytes:
    """Everything that is sealed with a version, as the text that its record digest is taken of.

    Integers are written as text, since JSON numbers are doubles: `{"int": "9007199254740993"}`.
    """
    whole = {
        "version_digest": version_digest.hex(),
        "description": description,
        "params": {key: _typed(value) for key, value in params.items()},
        "metrics": {key: float(value) for key, value in metrics.items()},
        "tags": dict(tags),
        "record": document(record),
        "attachments": [
            {"name": each.name, "size": str(each.size), "digest": each.digest.hex()} for each in attachments
        ],
    }
    return canonical({key: value for key, value in whole.items() if value})


def _typed(value: str | int | float | bool) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"bool": value}
    if isinstance(value, int):
        return {"int": str(value)}
    if isinstance(value, float):
        return {"double": value}
    return {"string": value}


def _bare(value: Any) -> Any:
    """The value without empty members; None when nothing is left. Lists keep all their members."""
    if isinstance(value, Mapping):
        left = {key: _bare(each) for key, each in value.items()}
        return {key: each for key, each in left.items() if each not in (None, "", 0, False)} or None
    if isinstance(value, list | tuple):
        return [(_bare(each) or {}) if isinstance(each, Mapping) else each for each in value] or None
    return value
