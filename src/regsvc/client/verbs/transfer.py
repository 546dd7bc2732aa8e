"""Export, import and mirrors."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, BinaryIO

from regsvc import refs
from regsvc.client import catalog
from regsvc.client.verbs.connections import Connections, _target

if TYPE_CHECKING:
    from regsvc.client.transferring.report import OnMoved, TransferReport

    OnBytes = Callable[[TransferReport], None]


class Transfers(Connections):
    """Those methods of `Client`."""

    def export_to(
        self,
        server: str,
        what: Sequence[str] = (),
        *,
        into: str = "",
        on_moved: OnMoved | None = None,
        on_bytes: OnBytes | None = None,
    ) -> TransferReport:
        """Bring models and versions into another server, `[regsvc://]host[:port]`, with all that belongs to them.

        `what` are references: `[namespace/]model` brings a whole model, with a suffix one version; nothing brings
        all. `into` is `namespace` or `namespace/model`. Only what is missing travels, so a second run goes on where
        the first one ended. What is there under the same name with other content is a conflict: it stays, it is
        in the report, and all else goes on (docs/export.md). Raises `NotFound`, `NameInvalid`, `InvalidArgument`.
        """
        from regsvc.client.transferring.copying import copy

        return copy(
            self._connection(None),
            self._connection(_target(server)),
            self._exported(what),
            into=into_name(into),
            on_moved=on_moved,
            on_bytes=on_bytes,
        )

    def export_archive(
        self,
        archive: str | os.PathLike[str] | BinaryIO,
        what: Sequence[str] = (),
        *,
        on_bytes: OnBytes | None = None,
    ) -> TransferReport:
        """Write models and versions with all that belongs to them into an archive, a path or an open file.

        `what` as for `export_to`. A path gets its content in one step at the end; until then it is `PATH.partial`, and
        the same export called again goes on with that. Raises `NotFound`, `NameInvalid`, `OSError`, `Aborted` (another
        process writes it).
        """
        from regsvc.client.transferring.packing import pack

        return pack(self._connection(None), self._exported(what), archive, on_bytes=on_bytes)

    def import_archive(
        self,
        archive: str | os.PathLike[str] | BinaryIO,
        *,
        into: str = "",
        on_moved: OnMoved | None = None,
        on_bytes: OnBytes | None = None,
    ) -> TransferReport:
        """Bring what an archive has, a path or an open file, into this server, as `export_to` does.

        What stands before a damaged place comes in whole. Raises `ArchiveDamaged`, `InvalidArgument`, `NameInvalid`,
        `OSError`.
        """
        from regsvc.client.transferring.unpacking import unpack

        return unpack(
            self._connection(None), archive, into=into_name(into), on_moved=on_moved, on_bytes=on_bytes
        )

    def mirror(
        self,
        source: str,
        *,
        filter: str = "",
        once: bool = False,
        full: bool = False,
        on_moved: OnMoved | None = None,
        on_caught_up: Callable[[int], None] | None = None,
        stopped: Callable[[], bool] | None = None,
    ) -> TransferReport:
        """Keep this server equal to another one, `[regsvc://]host[:port]`: all of it, then what changes there.

        The position is kept on this server, so a mirror that was killed goes on. `filter` is a CEL condition on `model`
        and `resource`. `full` compares all of it first, wherever it is. With `once` it ends when it is where the source
        was at the start, else when `stopped` gives true, which is asked between events; its report is of the last ones
        then. `on_caught_up` gets the number of each event up to which all is here. What is changed on this server is
        never overwritten: that is a conflict, in the report, and all else goes on (docs/mirror.md). Raises
        `InvalidArgument`, `FilterInvalid`, and `Unavailable` with `once`.
        """
        from regsvc.client.transferring.mirroring import mirror

        return mirror(
            self._connection(_target(source)),
            self._connection(None),
            filter=filter,
            once=once,
            full=full,
            on_moved=on_moved,
            on_caught_up=on_caught_up,
            stopped=stopped,
        )

    def _exported(self, what: Sequence[str]) -> list[str]:
        """Resource names of what a person wants to export."""
        return [self._exported_name(each) for each in what] or ["namespaces/-"]

    def _exported_name(self, what: str) -> str:
        if what.startswith("namespaces/"):
            return what
        source = refs.parse_source(what)[1]
        if isinstance(source, refs.BuildName) or source.number is not None:
            return source.wire
        if what.endswith((":latest", "@latest")) or source != refs.VersionRef(source.model):
            found = catalog.get_version(self._connection(None), source)
            return refs.parse_reference(found.reference).version.wire
        return source.model.wire


def into_name(into: str) -> str:
    """The resource name of `namespace` or `namespace/model`. Raises `NameInvalid`."""
    if not into:
        return ""
    model = refs.parse_model(into if "/" in into else f"{into}/x")
    return model.wire if "/" in into else f"namespaces/{model.namespace}"
