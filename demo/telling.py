"""What the scenes of the demo share: how they speak, what they claim, and what they hand to each other."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.text import Text

from demo.processes import Regsvc

MODEL = "demo/minilm"

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 120)


class DoesNotHold(AssertionError):
    """A claim of the demo failed."""


@dataclass(frozen=True)
class Row:
    """One line of the closing table."""

    what: str
    bytes: int
    moved: int
    chunks: str
    seconds: float


@dataclass
class Story:
    """What the parts of the demo hand to each other."""

    command: Regsvc
    endpoint: str
    work: Path
    rows: list[Row] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    """Seconds from a line's time stamp to its arrival at the follower."""


def heading(text: str) -> None:
    """Begin a scene."""
    console.print()
    console.print(Text(f"== {text}", "bold"))


def say(text: str, style: str = "") -> None:
    """One line."""
    console.print(Text(text, style))


def show(story: Story, *arguments: str) -> None:
    """What a command prints, indented."""
    for line in story.command.text(*arguments).rstrip().splitlines():
        say(f"  {line.rstrip()}")


def holds(claim: str, true: bool) -> None:
    """A claim; the demo ends with one that does not hold."""
    console.print(Text("  ok  " if true else "  NO  ", "green" if true else "red") + Text(claim))
    if not true:
        raise DoesNotHold(claim)
