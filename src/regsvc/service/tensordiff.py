"""Which tensors differ between versions, and by how much: from chunks first, from bytes where these do not tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regsvc.catalog import comparison
from regsvc.catalog.database import Catalog
from regsvc.content.comparison import TensorCell, TensorRow
from regsvc.content.difference import Piece, differing_elements, differing_ranges
from regsvc.content.headers import EXTENSIONS, listed_tensors
from regsvc.content.tensors import HeaderError, TensorSpan, layout_of
from regsvc.service.reading import VersionReader

MAX_TENSORS = 200_000
"""Tensors of one version."""
MAX_FILES = 1_000
"""Tensor files of one version that are looked into."""
MAX_READ = 1 << 30
"""Bytes of both sides that are read for one comparison; beyond, whole chunks are counted."""
_WINDOW = 4 << 20
"""Bytes of each side in memory; a multiple of every element's width."""
_FIRST_LOOK = 256 << 10


@dataclass(frozen=True)
class _Tensor:
    path: str
    file_id: int
    span: TensorSpan


@dataclass(frozen=True)
class TensorChanges:
    """The rows that differ, and how many there are of each kind against the first version."""

    rows: Sequence[TensorRow]
    added: Sequence[int]
    removed: Sequence[int]
    changed: Sequence[int]
    notes: Sequence[str]


class TensorDiff:
    """One comparison of the tensors of several versions; None stands for a subject without files."""

    def __init__(self, catalog: Catalog, files: VersionReader):
        self._catalog = catalog
        self._files = files
        self._left = MAX_READ
        self._notes: dict[str, None] = {}
        self._layouts: dict[int, list[Piece]] = {}

    def compare(
        self, version_ids: Sequence[int | None], *, most_rows: int, include_same: bool
    ) -> TensorChanges:
        """Rows by name; the first subject is what the others are compared with. Raises `ChunkDamaged`."""
        tables = [{} if each is None else self._tensors(each) for each in version_ids]
        base = tables[0]
        rows: list[TensorRow] = []
        counts = [[0] * len(tables) for _ in range(3)]
        for name in sorted(set().union(*tables)):
            cells = tuple(self._cell(base.get(name), table.get(name)) for table in tables)
            for place, cell in enumerate(cells[1:], 1):
                counts[0][place] += cells[0] is None and cell is not None
                counts[1][place] += cells[0] is not None and cell is None
                counts[2][place] += cells[0] is not None and cell is not None and cell.changed != 0
            if include_same or any(cell is None or cell.changed != 0 for cell in cells):
                if len(rows) < most_rows:
                    rows.append(TensorRow(name, cells))
                else:
                    self._notes[f"only the first {most_rows} tensors that differ are listed"] = None
        return TensorChanges(rows, counts[0], counts[1], counts[2], tuple(self._notes))

    def _tensors(self, version_id: int) -> dict[str, _Tensor]:
        found: dict[str, _Tensor] = {}
        listed = self._catalog.read(lambda db: comparison.files_ending(db, version_id, EXTENSIONS))
        if len(listed) > MAX_FILES:
            self._notes[f"only the first {MAX_FILES} tensor files were compared"] = None
        for path, file_id, size in listed[:MAX_FILES]:
            try:
                spans = self._header(file_id, size)
            except HeaderError:
                self._notes[f"the tensors of '{path}' cannot be read"] = None
                continue
            for span in spans:
                if span.name in found:
                    self._notes[f"tensor '{span.name[:100]}' is in two files; the first is compared"] = None
                elif len(found) < MAX_TENSORS:
                    found[span.name] = _Tensor(path, file_id, span)
                else:
                    self._notes[f"only {MAX_TENSORS} tensors of a version were compared"] = None
        return found

    def _header(self, file_id: int, size: int) -> list[TensorSpan]:
        need = min(size, _FIRST_LOOK)
        while True:
            head = b"".join(self._files.file_bytes(file_id, 0, need))
            spans = listed_tensors(head, size)
            if not isinstance(spans, int):
                return spans
            if spans <= need:
                raise HeaderError("the header ends before its file")
            need = min(size, spans)

    def _cell(self, base: _Tensor | None, tensor: _Tensor | None) -> TensorCell | None:
        if tensor is None:
            return None
        span = tensor.span
        changed, estimated = None, False
        if base is not None and (base.span.dtype, base.span.shape) == (span.dtype, span.shape):
            changed, estimated = self._changed(base, tensor)
        return TensorCell(tensor.path, span.dtype, span.shape, changed, estimated)

    def _changed(self, base: _Tensor, tensor: _Tensor) -> tuple[float, bool]:
        size = tensor.span.end - tensor.span.begin
        if not size or (base.file_id == tensor.file_id and base.span.begin == tensor.span.begin):
            return 0.0, False
        width = max(1, layout_of(tensor.span.dtype).value)
        ranges = list(
            differing_ranges(
                self._layout(base.file_id),
                base.span.begin,
                self._layout(tensor.file_id),
                tensor.span.begin,
                size,
            )
        )
        whole = [(begin - begin % width, min(size, end + -end % width)) for begin, end in ranges]
        need = 2 * sum(end - begin for begin, end in whole)
        if need > self._left:
            self._notes["some shares of changed elements are upper bounds, counted in whole chunks"] = None
            return sum(end - begin for begin, end in ranges) / size, True
        self._left -= need
        differing = 0
        for begin, end in whole:
            for start in range(begin, end, _WINDOW):
                stop = min(end, start + _WINDOW)
                left = self._bytes(base, start, stop)
                differing += differing_elements(left, self._bytes(tensor, start, stop), width)
        return min(1.0, differing * width / size), False

    def _bytes(self, tensor: _Tensor, start: int, stop: int) -> bytes:
        begin = tensor.span.begin
        return b"".join(self._files.file_bytes(tensor.file_id, begin + start, begin + stop))

    def _layout(self, file_id: int) -> list[Piece]:
        if file_id not in self._layouts:
            rows = self._catalog.read(lambda db: comparison.layout(db, file_id))
            self._layouts[file_id] = [Piece(*row) for row in rows]
        return self._layouts[file_id]


def none_changed(count: int) -> TensorChanges:
    """Tensors were not compared."""
    zeros = [0] * count
    return TensorChanges((), zeros, zeros, zeros, ())
