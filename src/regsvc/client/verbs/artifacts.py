"""The bytes of versions: push, pull, one file, tensors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from regsvc import refs
from regsvc.client import provenance, pull, push, records, remote_file
from regsvc.client.cache import Cache
from regsvc.client.capture import Capture, captured_for
from regsvc.client.params import check_metric, check_params, check_tags
from regsvc.client.progress import Report
from regsvc.client.remote_file import RemoteFile
from regsvc.client.selection import Selection
from regsvc.client.verbs.connections import Connections
from regsvc.content.record import Record, merged

if TYPE_CHECKING:
    from regsvc.client.tensors import Tensors


class Artifacts(Connections):
    """Those methods of `Client`."""

    def push(
        self,
        path: str | os.PathLike[str],
        model: str,
        *,
        params: Mapping[str, records.Param] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        aliases: Sequence[str] = (),
        build: str | None = None,
        card: str = "",
        labels: Sequence[str] = (),
        parents: Mapping[str, str] | None = None,
        datasets: Mapping[str, str] | None = None,
        framework: str = "",
        format: str = "",
        image: str = "",
        record: Record | None = None,
        attachments: Mapping[str, bytes] | None = None,
        capture: bool | Capture = True,
        follow_symlinks: bool = False,
        progress: Report | None = None,
        request_id: str | None = None,
        author: str | None = None,
    ) -> records.PushResult:
        """Store a folder, or a single file, as a new version, sending only chunks that the server lacks.

        `aliases` are pointed at it in the same transaction. `build` is the build that publishes it
        (`team/fraud/builds/7`). `follow_symlinks` also takes what lies outside the folder. `progress` is called
        about ten times a second from another thread. The same `request_id` never makes two versions.

        `card` is the model card in Markdown; `parents` gives the relation (`fine-tuned`, `quantised`, `merged`,
        `distilled`, `converted`) by reference, or by URI for models of elsewhere; `datasets` gives the split
        (`train`, `test`) by dataset; `image` is
        `REFERENCE[@sha256:DIGEST]`; `record` says the same and more, `attachments` are blobs by name. Unless `capture`
        is false, or a build publishes it, code and environment are filled in by `regsvc.capture()`; what that gave may
        also be passed. `author` is who pushes it; without one REGSVC_AUTHOR, or the login name.

        Raises `PathInvalid` (symlink out of the folder, device, a name that no version may hold),
        `InvalidArgument` (no files, bad metadata), `AliasProtected` (one of `aliases`), `MetricNotFinite`,
        `FailedPrecondition` (a file changed meanwhile), `NotFound` and `BuildEnded` (the build), `OSError` (a file
        cannot be read).
        """
        metadata = records.metadata_message(  # checked now, not when all bytes have been sent
            params=check_params(params or {}),
            metrics={key: check_metric(key, value) for key, value in (metrics or {}).items()},
            tags=check_tags(tags or {}),
            description=description,
        )
        connection, name = self._model(model)
        named = provenance.assembled(
            record=record,
            card=card,
            labels=labels,
            parents=parents,
            datasets=datasets,
            framework=framework,
            format=format,
            image=image,
            server=connection.target,
        )
        captured = captured_for(capture if build is None or isinstance(capture, Capture) else False)
        return push.push(
            connection,
            path,
            name,
            metadata=metadata,
            record=merged(captured.record, named),
            attachments={**captured.attachments, **(attachments or {})},
            aliases=tuple(aliases),
            build=refs.parse_build(build) if build is not None else None,
            follow_symlinks=follow_symlinks,
            report=progress,
            request_id=request_id,
            author=author,
        )

    def pull(
        self,
        ref: str,
        dest: str | os.PathLike[str],
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        hardlink: bool = False,
        verify: bool = False,
        beside: str | os.PathLike[str] | None = None,
        progress: Report | None = None,
    ) -> records.PullResult:
        """Fetch a version into the folder `dest`, only what is not there yet, and check every digest.

        `dest` is replaced, in one step and only when everything is right, if it is absent, empty, or was made by
        a pull and not touched since. If it holds the version already nothing is transferred; `verify` reads it
        again to be sure. An interrupted pull goes on from what is there.

        Files and chunks that this machine's cache holds (docs/cache.md) are not transferred. `include` and
        `exclude` are shell patterns over the paths of files, `*.safetensors` or `onnx/*`. `hardlink` lets files
        share their bytes with the cache instead of copying them: for folders that are only read. Chunks are also
        copied from `beside`, another folder that a pull made.

        Raises `NotFound`, `FailedPrecondition` (foreign or modified files in `dest`, or another pull into it
        under way), `DigestMismatch` (what came is not what was promised), `OSError` (disk full, no permission).
        """
        reference = refs.parse_reference(ref)
        return pull.pull(
            self._connection(reference.server),
            reference.version,
            dest,
            report=progress,
            verify=verify,
            selection=Selection(tuple(include), tuple(exclude)) if include or exclude else None,
            hardlink=hardlink,
            cache=Cache.default(),
            beside=beside,
        )

    def open(self, ref: str, path: str) -> RemoteFile:
        """One file of a version as a seekable binary file object, which fetches what is read and proves it.

        The version is the one that `ref` names now, wherever an alias moves. Raises `NotFound`, `PathInvalid`.
        """
        reference = refs.parse_reference(ref)
        return remote_file.open_file(self._connection(reference.server), reference.version, path)

    def tensors(self, ref: str, files: Sequence[str] = ()) -> Tensors:
        """The tensors of a version as a mapping from names to arrays; only headers are read at first.

        Those of all files that end with `.safetensors` or `.gguf`, or of `files`, whatever these are called.
        Raises `NotFound`, `PathInvalid`, `InvalidArgument` (a file without a sound header, or names that clash),
        `ResourceExhausted` (too many tensors to list).
        """
        from regsvc.client.tensors import list_tensors

        reference = refs.parse_reference(ref)
        return list_tensors(self._connection(reference.server), reference.version, files)
