"""Walks through ZIP archives of tensors from front to back: PyTorch's checkpoints and NumPy's `.npz`.

Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT. The central directory comes last, so members
are found by their local headers. PyTorch leaves the sizes there at zero and writes them after the data (a "data
descriptor"): the pickle then tells how long a storage is, and other members are short enough to search for theirs.
"""

import struct
from collections.abc import Generator
from typing import NamedTuple

from regsvc.content.layout import Layout
from regsvc.content.npy import find_array
from regsvc.content.pickled import Storage, storages
from regsvc.content.plans import SMALL_TENSOR, Look, Stretch, Walk

MAX_MEMBERS = 1 << 17
"""Most members walked through."""

MAX_PICKLE = 4 << 20
"""Longest `data.pkl` read, in bytes."""

MAX_UNSTATED = 64 << 10
"""Longest other member of unstated size, in bytes."""

_LOCAL = struct.Struct("<4s5H3I2H")
_LOCAL_MAGIC = b"PK\x03\x04"
_DESCRIPTOR_MAGIC = b"PK\x07\x08"
_DESCRIPTORS = (struct.Struct("<8xII"), struct.Struct("<8xQQ"))  # magic, CRC, size in the archive, size
_STORED = 0
_ENCRYPTED, _HAS_DESCRIPTOR = 0x01, 0x08
_IN_ZIP64 = 0xFFFFFFFF
_ZIP64 = 0x0001
_FIRST_LOOK = 512
_MAX_GUESSES = 1024


class _Member(NamedTuple):
    name: bytes
    begin: int
    """Offset of the data."""
    size: int | None
    """Bytes of the data in the archive, if the header says so."""
    is_stored: bool
    """Whether the data are the member's own bytes, neither compressed nor encrypted."""
    has_descriptor: bool


def looks_like_zip(head: bytes) -> bool:
    """Whether a file begins with a member of an archive."""
    return head.startswith(_LOCAL_MAGIC)


def zip_walk(size: int) -> Walk:
    """Storages and arrays in an archive of `size` bytes, and its other large members; up to what is in doubt."""
    known: dict[bytes, Storage] = {}
    pickled = False
    at = 0
    for _ in range(MAX_MEMBERS):
        member = yield from _member(at)
        if member is None:
            return
        storage = known.get(member.name)
        length = member.size
        if length is None and storage is not None:
            length = storage.size
        is_pickle = member.is_stored and not pickled and member.name.rpartition(b"/")[2] == b"data.pkl"
        if length is None:
            length = yield from _search(member.begin, MAX_PICKLE if is_pickle else MAX_UNSTATED)
        if length is None or member.begin + length > size:
            return
        if is_pickle and length <= MAX_PICKLE:
            pickle = yield Look(member.begin, length)
            folder = member.name.removesuffix(b"data.pkl") + b"data/"
            known = {folder + key.encode(errors="replace"): found for key, found in storages(pickle).items()}
            pickled = True
        stretch = yield from _stretch(member, length, storage)
        if stretch is not None:
            yield stretch
        at = member.begin + length
        if member.has_descriptor:
            tail = yield Look(at, 28)
            skipped = _descriptor_size(tail, length)
            if skipped is None:
                return
            at += skipped


def _member(at: int) -> Generator[Look, bytes, _Member | None]:
    """The member whose local header is at `at`, if one is."""
    head = yield Look(at, _FIRST_LOOK)
    if len(head) < _LOCAL.size or not looks_like_zip(head):
        return None
    _, _, flags, method, _, _, _, size, raw_size, name_size, extra_size = _LOCAL.unpack_from(head)
    end = _LOCAL.size + name_size + extra_size
    if end > len(head):
        head = yield Look(at, end)
        if len(head) < end:
            return None
    name = head[_LOCAL.size : _LOCAL.size + name_size]
    stated: int | None = size
    if size == _IN_ZIP64:
        stated = _zip64_size(head[_LOCAL.size + name_size : end], after_raw_size=raw_size == _IN_ZIP64)
    has_descriptor = bool(flags & _HAS_DESCRIPTOR)
    if has_descriptor and not stated:
        stated = None
    elif stated is None:
        return None
    return _Member(name, at + end, stated, method == _STORED and not flags & _ENCRYPTED, has_descriptor)


def _zip64_size(extra: bytes, *, after_raw_size: bool) -> int | None:
    """The size in the archive that the ZIP64 extra field states."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind == _ZIP64:
            begin = at + 4 + (8 if after_raw_size else 0)
            return int.from_bytes(extra[begin : begin + 8], "little") if begin + 8 <= at + 4 + size else None
        at += 4 + size
    return None


def _stretch(member: _Member, length: int, storage: Storage | None) -> Generator[Look, bytes, Stretch | None]:
    """What of the member is cut by itself: its array, its storage, or all of it if that is much."""
    end = member.begin + length
    if member.is_stored and storage is not None:
        return Stretch(member.begin, end, storage.layout) if length else None
    if member.is_stored and member.name.endswith(b".npy"):
        array = yield from find_array(member.begin, end)
        if array is not None:
            return array
    return Stretch(member.begin, end, Layout.OPAQUE) if length >= SMALL_TENSOR else None


def _search(begin: int, most: int) -> Generator[Look, bytes, int | None]:
    """The size of a member of up to `most` bytes, by the descriptor after it."""
    window = min(most, MAX_UNSTATED)
    while True:
        data = yield Look(begin, window + 28)
        at = data.find(_DESCRIPTOR_MAGIC)
        for _ in range(_MAX_GUESSES):
            if at < 0 or at > window:
                break
            if _descriptor_size(data[at : at + 28], at) is not None:
                return at
            at = data.find(_DESCRIPTOR_MAGIC, at + 1)
        if window == most or len(data) < window:
            return None
        window = min(most, 4 * window)


def _descriptor_size(data: bytes, size: int) -> int | None:
    """Bytes of the descriptor with which `data` begins, if it is that of a member of `size` bytes."""
    if data.startswith(_DESCRIPTOR_MAGIC):
        for form in _DESCRIPTORS:
            if data[form.size : form.size + 2] == b"PK" and form.unpack_from(data)[0] == size:
                return form.size
    return 0 if not size and data.startswith(b"PK") else None
