"""Who says so, and why: checks of authors and reasons."""

from __future__ import annotations

import re
from dataclasses import replace

from regsvc.catalog.aliases import Move
from regsvc.errors import InvalidArgument
from regsvc.service.checks import check_text

MAX_AUTHOR_BYTES = 200
MAX_REASON_BYTES = 4 << 10
"""Of a reason, and of an approval's comment."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def author_of(text: str) -> str:
    """An author without the blanks around. Raises `InvalidArgument`, `ResourceExhausted`."""
    author = text.strip()
    check_text(author, "author", MAX_AUTHOR_BYTES)
    if _CONTROL.search(author):
        raise InvalidArgument("an author has no control characters")
    return author


def reason_of(text: str, what: str = "reason") -> str:
    """A reason without the blanks around. Raises `ResourceExhausted`."""
    reason = text.strip()
    check_text(reason, what, MAX_REASON_BYTES)
    return reason


def checked_move(by: Move) -> Move:
    """Raises `InvalidArgument`, `ResourceExhausted`."""
    return replace(by, author=author_of(by.author), reason=reason_of(by.reason))
