"""The last scenes: a second server that mirrors the first, and what deleting frees."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path

from demo.digests import files, identical
from demo.hosts import wait_for
from demo.processes import Regsvc, server
from demo.telling import MODEL, Story, heading, holds, say, show


def mirrored(story: Story, data: Path) -> None:
    """A mirror begins anew, follows, and is equal."""
    heading("A second server mirrors the first")
    with server(data) as endpoint:
        say(f"regsvc listening on {endpoint}")
        other = Regsvc(
            endpoint, story.work / "elsewhere-cache", lambda line: say(f"{line}   # of the mirror", "bold")
        )
        arguments = ("mirror", "--from", story.endpoint, "--to", endpoint, "--json")
        with story.command.started(*arguments) as mirror:
            place = _Place()
            reader = threading.Thread(target=place.read, args=(mirror.stdout,), daemon=True)
            reader.start()
            wait_for(lambda: place.seq, "the mirror to catch up")
            seen = place.seq
            story.command.json("note", "add", f"{MODEL}:1", "served for a year")
            wait_for(lambda: place.seq > seen, "the mirror to follow")
            _equal(story, other)
            mirror.terminate()
            reader.join()
        target = story.work / "from-the-mirror"
        other.json("pull", ALIAS, str(target))
        holds(
            "what the mirror serves is the first server's, byte for byte",
            identical(target, story.work / "elsewhere"),
        )


def collected(story: Story, packs: Path) -> None:
    """What a delete frees is known before, and is what the packs lose."""
    heading("What a delete would free is told before, to the byte")
    command = story.command
    same = command.json("rm", f"{MODEL}:2", "--dry-run")
    holds("a version that shares all its chunks would free no chunk", same["freed_bytes"] < 10_000)
    in_use = command.refused("rm", f"{MODEL}:1")
    holds("one that an alias names is not deleted", "prod" in in_use)
    show(story, "stats", f"{MODEL}:3")
    command.json("gc", "--full")  # what the builds have left
    before = _size(packs)
    told = command.json("rm", f"{MODEL}:3", "--keep", "0", "--reason", "marked as bad")["freed_bytes"]
    show(story, "gc", "--full")
    holds(f"the packs have lost the {told:,} bytes that were told", before - _size(packs) == told)


ALIAS = f"{MODEL}@prod"


class _Place:
    """How far a mirror is: the number of the source's event."""

    def __init__(self) -> None:
        self.seq = 0

    def read(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.seq = json.loads(line).get("seq", self.seq)


def _equal(story: Story, other: Regsvc) -> None:
    for what, *arguments in (
        ("models and their aliases", "ls"),
        ("versions", "ls", MODEL),
        ("the history of prod, with its times and reasons", "history", ALIAS),
        ("the first version, with record and notes", "show", f"{MODEL}:1"),
        ("the first build, with steps and metrics", "build", "show", f"{MODEL}/builds/1"),
        ("datasets", "dataset", "ls"),
    ):
        holds(f"equal: {what}", _facts(story.command.json(*arguments)) == _facts(other.json(*arguments)))


def _facts(document: object) -> object:
    """Without what each server has of its own: how it stores, and when something was touched there."""
    if isinstance(document, dict):
        return {
            key: _facts(value) for key, value in document.items() if key not in ("stored_bytes", "updated")
        }
    return [_facts(each) for each in document] if isinstance(document, list) else document


def _size(packs: Path) -> int:
    return sum(path.stat().st_size for path in files(packs).values())
