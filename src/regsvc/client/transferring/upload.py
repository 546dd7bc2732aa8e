"""An upload of the target that takes chunks and recipes of somebody else's files as they are stored."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import grpc
from blake3 import blake3

from regsvc import errors
from regsvc.bulk import Bulk
from regsvc.client.connection import BulkChannels, Connection, translate
from regsvc.client.transferring.source import Frames, Piece
from regsvc.v1 import artifact_pb2

ASK = 8_192
"""Chunks that one FindMissingChunks asks for: half of what the server takes."""
REFS = 4_096
"""Chunks that the recipes of one message name, about."""
WRITE_TIMEOUT = 600.0
"""Seconds for one stretch of a file, which is at most some 20,000 chunks; it is resumed after that."""
ATTEMPTS = 1_000


class Part(NamedTuple):
    """A stretch of a file on its way."""

    path: str
    """Where it goes in the upload."""
    pieces: Sequence[Piece]
    finish: bool
    """The file ends with it."""
    blob: str
    """Digest of the whole file, 64 hex digits."""


class Counted(NamedTuple):
    """What sending some parts took."""

    chunks: int
    chunks_sent: int
    bytes_sent: int


FramesOf = Callable[[Sequence[Piece]], Iterator[Frames]]
"""Reads the chunks at these places, in order."""


class TargetUpload:
    """One upload. The same identity finds the same one again, also from another process, as long as it is open."""

    def __init__(self, connection: Connection, parent: str, identity: str, patience: float) -> None:
        self._connection = connection
        self._channels: BulkChannels = connection.bulk()
        self._parent = parent
        self._identity = identity
        self._patience = patience
        self._attempt = 0
        self.name = ""
        """uploads/{id}, once it is open."""

    def open(self, *, anew: bool = False) -> None:
        """Find it, or open one; `anew`: not the one that was open."""
        self._attempt += anew
        while self._attempt < ATTEMPTS:
            text = f"{self._identity} {self._attempt}"
            request = artifact_pb2.StartUploadRequest(
                parent=self._parent, request_id=blake3(text.encode()).hexdigest(16)
            )
            try:
                answer = self._connection.call(
                    self._connection.artifacts.StartUpload, request, patience=self._patience
                )
            except errors.NotFound:  # it was forgotten, its request was not
                self._attempt += 1
                continue
            if answer.upload.state == artifact_pb2.UPLOAD_STATE_OPEN:
                self.name = answer.upload.name
                return
            self._attempt += 1
        raise errors.FailedPrecondition("no upload could be opened")

    def send(self, parts: Sequence[Part], frames_of: FramesOf) -> Counted:
        """Bring parts of files; only chunks that the target lacks travel.

        Raises `Unavailable`, `DigestMismatch`, `OffsetGap`, `LeaseLapsed` ...; then all of it is to be sent again.
        """
        pieces = {piece.digest: piece for part in reversed(parts) for piece in reversed(part.pieces)}
        ordered = {piece.digest: pieces[piece.digest] for part in parts for piece in part.pieces}
        missing = self._missing(list(ordered))
        wanted = [piece for digest, piece in ordered.items() if digest in missing]
        sending = _Sending(self.name, parts, missing, frames_of(wanted) if wanted else iter(()))
        call = self._channels.stream(0).WriteChunks.future(sending.messages(), timeout=WRITE_TIMEOUT)
        try:
            call.result()
        except (grpc.RpcError, grpc.FutureCancelledError) as error:
            if sending.failure is not None:
                raise sending.failure from None
            if isinstance(error, grpc.RpcError):
                raise translate(error, self._connection.target) from None
            raise errors.Unavailable("the stream of chunks was cancelled") from None
        finally:
            call.cancel()
            sending.stop()
        if sending.failure is not None:
            raise sending.failure
        return Counted(sum(len(part.pieces) for part in parts), len(wanted), sending.bytes_sent)

    def drop(self) -> None:
        """What comes next begins with a connection of its own."""
        self._channels.drop()

    def close(self) -> None:
        """End the connection."""
        self._channels.close()

    def _missing(self, digests: Sequence[bytes]) -> set[bytes]:
        found: set[bytes] = set()
        for start in range(0, len(digests), ASK):
            asked = digests[start : start + ASK]
            request = artifact_pb2.FindMissingChunksRequest(upload=self.name, digests=asked)
            answer = self._connection.call(
                self._connection.artifacts.FindMissingChunks, request, timeout=120.0, patience=self._patience
            )
            found |= {asked[position] for position in answer.missing}
        return found


class _Sending:
    """The messages of one WriteChunks: frames as they come, and behind them the recipes that they complete."""

    def __init__(
        self, upload: str, parts: Sequence[Part], missing: set[bytes], frames: Iterator[Frames]
    ) -> None:
        self.failure: BaseException | None = None
        self.bytes_sent = 0
        self._upload = upload
        self._parts = parts
        self._lacking = set(missing)
        self._frames = frames
        self._lock = (
            threading.Lock()
        )  # guards the frames: gRPC's thread may read them when their call has failed
        self._stopped = False
        self._part = 0
        self._piece = 0

    def messages(self) -> Iterator[Any]:
        """Runs in gRPC's thread, which would only log what is raised here."""
        try:
            yield from self._ready(())
            while (batch := self._next()) is not None:
                self.bytes_sent += len(batch.data)
                self._lacking.difference_update(frame.digest for frame in batch.frames)
                yield from self._ready((batch,))
            if self._part < len(self._parts):
                raise errors.ChunksMissing("the source did not give all chunks", missing=len(self._lacking))
        except Exception as error:  # noqa: BLE001 - raised again by `send`
            self.failure = error

    def stop(self) -> None:
        """No frame is read after this: whoever sends again may go back to where they began."""
        with self._lock:
            self._stopped = True
            close = getattr(self._frames, "close", None)
            if close is not None:
                close()

    def _next(self) -> Frames | None:
        with self._lock:
            return None if self._stopped else next(self._frames, None)

    def _ready(self, batches: Sequence[Frames]) -> Iterator[Any]:
        """A message of the frames, with recipes of what is there by now, and more of those if they are many."""
        first = True
        while True:
            recipes = self._recipes()
            if not recipes and not (first and batches):
                return
            head = artifact_pb2.WriteChunksRequest(upload=self._upload, recipes=recipes)
            if first and batches:
                head.frames.extend(batches[0].frames)
                yield Bulk(head, [batches[0].data])
            else:
                yield Bulk(head)
            first = False

    def _recipes(self) -> list[Any]:
        found: list[Any] = []
        named = 0
        while self._part < len(self._parts) and named + len(found) < REFS:
            part = self._parts[self._part]
            end = self._piece
            while end < len(part.pieces) and part.pieces[end].digest not in self._lacking:
                if named + end - self._piece >= REFS:
                    break
                end += 1
            whole = end == len(part.pieces)
            if end == self._piece and not (whole and (part.finish or not part.pieces)):
                if not whole:
                    break
                self._part, self._piece = self._part + 1, 0
                continue
            chosen = part.pieces[self._piece : end]
            found.append(_recipe(part, chosen, ends=whole and part.finish))
            named += len(chosen)
            if not whole:
                self._piece = end
                break
            self._part, self._piece = self._part + 1, 0
        return found


def _recipe(part: Part, chosen: Sequence[Piece], *, ends: bool) -> Any:
    return artifact_pb2.RecipePart(
        path=part.path,
        offset=chosen[0].offset if chosen else 0,
        chunks=[artifact_pb2.ChunkRef(digest=each.digest, size=each.size) for each in chosen],
        finish=ends,
        digest=part.blob if ends else "",
    )
