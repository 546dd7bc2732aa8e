"""What is compared in words: card, code, environment, image, signature, tags, packages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from regsvc.content.comparison import FactRow
from regsvc.content.record import Record, TensorSpec, digest_of, has_only_untracked
from regsvc.refs import dataset_from_wire, version_from_wire
from regsvc.service.comparing_sides import Side


def facts(sides: Sequence[Side]) -> Iterator[FactRow]:
    """By section."""
    yield _fact("model", "description", [side.metadata.description for side in sides])
    yield _fact("model", "framework", [side.record.framework for side in sides])
    yield _fact("model", "format", [side.record.format for side in sides])
    yield _fact("model", "labels", [", ".join(sorted(side.record.labels)) for side in sides])
    yield _fact("model", "parents", [", ".join(_parents(side.record)) for side in sides])
    yield _fact("model", "card", [_digest(side.record.card) for side in sides])
    yield from _tables("datasets", [_datasets(side.record) for side in sides])
    yield _fact("signature", "inputs", [_specs(side.record.signature.inputs) for side in sides])
    yield _fact("signature", "outputs", [_specs(side.record.signature.outputs) for side in sides])
    yield _fact("signature", "json_schema", [_digest(side.record.signature.json_schema) for side in sides])
    yield _fact("image", "reference", [side.record.image.reference for side in sides])
    yield _fact("image", "digest", [side.record.image.digest for side in sides])
    yield _fact("code", "remote", [side.record.code.remote for side in sides])
    yield _fact("code", "commit", [side.record.code.commit for side in sides])
    yield _fact("code", "branch", [side.record.code.branch for side in sides])
    yield _fact("code", "changes", [_changes(side) for side in sides])
    environments = [side.record.environment for side in sides]
    yield _fact("environment", "python", [each.python for each in environments])
    yield _fact("environment", "platform", [each.platform for each in environments])
    yield _fact(
        "environment", "cpu", [f"{each.cores} x {each.cpu}" if each.cpu else "" for each in environments]
    )
    yield _fact("environment", "memory", [str(each.memory_bytes or "") for each in environments])
    yield _fact(
        "environment",
        "accelerators",
        [", ".join(f"{a.name} (driver {a.driver})" for a in each.accelerators) for each in environments],
    )
    yield from _tables("variables", [each.variables for each in environments])
    yield from _tables("tags", [side.metadata.tags for side in sides])


def packages(sides: Sequence[Side]) -> Iterator[FactRow]:
    """Installed packages by name."""
    yield from _tables("", [side.record.environment.packages for side in sides])


def _tables(section: str, tables: Sequence[Mapping[str, str]]) -> Iterator[FactRow]:
    for key in sorted(set().union(*tables)):
        yield _fact(section, key, [table.get(key, "") for table in tables])


def _fact(section: str, key: str, values: Sequence[str]) -> FactRow:
    return FactRow(section, key, values, len(set(values)) > 1)


def _parents(record: Record) -> Iterator[str]:
    for parent in record.parents:
        name = str(version_from_wire(parent.version)) if parent.version else parent.uri
        yield f"{parent.relation.name.lower().replace('_', '-')} {name}"


def _datasets(record: Record) -> dict[str, str]:
    """Versions by dataset and split."""
    found: dict[str, str] = {}
    for use in record.datasets:
        ref = dataset_from_wire(use.dataset)
        key = f"{ref.namespace}/{ref.dataset}{f' ({use.split})' if use.split else ''}"
        found[key] = ", ".join(filter(None, [found.get(key, ""), f":{ref.number}"]))
    return found


def _specs(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{each.name}: {each.dtype}{list(each.shape)}" for each in specs)


def _digest(text: str) -> str:
    return f"b3:{digest_of(text.encode('utf-8', 'replace')).hex()}" if text else ""


def _changes(side: Side) -> str:
    """What is not committed: the digest of the stored diff, or that there was something."""
    code = side.record.code
    for attachment in side.attachments:
        if code.diff and attachment.name == code.diff:
            return f"{attachment.name} b3:{attachment.digest.hex()}"
    if has_only_untracked(side.record):
        return "untracked files only"
    return "not kept" if code.dirty else ""
