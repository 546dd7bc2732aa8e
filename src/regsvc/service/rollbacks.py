"""What a rollback goes back to, told from every move that an alias made."""

from __future__ import annotations

from collections.abc import Iterable

from regsvc.catalog.aliases import Kind


def stack_of(moves: Iterable[tuple[int, Kind]]) -> list[int]:
    """The versions that an alias can go back to, oldest first; the last is the one that it names.

    A rollback takes off what is above the version that it goes to, so that the next one goes further back; what was
    taken off is not gone back to. One to a version that had been taken off puts it on again.
    """
    stack: list[int] = []
    for version, kind in moves:
        below = None
        if kind is Kind.ROLLBACK:
            below = next((at for at in range(len(stack) - 2, -1, -1) if stack[at] == version), None)
        if below is None:
            stack.append(version)
        else:
            del stack[below + 1 :]
    return stack
