"""Capture: what a version's record can tell by itself, of the code and the machine that made it.

Nothing here raises: what cannot be read is said in the record's `gaps`, and the push goes on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from regsvc.client.capture.code import capture_code
from regsvc.client.capture.environment import capture_environment
from regsvc.content.record import EMPTY, Code, Environment, Record

CAPTURE_VARIABLE = "REGSVC_CAPTURE"
"""`off` captures nothing; `code` or `environment` only that."""


@dataclass(frozen=True)
class Capture:
    """A record, and the attachments that it names."""

    record: Record = EMPTY
    attachments: Mapping[str, bytes] = field(default_factory=dict)
    """Bytes by name."""


NOTHING = Capture()


def capture(folder: str | os.PathLike[str] = ".", *, snapshot: bool = False) -> Capture:
    """Code and environment of this process: the git repository around `folder`, and the Python that runs.

    With `snapshot` also the sources, as the attachment `source.tar.gz`: the files below `folder` that git tracks,
    as they are now, or all of them where there is no git.

    Never raises; what could not be read is in `record.gaps`. Of environment variables only those that
    `REGSVC_CAPTURE_VARIABLES` (patterns, separated by commas) allows are taken, and URLs lose their credentials.
    `REGSVC_CAPTURE=off` captures nothing.
    """
    wanted = os.environ.get(CAPTURE_VARIABLE, "").strip().lower()
    if wanted in {"off", "0", "no", "false"}:
        return NOTHING
    gaps: list[str] = []
    attachments: dict[str, bytes] = {}
    code = (
        Code()
        if wanted == "environment"
        else capture_code(Path(folder), attachments, gaps, snapshot=snapshot)
    )
    environment = Environment() if wanted == "code" else capture_environment(Path(folder), attachments, gaps)
    return Capture(Record(code=code, environment=environment, gaps=tuple(gaps)), attachments)


def captured_for(wanted: bool | Capture) -> Capture:
    """What a push or build takes: what was captured already, what there is now, or nothing."""
    if isinstance(wanted, Capture):
        return wanted
    return capture() if wanted else NOTHING
