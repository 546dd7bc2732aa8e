"""What came of an export or import."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from regsvc.client.build_records import short_name
from regsvc.v1 import transfer_pb2 as pb

_OUTCOMES = {
    pb.IMPORT_OUTCOME_CREATED: "created",
    pb.IMPORT_OUTCOME_PRESENT: "present",
    pb.IMPORT_OUTCOME_CONFLICT: "conflict",
    pb.IMPORT_OUTCOME_REFUSED: "refused",
}

KINDS = {
    "dataset": "dataset",
    "model": "model",
    "build": "build",
    "points": "points",
    "version": "version",
    "version_state": "state",
    "notes": "notes",
    "rules": "rules",
    "alias": "alias",
}
"""What people call an item, by its field of `TransferItem`; others are contents."""


@dataclass(frozen=True)
class Moved:
    """What came of one item."""

    kind: str
    """`dataset`, `model`, `build`, `points`, `version`, `state`, `notes`, `rules` or `alias`."""
    name: str
    """What it is called at the target: `team/fraud:3`."""
    outcome: str
    """`created`, `present`, `conflict` or `refused`."""
    reason: str = ""
    message: str = ""
    """Why, of a conflict or a refusal."""

    @property
    def failed(self) -> bool:
        """It did not come in."""
        return self.outcome in ("conflict", "refused")


@dataclass(frozen=True)
class LeftOut:
    """What is not exported."""

    name: str
    """`team/fraud/builds/3`"""
    reason: str


@dataclass
class TransferReport:
    """What came of it all. What was there already is only counted."""

    created: list[Moved] = field(default_factory=list)
    failed: list[Moved] = field(default_factory=list)
    """Conflicts, and what the target refused; all else went on."""
    left_out: list[LeftOut] = field(default_factory=list)
    present: int = 0
    items: int = 0
    """Written to an archive."""
    chunks: int = 0
    """Named by what was moved; those that were there did not travel."""
    chunks_sent: int = 0
    bytes_sent: int = 0
    """As stored."""
    seconds: float = 0.0

    def add(self, moved: Moved) -> None:
        """Count one outcome."""
        if moved.failed:
            self.failed.append(moved)
        elif moved.outcome == "created":
            self.created.append(moved)
        else:
            self.present += 1

    @property
    def conflicts(self) -> list[Moved]:
        """Those of `failed` whose name is taken by something else."""
        return [each for each in self.failed if each.outcome == "conflict"]


OnMoved = Callable[[Moved], None]
"""Called with what came of each item, as it comes."""


def moved_from(item: Any, result: Any) -> Moved:
    """From the wire."""
    kind = KINDS.get(item.WhichOneof("item") or "", "item")
    outcome = _OUTCOMES.get(result.outcome, "refused")
    return Moved(kind, short_name(result.name), outcome, result.reason, result.message)


def name_of(item: Any) -> str:
    """The name that an item has at the source."""
    kind = item.WhichOneof("item")
    if kind is None:
        return ""
    found = getattr(item, kind)
    return str(getattr(found, kind).name if kind in ("build", "version") else found.name)
