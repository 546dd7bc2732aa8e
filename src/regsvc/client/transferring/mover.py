"""Brings items into a server: offers them, sends what is wanted, and says what came of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from regsvc import errors
from regsvc.client.build_records import short_name
from regsvc.client.connection import Connection
from regsvc.client.resume import DEFAULT_PATIENCE, Patience, is_transient
from regsvc.client.transferring.report import LeftOut, Moved, OnMoved, TransferReport, moved_from, name_of
from regsvc.client.transferring.source import Frames, Piece
from regsvc.client.transferring.upload import Part, TargetUpload
from regsvc.v1 import transfer_pb2 as pb

IMPORT_BYTES = 1 << 20
"""Items of one Import, at least, if there are so many."""
IMPORT_ITEMS = 500
IMPORT_TIMEOUT = 600.0
"""Seconds for one Import: a build with a long log is read through."""
WINDOW_BYTES = 64 << 20
"""Raw bytes that are sent by one call, about."""
_ROUNDS = 8
"""How often the transfer of one version begins anew after the target has lost some of it."""
_BEGIN_AGAIN = (
    errors.LeaseLapsed,
    errors.UploadClosed,
    errors.FilesIncomplete,
    errors.ChunksMissing,
    errors.OffsetGap,
    errors.Superseded,
)
_AGAIN = frozenset(kind.reason for kind in _BEGIN_AGAIN)
_WANTED = pb.IMPORT_OUTCOME_WANTED
_THERE = (pb.IMPORT_OUTCOME_CREATED, pb.IMPORT_OUTCOME_PRESENT)


class Contents(Protocol):
    """What belongs to a version or build beside its item."""

    def items(self) -> Iterator[Any]:
        """Manifest, Blob and Points items, in order."""

    def frames(self, pieces: Sequence[Piece]) -> Iterator[Frames]:
        """The chunks at these places, in order; of the item that came last."""

    def again(self) -> None:
        """Begin anew. Raises `FailedPrecondition` when that cannot be."""


class Mover:
    """Brings items of one source into one target. One thread at a time."""

    def __init__(
        self,
        target: Connection,
        source: str,
        *,
        into: str = "",
        patience: float = DEFAULT_PATIENCE,
        on_moved: OnMoved | None = None,
        on_bytes: Callable[[TransferReport], None] | None = None,
        later: Callable[[Moved], bool] | None = None,
    ) -> None:
        """`source` is the store id of the source, `into` the resource name of where things are put.

        What `later` is true of comes again, and is not noted.
        """
        self.report = TransferReport()
        self._target = target
        self._source = source
        self._into = into
        self._patience = patience
        self._on_moved = on_moved or (lambda moved: None)
        self._later = later or (lambda moved: False)
        self._on_bytes = on_bytes or (lambda report: None)
        self._refused: set[str] = set()
        """Versions and builds that did not come in: what is said of them does not either."""

    def take(self, items: Sequence[Any], contents_of: Callable[[Any], Contents]) -> None:
        """Bring items in order. Raises `Unavailable` when the target stays away."""
        for segment in _segments(items):
            self._take_segment(segment, contents_of)

    def offer(self, item: Any) -> Any:
        """Offer a version, its state, or a build; gives the result if it is wanted, else nothing."""
        [result] = self._import([item])
        if result.outcome == _WANTED:
            return result
        self._note(item, result)
        return None

    def bring(self, item: Any, contents: Contents, offered: Any) -> None:
        """Send a version or build that is wanted, whole; `offered` is what the target said of it."""
        waiting, rounds, anew = Patience(self._patience), _ROUNDS, False
        sending = _Bringing(self, item, contents, offered)
        try:
            while True:
                sent = self.report.chunks_sent
                try:
                    self._note(item, sending.attempt(anew=anew))
                    return
                except _BEGIN_AGAIN as error:
                    if not rounds:
                        raise
                    rounds -= 1
                    anew = isinstance(error, (errors.LeaseLapsed, errors.UploadClosed, errors.Superseded))
                except errors.ChunkDamaged as error:
                    # At the target it reads as missing from now on, and is sent; at the source nothing helps.
                    if not rounds:
                        self.fail(item, error)
                        return
                    rounds, anew = rounds - 1, False
                except errors.VersionDeleted as error:  # at the source, since it was offered
                    self.fail(item, error)
                    return
                except errors.RegsvcError as error:
                    if not is_transient(error) and not isinstance(error, errors.DeadlineExceeded):
                        raise
                    if self.report.chunks_sent > sent:
                        waiting.reset()
                    anew = False
                    waiting.wait(error)
                sending.drop()
                contents.again()
        finally:
            sending.close()

    def points(self, items: Iterator[Any] | Sequence[Any]) -> None:
        """Bring points of a version's evaluations."""
        for item in items:
            if item.WhichOneof("item") == "points":
                [result] = self._import([item])
                self._note(item, result)

    def left_out(self, item: Any) -> None:
        """Note what is not exported."""
        found = LeftOut(short_name(item.left_out.name), item.left_out.reason)
        if found not in self.report.left_out:
            self.report.left_out.append(found)

    def _take_segment(self, items: Sequence[Any], contents_of: Callable[[Any], Contents]) -> None:
        """Some items. What fails behind one that is wanted is offered again when that is there."""
        again: list[Any] = []
        brought = False
        for item, result in zip(items, self._import(items), strict=True):
            if result.outcome == _WANTED:
                if again:
                    self._take_segment(again, contents_of)
                    again = []
                self._bring(item, result, contents_of(item))
                brought = True
            elif brought and result.outcome not in _THERE:
                again.append(item)
            else:
                self._note(item, result)
        if again:
            self._take_segment(again, contents_of)

    def _bring(self, item: Any, result: Any, contents: Contents) -> None:
        if item.WhichOneof("item") == "version_state":
            try:
                self.points(contents.items())
            except errors.VersionDeleted as error:
                self.fail(item, error)
                return
            [result] = self._import([item])
            if result.outcome != _WANTED:  # else points were refused, which is noted
                self._note(item, result)
        else:
            self.bring(item, contents, result)

    def _note(self, item: Any, result: Any) -> None:
        kind, name = item.WhichOneof("item"), name_of(item)
        if kind == "left_out":
            self.left_out(item)
            return
        moved = moved_from(item, result)
        if self._later(moved):
            return
        if moved.failed and kind in ("version", "build"):
            self._refused.add(name)
        elif moved.failed and name in self._refused and kind in ("version_state", "notes", "points"):
            return
        self.report.add(moved)
        self._on_moved(moved)

    def fail(self, item: Any, error: errors.RegsvcError) -> None:
        """It cannot come; all else goes on."""
        result = pb.ImportResult(
            name=name_of(item),
            outcome=pb.IMPORT_OUTCOME_REFUSED,
            reason=error.reason,
            message=error.message,
        )
        self._note(item, result)

    def _import(self, items: Sequence[Any], upload: str = "", blobs: str = "") -> Sequence[Any]:
        request = pb.ImportRequest(
            source=self._source, items=items, upload=upload, blobs=blobs, into=self._into
        )
        answer = self._target.call(
            self._target.transfers.Import, request, timeout=IMPORT_TIMEOUT, patience=self._patience
        )
        results: Sequence[Any] = answer.results
        return results

    def _count(self, chunks: int, chunks_sent: int, bytes_sent: int) -> None:
        self.report.chunks += chunks
        self.report.chunks_sent += chunks_sent
        self.report.bytes_sent += bytes_sent
        self._on_bytes(self.report)


class _Bringing:
    """The uploads of one version or build."""

    def __init__(self, mover: Mover, item: Any, contents: Contents, offered: Any) -> None:
        self._mover = mover
        self._item = item
        self._contents = contents
        self._offered = offered
        self._kind = item.WhichOneof("item")
        self._target = ""
        self._anew = False
        self._uploads: dict[str, TargetUpload] = {}
        self._opened: set[str] = set()
        """Those that this attempt has opened."""
        self._offsets: dict[str, int] = {}
        """Bytes of the file under way that are behind us, by path."""

    def attempt(self, *, anew: bool) -> Any:
        """Send all of it and have it made; gives the result. Raises what stopped it."""
        offered, self._offered = self._offered, None
        if offered is None:
            [offered] = self._mover._import([self._item])
        if offered.outcome != _WANTED:  # an answer was lost, or somebody else was faster
            return offered
        missing = set(offered.missing)
        self._offsets.clear()
        self._target = offered.name
        self._anew = anew
        self._opened.clear()
        # A version has files and a build has points, for the most part; the blobs of a version, when they come.
        self._upload("files" if self._kind == "version" else "blobs")
        for item in self._contents.items():
            self._take(item, missing)
        [made] = self._mover._import([self._item], self._name("files"), self._name("blobs"))
        if made.outcome == pb.IMPORT_OUTCOME_REFUSED and made.reason in _AGAIN:
            raise errors.BY_REASON[made.reason](made.message)
        return made

    def drop(self) -> None:
        """The next attempt begins with connections of its own."""
        for upload in self._uploads.values():
            upload.drop()

    def close(self) -> None:
        """End the connections."""
        for upload in self._uploads.values():
            upload.close()

    def _upload(self, use: str) -> TargetUpload:
        """The upload of files or of blobs, open: at its first use, so that its lease does not end before."""
        if use not in self._uploads:
            mover = self._mover
            kind = getattr(self._item, self._kind)
            found = getattr(kind, self._kind)
            state = f"{found.digest} {found.record_digest}" if self._kind == "version" else found.log_digest
            identity = f"{use} {mover._source} {self._target} {state}"
            model = "/".join(self._target.split("/")[:4])
            self._uploads[use] = TargetUpload(mover._target, model, identity, mover._patience)
        if use not in self._opened:
            self._uploads[use].open(anew=self._anew)
            self._opened.add(use)
        return self._uploads[use]

    def _name(self, use: str) -> str:
        return self._uploads[use].name if use in self._opened else ""

    def _take(self, item: Any, missing: set[str]) -> None:
        match item.WhichOneof("item"):
            case "manifest" if self._kind == "version":
                self._send("files", [self._file(each) for each in item.manifest.files])
            case "blob" if item.blob.digest in missing:
                self._send("blobs", [self._blob(item.blob)])
            case "points" if self._kind == "build":
                [result] = self._mover._import([item], blobs=self._name("blobs"))
                if result.outcome == pb.IMPORT_OUTCOME_REFUSED:
                    raise errors.BY_REASON.get(result.reason, errors.InvalidArgument)(result.message)

    def _file(self, file: Any) -> Part:
        begin = self._offsets.get(file.path, 0)
        pieces = _pieces(file.digest, begin, file.chunks)
        end = begin + sum(piece.size for piece in pieces)
        self._offsets = {file.path: end}
        return Part(file.path, pieces, end >= file.size, file.digest)

    def _blob(self, blob: Any) -> Part:
        pieces = _pieces(blob.digest, blob.offset, blob.chunks)
        end = blob.offset + sum(piece.size for piece in pieces)
        return Part(blob.digest, pieces, end >= blob.size, blob.digest)

    def _send(self, use: str, parts: Sequence[Part]) -> None:
        for window in _windows(parts):
            self._mover._count(*self._upload(use).send(window, self._contents.frames))


def _windows(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """The parts in stretches that are sent by one call each, which is not to last for ever."""
    window: list[Part] = []
    size = 0
    for part in parts:
        begin = 0
        for end, piece in enumerate(part.pieces, 1):
            size += piece.size
            if size >= WINDOW_BYTES and end < len(part.pieces):
                window.append(Part(part.path, part.pieces[begin:end], finish=False, blob=part.blob))
                yield window
                window, size, begin = [], 0, end
        window.append(Part(part.path, part.pieces[begin:], part.finish, part.blob))
        if size >= WINDOW_BYTES:
            yield window
            window, size = [], 0
    if window:
        yield window


def check_into(into: str, names: Sequence[str]) -> None:
    """Raises `InvalidArgument` when what is exported by these names may be several models, and `into` is one."""
    models = {"/".join(name.split("/")[:4]) for name in names if "/models/" in name}
    if "/models/" in into and (len(models) != 1 or not all("/models/" in name for name in names)):
        raise errors.InvalidArgument("several models cannot become one: export one, or name a namespace")


def _pieces(blob: str, offset: int, chunks: Sequence[Any]) -> list[Piece]:
    found = []
    for chunk in chunks:
        found.append(Piece(blob, offset, chunk.digest, chunk.size))
        offset += chunk.size
    return found


def _segments(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Items that go into one Import each."""
    begin = size = 0
    for end, item in enumerate(items):
        weight = item.ByteSize()
        if end > begin and (size + weight > IMPORT_BYTES or end - begin >= IMPORT_ITEMS):
            yield items[begin:end]
            begin, size = end, 0
        size += weight
    if begin < len(items):
        yield items[begin:]
