"""What is needed of the store, and by whom: sizes in bytes of pack files, as docs/format.md lays them out."""

# ruff: noqa: S608 - what is put into the statements is all written here
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from regsvc.catalog.database import Reader, Row

PACK_BYTES = 96
"""Header and trailer of a pack."""
RECIPE, MANIFEST = 2, 3
"""Kinds of records."""
_COST = "(112 + (stored_size + 7) / 8 * 8)"
"""What a record takes: header, payload padded to 8 bytes, entry in the footer."""

_S = "s AS MATERIALIZED (SELECT v.id, v.digest FROM versions v WHERE v.purged = 0 AND ({which}))"
"""The versions that are looked at."""

FILE_USED = """(
  EXISTS (SELECT 1 FROM version_files x WHERE x.file_id = f.id AND {apart})
  OR EXISTS (SELECT 1 FROM version_attachments x WHERE x.file_id = f.id AND {apart})
  OR EXISTS (SELECT 1 FROM build_attachments x WHERE x.file_id = f.id)
  OR EXISTS (SELECT 1 FROM upload_attachments x WHERE x.file_id = f.id)
  OR EXISTS (SELECT 1 FROM builds x WHERE x.log_file_id = f.id)
  OR EXISTS (SELECT 1 FROM file_chunks x JOIN pins p ON p.chunk_id = x.chunk_id WHERE x.file_id = f.id)
  OR EXISTS (SELECT 1 FROM file_chunks x JOIN upload_chunks p ON p.chunk_id = x.chunk_id WHERE x.file_id = f.id)
)"""
"""Whether a file f is needed: by a version, `apart` from some, a build, or an upload that relies on its chunks."""

CHUNK_USED = """(
  EXISTS (SELECT 1 FROM file_chunks x WHERE x.chunk_id = c.id AND {apart})
  OR EXISTS (SELECT 1 FROM pins x WHERE x.chunk_id = c.id)
  OR EXISTS (SELECT 1 FROM upload_chunks x WHERE x.chunk_id = c.id)
)"""
"""Whether a chunk c is needed: by a file, `apart` from some, or an open upload."""

NOTE_USED = f"""(CASE n.kind
  WHEN {RECIPE} THEN EXISTS (SELECT 1 FROM files x WHERE x.digest = n.digest AND {{file_apart}})
  WHEN {MANIFEST} THEN EXISTS (SELECT 1 FROM versions x WHERE x.digest = n.digest AND x.purged = 0 AND {{apart}})
  ELSE 1 END)"""
"""Whether a manifest or recipe n is needed; kinds of later formats are."""

_OUTSIDE = "x.version_id NOT IN (SELECT id FROM s)"
_OF_OTHERS = "x.file_id NOT IN (SELECT id FROM own)"
_OWN = (
    f"own AS MATERIALIZED (SELECT f.id, f.digest FROM {{files}} WHERE NOT {FILE_USED.format(apart=_OUTSIDE)})"
)
"""Files that nobody but the versions that are looked at needs."""
_REST = (
    _S
    + """,
  rest AS MATERIALIZED (SELECT v.id, v.digest FROM versions v WHERE v.purged = 0 AND NOT ({which})),
  others AS MATERIALIZED (
    SELECT x.file_id AS id FROM rest CROSS JOIN version_files x ON x.version_id = rest.id
    UNION SELECT x.file_id FROM rest CROSS JOIN version_attachments x ON x.version_id = rest.id
    UNION SELECT file_id FROM build_attachments
    UNION SELECT file_id FROM upload_attachments
    UNION SELECT log_file_id FROM builds WHERE log_file_id IS NOT NULL
    UNION SELECT x.file_id FROM pins p CROSS JOIN file_chunks x ON x.chunk_id = p.chunk_id
    UNION SELECT x.file_id FROM upload_chunks p CROSS JOIN file_chunks x ON x.chunk_id = p.chunk_id),
  held AS MATERIALIZED (
    SELECT x.chunk_id AS id FROM others CROSS JOIN file_chunks x ON x.file_id = others.id
    UNION SELECT chunk_id FROM pins
    UNION SELECT chunk_id FROM upload_chunks)"""
)
"""Files and chunks that somebody else needs: the other way round, for when the others are few."""


@dataclass(frozen=True)
class Usage:
    """What some versions take."""

    versions: int = 0
    files: int = 0
    logical_size: int = 0
    """Raw bytes of their files."""
    stored_size: int = 0
    """Stored bytes of their chunks, each counted once, attachments of records included."""
    unique_size: int = 0
    """Of those that nothing else needs."""
    chunks: int = 0
    freed_size: int = 0
    """By which pack files shrink when all of these versions have been purged and collected."""

    @property
    def shared_size(self) -> int:
        """Of chunks that others need, too."""
        return self.stored_size - self.unique_size


@dataclass
class _Pack:
    chunks: int = 0
    stored: int = 0
    unique: int = 0
    gone: int = 0
    """Records that nobody else needs."""
    freed: int = 0


@dataclass(frozen=True)
class PackPlan:
    """What is needed of a pack."""

    id: int
    name: str
    size: int
    needed: int
    """Records."""
    needed_size: int
    """Bytes of those; 0 when none is."""
    dead_chunks: int
    """That nobody needs."""
    known: bool
    """Whether the catalog knows all that it holds."""

    @property
    def dead_size(self) -> int:
        """By how much it would shrink."""
        return self.size - self.needed_size - PACK_BYTES if self.needed else self.size


@dataclass(frozen=True)
class Chosen:
    """Versions, by id, or all of models."""

    versions: Sequence[int] = ()
    models: Sequence[int] = ()
    everything: bool = False

    def where(self, *, deleted: bool | None) -> tuple[str, list[object]]:
        """The condition on versions v; `deleted` leaves only those that are, or are not."""
        which = "1"
        if not self.everything:
            which = (
                "(v.id IN (SELECT value FROM json_each(?)) OR v.model_id IN (SELECT value FROM json_each(?)))"
            )
        if deleted is not None:
            which += f" AND v.deleted_at IS {'NOT ' if deleted else ''}NULL"
        lists: list[object] = [json.dumps(list(ids)) for ids in (self.versions, self.models)]
        return which, [] if self.everything else lists


def usage(db: Reader, chosen: Chosen, *, deleted: bool | None = None) -> Usage:
    """What versions take together, and what is theirs alone."""
    which, parameters = chosen.where(deleted=deleted)
    row = db.row(
        f"SELECT count(*), coalesce(sum(v.file_count), 0), coalesce(sum(v.size), 0) FROM versions v"
        f" WHERE v.purged = 0 AND {which}",
        parameters,
    )
    assert row is not None, "an aggregate has a row"
    if not row[0]:
        return Usage()
    if chosen.everything and not deleted:
        packs = _of_most(db, which)
        emptied = len({pack_id for pack_id, pack in packs.items() if pack.gone} - _needed_by_rest(db, which))
    else:
        packs = _of_some(db, which, parameters)
        emptied = _emptied(db, {pack_id: pack.gone for pack_id, pack in packs.items() if pack.gone})
    return Usage(
        versions=row[0],
        files=row[1],
        logical_size=row[2],
        stored_size=sum(pack.stored for pack in packs.values()),
        unique_size=sum(pack.unique for pack in packs.values()),
        chunks=sum(pack.chunks for pack in packs.values()),
        freed_size=sum(pack.freed for pack in packs.values()) + PACK_BYTES * emptied,
    )


def _of_some(db: Reader, which: str, parameters: Sequence[object]) -> Mapping[int, _Pack]:
    """By pack; each file and chunk of the versions is asked who else needs it."""
    own = _OWN.format(files="theirs f")
    begin = f"""WITH {_S.format(which=which)},
      theirs AS MATERIALIZED (SELECT f.id, f.digest FROM files f WHERE f.id IN (
        SELECT file_id FROM version_files WHERE version_id IN (SELECT id FROM s)
        UNION SELECT file_id FROM version_attachments WHERE version_id IN (SELECT id FROM s))),
      {own}"""
    # One query, so that the files are looked through once. A manifest or recipe may be stored more than once; all
    # copies go together.
    rows = db.rows(
        f"""{begin} SELECT pack_id, count(*), sum(stored_size), sum(gone * stored_size), sum(gone), sum(gone * {_COST})
        FROM (SELECT c.pack_id, c.stored_size, NOT {CHUNK_USED.format(apart=_OF_OTHERS)} AS gone FROM chunks c
              WHERE c.id IN (SELECT chunk_id FROM file_chunks WHERE file_id IN (SELECT id FROM theirs)))
        GROUP BY pack_id
        UNION ALL SELECT pack_id, 0, 0, 0, count(*), sum({_COST}) FROM (
          SELECT DISTINCT n.pack_id, n.record_offset, n.stored_size FROM own CROSS JOIN pack_notes n
            ON n.digest = own.digest AND n.kind = {RECIPE}
          UNION SELECT n.pack_id, n.record_offset, n.stored_size FROM s CROSS JOIN pack_notes n
            ON n.digest = s.digest AND n.kind = {MANIFEST} WHERE NOT EXISTS (SELECT 1 FROM versions x
              WHERE x.digest = s.digest AND x.purged = 0 AND x.id NOT IN (SELECT id FROM s)))
        GROUP BY pack_id""",
        parameters,
    )
    return _packs(rows)


def _of_most(db: Reader, which: str) -> Mapping[int, _Pack]:
    """The same for so many versions that it is quicker to ask what all others need, and leave that out."""
    rows = db.rows(
        f"""WITH {_REST.format(which=which)},
          theirs AS MATERIALIZED (
            SELECT file_id AS id FROM version_files WHERE version_id IN (SELECT id FROM s)
            UNION SELECT file_id FROM version_attachments WHERE version_id IN (SELECT id FROM s))
        SELECT pack_id, count(*), sum(stored_size), sum(gone * stored_size), sum(gone), sum(gone * {_COST})
        FROM (SELECT c.pack_id, c.stored_size, c.id NOT IN (SELECT id FROM held) AS gone FROM chunks c
              WHERE c.id IN (SELECT x.chunk_id FROM theirs CROSS JOIN file_chunks x ON x.file_id = theirs.id))
        GROUP BY pack_id
        UNION ALL SELECT pack_id, 0, 0, 0, count(*), sum({_COST}) FROM pack_notes n WHERE CASE n.kind
          WHEN {RECIPE} THEN EXISTS (SELECT 1 FROM files f WHERE f.digest = n.digest
            AND f.id IN (SELECT id FROM theirs) AND f.id NOT IN (SELECT id FROM others))
          WHEN {MANIFEST} THEN n.digest IN (SELECT digest FROM s) AND n.digest NOT IN (SELECT digest FROM rest)
          END GROUP BY pack_id"""
    )
    return _packs(rows)


def _needed_by_rest(db: Reader, which: str) -> set[int]:
    """Packs of which others than these versions need something."""
    rows = db.rows(
        f"""WITH {_REST.format(which=which)}
        SELECT pack_id FROM chunks WHERE id IN (SELECT id FROM held)
        UNION SELECT n.pack_id FROM pack_notes n WHERE CASE n.kind
          WHEN {RECIPE} THEN EXISTS (SELECT 1 FROM files f WHERE f.digest = n.digest
            AND f.id IN (SELECT id FROM others))
          WHEN {MANIFEST} THEN n.digest IN (SELECT digest FROM rest)
          ELSE 1 END"""
    )
    return {pack_id for (pack_id,) in rows}


def _packs(rows: Iterable[Row]) -> Mapping[int, _Pack]:
    packs: dict[int, _Pack] = {}
    for pack_id, chunks, stored, unique, gone, freed in rows:
        pack = packs.setdefault(pack_id, _Pack())
        pack.chunks += chunks
        pack.stored += stored
        pack.unique += unique
        pack.gone += gone
        pack.freed += freed
    return packs


def _emptied(db: Reader, gone: Mapping[int, int]) -> int:
    """How many packs have no needed records left once so many of each go."""
    needed = dict.fromkeys(gone, 0)
    used = CHUNK_USED.format(apart="1")
    noted = NOTE_USED.format(apart="1", file_apart="1")
    for sql in (
        f"SELECT c.pack_id, count(*) FROM chunks c WHERE c.pack_id IN ({{}}) AND {used} GROUP BY c.pack_id",
        f"SELECT n.pack_id, count(*) FROM pack_notes n WHERE n.pack_id IN ({{}}) AND {noted} GROUP BY n.pack_id",
    ):
        for pack_id, count in db.rows_in(sql, list(gone)):
            needed[pack_id] += count
    return sum(needed[pack_id] == count for pack_id, count in gone.items())


def plan(db: Reader, due_before: int) -> list[PackPlan]:
    """What would be needed of each pack once the versions that are due before a moment have been purged."""
    which = "v.deleted_at IS NOT NULL AND v.purge_at <= ?"
    begin = f"WITH {_S.format(which=which)}, {_OWN.format(files='files f')}"
    used = CHUNK_USED.format(apart=_OF_OTHERS)
    noted = NOTE_USED.format(
        apart="x.id NOT IN (SELECT id FROM s)", file_apart="x.id NOT IN (SELECT id FROM own)"
    )
    chunks = {
        row[0]: row[1:]
        for row in db.rows(
            f"{begin} SELECT pack_id, sum(used), sum(used * {_COST}), sum(1 - used) FROM"
            f" (SELECT c.pack_id, c.stored_size, {used} AS used FROM chunks c) GROUP BY pack_id",
            [due_before],
        )
    }
    notes = {
        row[0]: row[1:]
        for row in db.rows(
            f"{begin} SELECT n.pack_id, count(*), sum({_COST}) FROM pack_notes n WHERE {noted} GROUP BY n.pack_id",
            [due_before],
        )
    }
    found = []
    for pack_id, name, size, known in db.rows("SELECT id, name, size, noted FROM packs ORDER BY id"):
        used_chunks, chunk_bytes, dead_chunks = chunks.get(pack_id, (0, 0, 0))
        used_notes, note_bytes = notes.get(pack_id, (0, 0))
        needed, needed_bytes = used_chunks + used_notes, chunk_bytes + note_bytes
        found.append(PackPlan(pack_id, name, size, needed, needed_bytes, dead_chunks, bool(known)))
    return found


def pack_total(db: Reader) -> tuple[int, int]:
    """How many packs there are, and the bytes of their files."""
    row = db.row("SELECT count(*), coalesce(sum(size), 0) FROM packs")
    assert row is not None, "an aggregate has a row"
    return row[0], row[1]
