"""What the streams of an upload bring, and what they are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blake3 import blake3

from regsvc.content import codec
from regsvc.content.buffer import Buffer
from regsvc.content.codec import Codec
from regsvc.content.frames import FrameError
from regsvc.content.plans import MAX_CHUNK
from regsvc.errors import FrameInvalid


@dataclass(frozen=True)
class IncomingFrame:
    """An encoded chunk as a client sent it."""

    digest: bytes
    codec: int
    raw_size: int
    payload: memoryview

    def decoded(self) -> Buffer:
        """The raw bytes, not yet proven; of a raw frame a view of its message. Raises `FrameInvalid`."""
        if self.codec == Codec.RAW and len(self.payload) == self.raw_size <= MAX_CHUNK:
            return self.payload
        try:
            return codec.decode(self.codec, self.payload, self.raw_size)
        except FrameError as error:
            raise FrameInvalid(f"bad frame: {error}", digest=self.digest.hex()) from error


@dataclass(frozen=True)
class RecipePart:
    """Which chunks make up one stretch of a file."""

    path: str
    offset: int
    chunks: Sequence[tuple[bytes, int]]
    """(digest, raw size)"""
    finish: bool
    digest: bytes | None
    """Of the whole file, as the client computed it."""


@dataclass(frozen=True)
class FileProgress:
    """How far one file got."""

    path: str
    committed_size: int
    digest: bytes | None
    """Once complete."""


class WritingStream:
    """One stream of a client, as the owner of the files that it writes."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        """Files that it has written; one that a newer stream took over is not taken back."""
        self.again = blake3()
        """Hash of raw bytes that it brings for a file that is complete already."""
        self.again_size = 0
        self.gone = False
        """The client is not there any more: what is done for it may stop."""
