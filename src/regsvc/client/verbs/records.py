"""How versions were made, found, compared, and where they come from."""

from __future__ import annotations

from collections.abc import Iterator

from regsvc import refs
from regsvc.client import comparing, lineage, provenance, searching
from regsvc.client.lineage import LineageGraph
from regsvc.client.verbs.connections import Connections
from regsvc.content.comparison import Comparison
from regsvc.errors import InvalidArgument, NameInvalid


class Records(Connections):
    """Those methods of `Client`."""

    def record(self, ref: str) -> provenance.SealedRecord:
        """How a version, or a build (`team/fraud/builds/7`), was made. Raises `NotFound`."""
        connection, owner = self._source(ref)
        return provenance.get_record(connection, owner)

    def attachment(self, ref: str, name: str) -> bytes:
        """One attachment of a record, at most 64 MiB, checked against its digest. Raises `NotFound`."""
        connection, owner = self._source(ref)
        return b"".join(provenance.read_attachment(connection, owner, name))

    def add_note(self, ref: str, text: str, *, author: str) -> provenance.Note:
        """Add a note to a version; it is never changed or removed. Raises `NotFound`, `InvalidArgument`."""
        reference = refs.parse_reference(ref)
        return provenance.add_note(self._connection(reference.server), reference.version, text, author)

    def notes(self, ref: str) -> Iterator[provenance.Note]:
        """Notes on a version, oldest first. Raises `NotFound`."""
        reference = refs.parse_reference(ref)
        return provenance.list_notes(self._connection(reference.server), reference.version)

    def search(
        self,
        filter: str = "",
        *,
        kind: str = "versions",
        within: str = "",
        order_by: str = "",
        limit: int | None = None,
    ) -> Iterator[searching.Found]:
        """Versions, builds, models or datasets that a CEL expression finds: `metrics.f1 > 0.7 && "prod" in aliases`.

        docs/search.md lists the fields. `within` is a `namespace/`, a model, or a dataset. `order_by` is
        `FIELD [desc]`, as `metrics.f1 desc`; without it the newest come first. Raises `FilterInvalid`, saying where
        and why, `FilterTooCostly`, `InvalidArgument` (kind, order).
        """
        return searching.search(
            self._connection(None), filter, kind=kind, within=within, order_by=order_by, limit=limit
        )

    def lineage(
        self, ref: str = "", *, dataset: str = "", direction: str = "both", depth: int = 0
    ) -> LineageGraph:
        """What a version or build was made from (`up`), and what was made from it (`down`).

        `ref` may also be the URI of a model of elsewhere, as records name it: what is affected by it. In its place
        `dataset` is one version of a dataset, or all of them: what was made with it, and from that. `depth` 0 is 20
        steps. Raises `NotFound`, `InvalidArgument`.
        """
        if bool(ref) == bool(dataset):
            raise InvalidArgument("lineage is that of a reference or of a dataset: give one of them")
        if dataset:
            return lineage.get_lineage(self._connection(None), refs.parse_dataset(dataset), direction, depth)
        elsewhere = refs.is_elsewhere(ref)
        connection, source = (self._connection(None), ref) if elsewhere else self._source(ref)
        return lineage.get_lineage(connection, source, direction, depth)

    def compare(
        self, *references: str, include_same: bool = False, tensors: bool = True, series_points: int = 0
    ) -> Comparison:
        """What differs between 2 to 16 versions or builds (`team/fraud/builds/7`); the first is the base.

        Only rows that differ, unless `include_same`. Without `tensors` no bytes are read. With `series_points` also
        the curves of metrics over time, by at most so many points each. Raises `NotFound`,
        `InvalidArgument` (too few, too many, the same one twice).
        """
        owners = [self._source(ref) for ref in references]
        connection = owners[0][0] if owners else self._connection(None)
        if any(other is not connection for other, _ in owners):
            raise NameInvalid("versions of different servers cannot be compared", name=references[0])
        return comparing.compare(
            connection,
            [owner for _, owner in owners],
            include_same=include_same,
            tensors=tensors,
            series_points=series_points,
        )
