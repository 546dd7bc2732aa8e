"""What an import of an MLflow store did, and what it did not, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Progress = Callable[[str], None]
"""Called with a line for people before each model, run and version."""


@dataclass
class MlflowReport:
    """The outcome of one import; with `dry_run` what it would be."""

    dry_run: bool = False
    models: dict[str, str] = field(default_factory=dict)
    """MLflow's name of each registered model, and what it is called here: `team/fraud`."""
    versions: list[str] = field(default_factory=list)
    """Versions that were added: `team/fraud:3`; of a dry run `team/fraud (MLflow version 3)`."""
    versions_present: int = 0
    """Those that were there from an earlier import."""
    builds: list[str] = field(default_factory=list)
    """Builds that were added; of a dry run `team/fraud (run ID)`."""
    builds_present: int = 0
    points: int = 0
    """Metric points that were sent."""
    aliases: list[str] = field(default_factory=list)
    """Aliases that were set or moved: `team/fraud@prod`."""
    notices: list[str] = field(default_factory=list)
    """What came in otherwise than it was, or was left out, and why."""
    failures: list[str] = field(default_factory=list)
    """What should have come in and did not, and why."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return dict(vars(self))
