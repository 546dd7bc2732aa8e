"""Export, import and mirrors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from regsvc import refs
from regsvc.client import catalog
from regsvc.client.verbs.connections import Connections, _target
from regsvc.errors import InvalidArgument

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

        names = self._exported(what)
        return copy(
            self._connection(None),
            self._connection(_target(server)),
            names,
            into=placed(into, names),
            on_moved=on_moved,
            on_bytes=on_bytes,
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


def placed(into: str, names: Sequence[str]) -> str:
    """The resource name of where things are put. Raises `NameInvalid`, `InvalidArgument`."""
    if not into:
        return ""
    if "/" not in into:
        return refs.ModelName(into, "x").wire.rpartition("/models/")[0] if refs.parse_model(into) else ""
    models = {"/".join(name.split("/")[:4]) for name in names}
    if len(models) > 1 or any(name.count("/") < 3 for name in names):
        raise InvalidArgument("several models cannot become one: name one model, or a namespace")
    return refs.parse_model(into).wire
