"""Which files of a version a pull takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from regsvc.client.listing import RemoteFile
from regsvc.errors import NotFound


@dataclass(frozen=True)
class Selection:
    """Shell patterns over paths. `*` also matches `/`; a pattern without `/` is tried on the file's name too."""

    include: Sequence[str] = ()
    """A file must match one of these, if there are any."""
    exclude: Sequence[str] = ()
    """And none of these."""

    def choose(self, files: Iterable[RemoteFile]) -> list[RemoteFile]:
        """The files that are selected. Raises `NotFound` when none is."""
        chosen = [file for file in files if self._selects(file.path)]
        if not chosen:
            raise NotFound("no file of the version matches the patterns")
        return chosen

    def _selects(self, path: str) -> bool:
        included = not self.include or any(_matches(path, pattern) for pattern in self.include)
        return included and not any(_matches(path, pattern) for pattern in self.exclude)


def _matches(path: str, pattern: str) -> bool:
    if pattern.endswith("/"):
        return path.startswith(pattern)
    return fnmatchcase(path, pattern) or (
        "/" not in pattern and fnmatchcase(path.rpartition("/")[2], pattern)
    )
