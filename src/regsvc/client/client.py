"""The SDK's front: one client a server, with the verbs of the command line as methods."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from regsvc import refs
from regsvc.client import (
    builds,
    catalog,
    comparing,
    evaluation,
    events,
    lineage,
    logs,
    provenance,
    pull,
    push,
    records,
    remote_file,
    searching,
    series,
)
from regsvc.client import datasets as data
from regsvc.client.build_records import Build, BuildUpdate, Event, LogLine
from regsvc.client.cache import Cache
from regsvc.client.capture import Capture, captured_for
from regsvc.client.connection import Connection
from regsvc.client.datasets import Dataset, DatasetComparison, DatasetUser
from regsvc.client.lineage import LineageGraph
from regsvc.client.params import check_metric, check_params, check_tags
from regsvc.client.progress import Report
from regsvc.client.remote_file import RemoteFile
from regsvc.client.selection import Selection
from regsvc.client.series import MetricSummary, MetricValue
from regsvc.client.session import BuildSession
from regsvc.content.comparison import Comparison, Direction
from regsvc.content.record import Record, merged
from regsvc.errors import InvalidArgument, NameInvalid

if TYPE_CHECKING:
    from regsvc.client.tensors import Tensors

ENDPOINT_VARIABLE = "REGSVC_ENDPOINT"
DEFAULT_ENDPOINT = "127.0.0.1:7070"


def connect(endpoint: str | None = None) -> Client:
    """A client of the server at `endpoint`, `host:port` or `unix:/path`.

    Without one: what the environment variable REGSVC_ENDPOINT says, else 127.0.0.1:7070. Nothing is sent yet.
    """
    return Client(endpoint or os.environ.get(ENDPOINT_VARIABLE) or DEFAULT_ENDPOINT)


class Client:
    """A model registry. Any number of threads may use one; close it, or use it as a context manager.

    References are `[namespace/]model[:N | @alias | @b3:HEX]`; one that begins with `regsvc://host[:port]/` goes
    to that server. Calls wait about 90 s for a server that went away and raise `Unavailable` after that; every
    method may raise that, and `NameInvalid` for a malformed reference.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = _target(endpoint)
        self._lock = threading.Lock()  # protects _connections
        self._connections: dict[str, Connection] = {}

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
        also be passed.

        Raises `PathInvalid` (symlink out of the folder, device, a name that no version may hold),
        `InvalidArgument` (no files, bad metadata), `MetricNotFinite`, `FailedPrecondition` (a file changed
        meanwhile), `NotFound` and `BuildEnded` (the build), `OSError` (a file cannot be read).
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
        progress: Report | None = None,
    ) -> records.PullResult:
        """Fetch a version into the folder `dest`, only what is not there yet, and check every digest.

        `dest` is replaced, in one step and only when everything is right, if it is absent, empty, or was made by
        a pull and not touched since. If it holds the version already nothing is transferred; `verify` reads it
        again to be sure. An interrupted pull goes on from what is there.

        Files and chunks that this machine's cache holds (docs/cache.md) are not transferred. `include` and
        `exclude` are shell patterns over the paths of files, `*.safetensors` or `onnx/*`. `hardlink` lets files
        share their bytes with the cache instead of copying them: for folders that are only read.

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

    def version(self, ref: str) -> records.Version:
        """One version. Raises `NotFound`."""
        reference = refs.parse_reference(ref)
        return catalog.get_version(self._connection(reference.server), reference.version)

    def record(self, ref: str) -> provenance.SealedRecord:
        """How a version, or a build (`team/fraud/builds/7`), was made. Raises `NotFound`."""
        connection, owner = self._source(ref)
        return provenance.get_record(connection, owner)

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

    def log_dataset(self, source: Any, name: str, *, uri: str = "") -> Dataset:
        """Profile a CSV, Parquet or Arrow file, or a polars, pandas or Arrow table, and register it as a dataset.

        Nothing of the rows leaves this machine but the profile: counts, extremes, histograms, frequent values. The same
        data again is the same version. Name it in `datasets=` of a push. Needs `regsvc[data]`. Raises
        `InvalidArgument` (it cannot be read, and why), `NameInvalid`, `FailedPrecondition` (no polars), `OSError`.
        """
        from regsvc.client.profiling import profile

        found, digest = profile(source)
        return data.register(self._connection(None), name, found, digest, uri)

    def dataset(self, ref: str) -> Dataset:
        """One version of a dataset (`[namespace/]dataset[:N]`) with its profile. Raises `NotFound`."""
        return data.get(self._connection(None), ref)

    def datasets(self, namespace: str | None = None) -> Iterator[Dataset]:
        """The latest version of all datasets, or those of one namespace, by name."""
        return data.list_all(self._connection(None), namespace)

    def dataset_users(self, ref: str) -> list[DatasetUser]:
        """Versions and builds that used a dataset, or one version of it, newest first. Raises `NotFound`."""
        return data.users(self._connection(None), ref)

    def compare_datasets(self, before: str, after: str) -> DatasetComparison:
        """Schema changes, row counts and the drift of each column, by the profiles.

        Raises `NotFound`, `InvalidArgument` (the same one twice), `FailedPrecondition` (one has no profile).
        """
        return data.compare(self._connection(None), before, after)

    def metrics(self, ref: str) -> list[MetricSummary]:
        """The metric series of a version or build with their summaries, by source and key. Raises `NotFound`."""
        connection, owner = self._source(ref)
        return series.list_series(connection, owner)

    def series(
        self, ref: str, key: str, *, source: str = "", max_points: int | None = None
    ) -> list[MetricValue]:
        """The points of one series by step; with `max_points` those that show its shape best.

        `source` is who measured; the build's own by default. Raises `NotFound`, `InvalidArgument`.
        """
        connection, owner = self._source(ref)
        return series.read_series(connection, owner, key, source, max_points)

    def evaluate(
        self,
        ref: str,
        source: str,
        metrics: Mapping[str, float | Mapping[int, float]],
        *,
        step: int = 0,
        time: datetime | None = None,
    ) -> None:
        """Add metrics that were measured after publication, under the name of who measured.

        Each is a value, measured at `step`, or values by step. A thousand points go in one call, all of them or
        none. What was sealed with the version does not change. Raises `NotFound`, `MetricNotFinite`,
        `InvalidArgument`, `ResourceExhausted` (more than 2,000 series).
        """
        reference = refs.parse_reference(ref)
        points = evaluation.points_of(metrics, step, time)
        evaluation.add(self._connection(reference.server), reference.version, source, points)

    def evaluate_file(self, ref: str, source: str, file: str | os.PathLike[str]) -> int:
        """Add the metrics in a file, all of which is read first; gives the number of points.

        The file is CSV whose first line names its columns, or has a JSON object a line: `key` and `value`, perhaps
        `step` and `time` (ISO 8601). Raises as `evaluate`, naming the line that is wrong, and `OSError`.
        """
        reference = refs.parse_reference(ref)
        points = evaluation.read_points(file)
        evaluation.add(self._connection(reference.server), reference.version, source, points)
        return len(points)

    def define_metric(self, model: str, key: str, direction: str | Direction) -> None:
        """Say whether `higher` or `lower` values of a model's metric are better; `unknown` takes that back.

        It is believed over what the name suggests, also for points that are there already. Raises
        `InvalidArgument`, `ResourceExhausted` (more than 2,000 in a model).
        """
        series.define_metric(*self._model(model), key, direction)

    def metric_definitions(self, model: str) -> dict[str, Direction]:
        """What was defined for a model's metrics, by key. Raises `NotFound`."""
        return series.metric_definitions(*self._model(model))

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

    def model(self, name: str) -> records.Model:
        """One model. Raises `NotFound`."""
        return catalog.get_model(*self._model(name))

    def models(self, namespace: str | None = None) -> Iterator[records.Model]:
        """All models, or those of one namespace, by name."""
        return catalog.list_models(self._connection(None), namespace)

    def versions(self, model: str) -> Iterator[records.Version]:
        """Versions of a model, newest first. Raises `NotFound`."""
        return catalog.list_versions(*self._model(model))

    def files(self, ref: str) -> Iterator[records.File]:
        """The files of a version, bytewise by path. Raises `NotFound`."""
        reference = refs.parse_reference(ref)
        return catalog.list_files(self._connection(reference.server), reference.version)

    def set_alias(self, ref: str, alias: str) -> records.Alias:
        """Point an alias of the model of `ref` at that version. Raises `NotFound`, `NameInvalid`."""
        reference = refs.parse_reference(ref)
        return catalog.set_alias(self._connection(reference.server), reference.version, alias)

    def alias_history(self, alias: str) -> Iterator[records.AliasChange]:
        """Everything that `[namespace/]model@alias` ever named, newest first. Raises `NotFound`."""
        return catalog.alias_history(self._connection(None), refs.parse_alias(alias))

    def build(
        self,
        model: str,
        *,
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        capture: bool | Capture = True,
    ) -> BuildSession:
        """Start a build; a context manager that ends it, as FAILED with the reason if the block raises.

        Unless `capture` is false its record gets code and environment of this process; see `regsvc.capture()`.
        """
        return builds.start_build(
            self._connection(None),
            model,
            registry=self,
            params=params,
            tags=tags,
            description=description,
            captured=captured_for(capture),
        )

    def builds(self, model: str) -> Iterator[Build]:
        """Builds of a model, newest first, without steps. Raises `NotFound`."""
        return builds.list_builds(self._connection(None), model)

    def get_build(self, build: str) -> Build:
        """One build with its steps. Raises `NotFound`."""
        return builds.get_build(self._connection(None), build)

    def cancel_build(self, build: str) -> Build:
        """Ask a build to stop. Raises `NotFound`, `BuildEnded`."""
        return builds.cancel_build(self._connection(None), build)

    def logs(
        self, build: str, *, follow: bool = False, after: int = 0, step: str | None = None
    ) -> Iterator[LogLine]:
        """Lines of a build's log after number `after`; with `follow` until the build has ended."""
        return logs.read_log(self._connection(None), build, follow=follow, after=after, step=step)

    def watch(self, after: int | None = None) -> Iterator[Event]:
        """Changes of the whole registry after event number `after`, for ever; None: only new ones."""
        return events.watch_events(self._connection(None), after)

    def watch_build(self, build: str, after: int = 0) -> Iterator[BuildUpdate]:
        """The state of a build as it changes, to its end. Raises `NotFound`."""
        return events.watch_build(self._connection(None), build, after)

    def close(self) -> None:
        """Close the connections; what is under way ends with an error."""
        with self._lock:
            for connection in self._connections.values():
                connection.close()
            self._connections.clear()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connection(self, server: str | None) -> Connection:
        target = server or self.endpoint
        with self._lock:
            if target not in self._connections:
                self._connections[target] = Connection(target)
            return self._connections[target]

    def _source(self, text: str) -> tuple[Connection, refs.VersionRef | refs.BuildName]:
        server, source = refs.parse_source(text)
        return self._connection(server), source

    def _model(self, text: str) -> tuple[Connection, refs.ModelName]:
        reference = refs.parse_reference(text)
        if reference.version != refs.VersionRef(reference.version.model):
            raise NameInvalid(f"'{text}' names a version; a model is expected", name=text)
        return self._connection(reference.server), reference.version.model


def _target(endpoint: str) -> str:
    """What gRPC takes: a `regsvc://` prefix is for people, and the port may be left out."""
    target = endpoint.removeprefix("regsvc://").rstrip("/")
    return target if ":" in target else f"{target}:7070"
