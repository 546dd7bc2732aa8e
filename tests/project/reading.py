"""What the tests of the documents share: fenced blocks, and output with its changing parts blanked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    file: str
    """The name after the language: where the block belongs."""
    text: str


def blocks(document: Path) -> list[Block]:
    """Fenced blocks in order."""
    return [
        Block(language, file or "", text) for language, file, text in _FENCE.findall(document.read_text())
    ]


def console(text: str) -> list[tuple[str, str]]:
    """Commands of a console block, each with the output printed under it."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def shape(output: str) -> list[str]:
    """Lines without digests, times, rates, padding and what is this machine's: what must be the same in every run."""
    lines = []
    for line in output.rstrip("\n").splitlines():
        plain = re.sub(r"\b[0-9a-f]{64}\b", "DIGEST", line)
        plain = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", plain)
        plain = re.sub(r"\b\d+\.\d s\b", "SECONDS", plain)
        plain = re.sub(r"\b\d+\.\d [KMG]iB", "SIZE", plain)
        words = plain.split()
        if words and words[0] == "author":
            continue  # whoever runs the tour
        lines.append(words[0] if words and words[0] in ("environment", "machine") else " ".join(words))
    return lines


def indented(document: Path) -> list[str]:
    """Lines that stand four spaces in: commands and examples."""
    return [line.strip() for line in document.read_text().splitlines() if line.startswith("    ")]
