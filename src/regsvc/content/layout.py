"""How elements lie in a chunk: the only thing cutting tells the codec."""

from enum import IntEnum


class Layout(IntEnum):
    """Width in bytes of the elements that start at a chunk's first byte; `OPAQUE` when nothing is known.

    A hint, never a promise: `regsvc.content.codec` gives back the same bytes whatever it was told.
    """

    OPAQUE = 0
    WIDTH1 = 1
    WIDTH2 = 2
    WIDTH4 = 4
    WIDTH8 = 8
