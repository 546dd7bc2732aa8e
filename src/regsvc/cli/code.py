"""What changed in the code: git's diff between commits, and what was not committed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from regsvc.cli.comparison import short_name
from regsvc.cli.safe_console import harmless
from regsvc.client.capture.git import Git
from regsvc.client.client import Client
from regsvc.content.comparison import Comparison
from regsvc.errors import DataLoss, DigestMismatch, NotFound

MAX_DIFF = 1 << 20
"""Bytes of one diff."""


@dataclass(frozen=True)
class Diff:
    """Changes of code, as git prints them."""

    title: str
    text: str
    unreadable: str = ""
    """Why there is no text: what the registry keeps of it is damaged."""

    @property
    def shown(self) -> str:
        """For people: without what would control a terminal, and with ends of lines as git shows them."""
        if self.unreadable:
            return harmless(f"cannot be read: {self.unreadable}")
        return harmless(self.text.replace("\r", "^M"))


def code_diffs(client: Client, found: Comparison, repository: Path) -> list[Diff]:
    """From the first subject's commit to the last one's, when the repository has both; and what was not committed.

    The latter comes from the records, where the subjects differ in it.
    """
    return [*_between_commits(found, repository), *_not_committed(client, found)]


def _between_commits(found: Comparison, repository: Path) -> Iterator[Diff]:
    known = [commit for commit in _code(found, "commit") if commit]
    git = shutil.which("git")
    if git is None or len(set(known)) < 2:
        return
    first, last = known[0], known[-1]
    if not all(set(commit) <= set("0123456789abcdef") for commit in (first, last)):
        return
    question = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--stat", "--patch", first, last)
    text = Git(git, repository).read(*question, limit=MAX_DIFF, cut=True)
    if text:
        yield Diff(f"{first[:12]} to {last[:12]}", _cut(text))


def _not_committed(client: Client, found: Comparison) -> Iterator[Diff]:
    seen: set[str] = set()
    for subject, changes in zip(found.subjects, _code(found, "changes"), strict=False):
        name, _, digest = changes.partition(" b3:")
        if not digest or digest in seen:
            continue
        seen.add(digest)
        reference = short_name(subject.name)
        try:
            data = client.attachment(reference, name)
        except NotFound:
            continue
        except (DataLoss, DigestMismatch) as error:
            yield Diff(f"not committed in {reference}", "", error.message)
            continue
        yield Diff(f"not committed in {reference}", _cut(data))


def _code(found: Comparison, key: str) -> tuple[str, ...]:
    rows = (row.values for row in found.facts if (row.section, row.key) == ("code", key))
    return tuple(next(rows, ()))


def _cut(data: bytes) -> str:
    text = data[:MAX_DIFF].decode("utf-8", "replace")
    return text if len(data) <= MAX_DIFF else f"{text}\n... cut\n"
