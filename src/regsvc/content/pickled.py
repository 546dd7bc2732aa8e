"""What PyTorch's `data.pkl` says about storages, read without unpickling: opcodes are listed, never executed.

`torch.save` refers to each storage by a persistent id: the tuple `('storage', torch.FloatStorage, key, location,
elements)`. Its bytes are the archive's member `data/<key>`.
Source: https://github.com/pytorch/pytorch/blob/main/torch/serialization.py, `_save`.
"""

import pickletools
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from regsvc.content.layout import Layout

MAX_OPCODES = 1 << 19
"""Most opcodes looked at. A tensor takes about 35."""

MAX_MEMO = 1 << 16
"""Most constants remembered; what all storages share comes first."""


class Storage(NamedTuple):
    """The memory of one or more tensors."""

    size: int
    """Bytes."""
    layout: Layout


# Bytes of an element, and the width of what compresses alike.
_ELEMENTS = {
    "torch DoubleStorage": (8, Layout.WIDTH8),
    "torch FloatStorage": (4, Layout.WIDTH4),
    "torch HalfStorage": (2, Layout.WIDTH2),
    "torch BFloat16Storage": (2, Layout.WIDTH2),
    "torch LongStorage": (8, Layout.WIDTH8),
    "torch IntStorage": (4, Layout.WIDTH4),
    "torch ShortStorage": (2, Layout.WIDTH2),
    "torch CharStorage": (1, Layout.WIDTH1),
    "torch ByteStorage": (1, Layout.WIDTH1),
    "torch BoolStorage": (1, Layout.WIDTH1),
    "torch ComplexFloatStorage": (8, Layout.WIDTH4),
    "torch ComplexDoubleStorage": (16, Layout.WIDTH8),
    "torch.storage UntypedStorage": (1, Layout.WIDTH1),
}

_CONSTANTS = {
    "BINUNICODE", "BINUNICODE8", "SHORT_BINUNICODE", "GLOBAL", "BININT", "BININT1", "BININT2", "LONG1",
}  # fmt: skip
_TRANSPARENT = {"PROTO", "FRAME"}


def storages(pickle: bytes) -> dict[str, Storage]:
    """Storages by key, of those classes that we know; up to where the pickle cannot be read. Never raises."""
    found: dict[str, Storage] = {}
    try:
        for value in _persistent_ids(pickle):
            match value:
                case ("storage", str(kind), str(key), _, int(count)) if kind in _ELEMENTS and count >= 0:
                    size, layout = _ELEMENTS[kind]
                    found[key] = Storage(size * count, layout)
    except ValueError:  # no pickle, or cut short
        pass
    return found


def _persistent_ids(pickle: bytes) -> Iterator[Any]:
    """Persistent ids made of constants, in order; others come as anything."""
    # Constants pushed since the last mark, or since what is none: enough to see a tuple of constants.
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    memoized = 0
    argument: Any
    for opcode, argument, _ in islice(pickletools.genops(pickle), MAX_OPCODES):
        name = opcode.name
        if name in _CONSTANTS:
            stack.append(argument)
        elif name in {"BINPUT", "LONG_BINPUT", "MEMOIZE"}:
            number = memoized if name == "MEMOIZE" else argument
            memoized += 1
            if stack and len(memo) < MAX_MEMO:
                memo[number] = stack[-1]
        elif name in {"BINGET", "LONG_BINGET"} and argument in memo:
            stack.append(memo[argument])
        elif name == "STACK_GLOBAL" and len(stack) >= 2:
            stack[-2:] = [f"{stack[-2]} {stack[-1]}"]
        elif name == "TUPLE":
            stack = [tuple(stack)]
        elif name == "BINPERSID" and stack:
            yield stack.pop()
        elif name not in _TRANSPARENT:
            stack = []
