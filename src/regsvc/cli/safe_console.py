"""A console that is not at the mercy of what it prints.

Descriptions, params, notes and file names are anybody's. A terminal would obey an escape sequence in them, and marks of
direction would turn a line around: each such character is shown as U+FFFD.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_KEPT = "\n\t\u200c\u200d"
"""Lines and columns, and joiners, without which some scripts and emoji fall apart."""


def harmless(text: str) -> str:
    """Text without characters that control a terminal or the direction of a line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "\ufffd" if char not in _KEPT and unicodedata.category(char) in ("Cc", "Cf", "Cs") else char
        for char in text
    )


class SafeConsole(Console):
    """A console that prints nothing which its own styles do not, and no blanks at the ends of lines.

    Tables fill their last column with blanks; where lines are copied or compared, nobody wants them.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As `Console.render`, of harmless text."""
        return _without_trailing_blanks(map(_harmless, super().render(renderable, options)))


def _harmless(segment: Segment) -> Segment:
    return segment if segment.control is not None else Segment(harmless(segment.text), segment.style)


def _without_trailing_blanks(segments: Iterable[Segment]) -> Iterator[Segment]:
    held: list[
        Segment
    ] = []  # those that end with blanks, until it is known whether something follows in their line
    for segment in segments:
        if segment.control is not None:
            yield from held
            held.clear()
            yield segment
            continue
        for place, line in enumerate(segment.text.split("\n")):
            if place:
                yield from (Segment(text, each.style) for each in held if (text := each.text.rstrip(" ")))
                held.clear()
                yield Segment("\n", segment.style)
            if line.strip(" "):
                yield from held
                held.clear()
            if line.endswith(" "):
                held.append(Segment(line, segment.style))
            elif line:
                yield Segment(line, segment.style)
    yield from held
