"""A console that is not at the mercy of what it prints.

Descriptions, params, notes and file names are anybody's. A terminal would obey an escape sequence in them, and marks of
direction would turn a line around: each such character is shown as U+FFFD.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

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
    """A console that prints nothing which its own styles do not."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As `Console.render`, of harmless text."""
        for segment in super().render(renderable, options):
            if segment.control is None:
                yield Segment(harmless(segment.text), segment.style)
            else:
                yield segment
