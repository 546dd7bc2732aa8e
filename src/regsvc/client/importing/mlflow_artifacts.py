"""Which files of a run become attachments of its build."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from regsvc.client.importing.mlflow_values import file_id

MOST_FILES = 56
"""Attachments of one run; a record takes 64, and a version adds its own."""
MOST_BYTES = 64 << 20
"""Of one attachment."""


@dataclass(frozen=True)
class Attachments:
    """Files by the name of the attachment, and what was left out."""

    files: dict[str, Path]
    notices: tuple[str, ...]


def attachments_of(folder: Path, models: Iterable[Path]) -> Attachments:
    """The files of a run but for those of models: `models` are folders of versions, others hold an `MLmodel`."""
    skipped = {os.path.realpath(path) for path in models}
    files: dict[str, Path] = {}
    names: set[str] = set()
    large = many = 0
    for path in sorted(_files(folder, skipped)):
        if path.stat().st_size > MOST_BYTES:
            large += 1
        elif len(files) == MOST_FILES:
            many += 1
        else:
            files[file_id(path.relative_to(folder).as_posix(), names)] = path
    notices = []
    if large:
        notices.append(f"{large} artifacts are larger than {MOST_BYTES >> 20} MiB, and left out")
    if many:
        notices.append(f"{many} artifacts are more than the {MOST_FILES} that a build takes, and left out")
    return Attachments(files, tuple(notices))


def _files(folder: Path, skipped: set[str]) -> Iterator[Path]:
    for top, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if os.path.realpath(os.path.join(top, name)) not in skipped]
        if "MLmodel" in names:
            folders.clear()
            continue
        for name in names:
            path = Path(top, name)
            if path.is_file() and os.path.realpath(path) not in skipped:
                yield path
