"""Turns one run of MLflow into a build, with everything that it recorded."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from regsvc import errors, refs
from regsvc.client import provenance
from regsvc.client.connection import Connection
from regsvc.client.importing import mlflow_builds as written
from regsvc.client.importing.mlflow_artifacts import attachments_of
from regsvc.client.importing.mlflow_datasets import DatasetWriter
from regsvc.client.importing.mlflow_model import code_of
from regsvc.client.importing.mlflow_report import MlflowReport, Progress
from regsvc.client.importing.mlflow_store import MlflowStore, StoredRun, first_line
from regsvc.content.record import Record

TRANSIENT = (errors.Unavailable, errors.DeadlineExceeded, errors.StorageFull)
"""What ends an import: it goes on when it is called again."""

_VALUES = "mlflow-values.json"
_GAPS = 50
"""Sentences of a record about what did not come in; the report has all."""


@dataclass(frozen=True)
class Building:
    """A build that is still RUNNING, so that it can publish versions."""

    name: str
    """Resource name."""
    run: StoredRun


class RunWriter:
    """Writes runs of one store."""

    def __init__(
        self,
        connection: Connection,
        store: MlflowStore,
        datasets: DatasetWriter,
        report: MlflowReport,
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._store = store
        self._datasets = datasets
        self._report = report
        self._progress = progress

    def begin(
        self, model: refs.ModelName, run: StoredRun, known: written.Known, folders: Callable[[], list[Path]]
    ) -> Building | None:
        """Write all that the run recorded; None when it is there, is not over yet, or nothing shall be written.

        `folders` tells which of its artifacts are files of versions.
        """
        if run.id in known.ended:
            self._report.builds_present += 1
            return None
        if run.status not in written.STATES:
            self._report.notices.append(f"run {run.id} of '{run.experiment}' is {run.status}: left for later")
            return None
        if self._report.dry_run:
            self._report.builds.append(f"{model} (run {run.id})")
            return None
        self._progress(f"run {run.name or run.id}")
        text = written.text_of(run)
        notices = list(text.notices)
        left = known.running.get(run.id)
        build = (
            refs.parse_build(left.name).wire
            if left is not None
            else written.begin(self._connection, model, text, run.id, known.lost[run.id])
        )
        failed = len(self._report.failures)
        with written.kept_alive(self._connection, build):
            with self._part(run, "its artifacts"):
                self._attach(build, run, text, folders, notices)
            with self._part(run, "its metrics"):
                points = written.points_of(self._store, run, text, notices)
                self._report.points += written.send_points(self._connection, build, points)
            with self._part(run, "its record"):
                self._record(build, run, notices, self._report.failures[failed:])
        self._report.notices += [f"run {run.id}: {notice}" for notice in notices]
        self._report.builds.append(str(refs.build_from_wire(build)))
        return Building(build, run)

    def end(self, building: Building) -> None:
        """End the build as the run ended."""
        with self._part(building.run, "its end"):
            written.end(self._connection, building.name, building.run)

    def _attach(
        self,
        build: str,
        run: StoredRun,
        text: written.RunText,
        folders: Callable[[], list[Path]],
        notices: list[str],
    ) -> None:
        if text.fitted.over:
            whole = json.dumps(text.fitted.over, ensure_ascii=False, indent=1).encode("utf-8", "replace")
            provenance.write_attachment(self._connection, build, _VALUES, whole)
            notices.append(f"what was shortened or did not fit is whole in the attachment {_VALUES}")
        folder = self._store.run_folder(run)
        if folder is None:
            return
        try:
            found = attachments_of(folder, folders())
            notices += found.notices
            for name, path in found.files.items():
                provenance.write_attachment(self._connection, build, name, path.read_bytes())
        finally:
            self._store.release(folder)

    def _record(self, build: str, run: StoredRun, notices: list[str], failures: Sequence[str]) -> None:
        uses = {}
        for dataset in run.datasets:
            try:
                use = self._datasets.use(dataset)
            except TRANSIENT:
                raise
            except (errors.RegsvcError, ValueError) as error:
                notices.append(f"dataset '{dataset.name[:60]}' cannot be registered: {error}")
                continue
            uses[use.dataset, use.split] = use
        gaps = tuple(notice[:500] for notice in (*failures, *notices)[:_GAPS])
        record = Record(code=code_of(run.tags), datasets=tuple(uses.values()), gaps=gaps)
        if record != Record():
            provenance.log_record(self._connection, build, record)

    @contextlib.contextmanager
    def _part(self, run: StoredRun, what: str) -> Iterator[None]:
        """What fails in the block is told, and the rest goes on; without the server nothing can."""
        with failing(self._report, f"run {run.id}: {what}", self._store.failure):
            yield


@contextlib.contextmanager
def failing(report: MlflowReport, what: str, failure: type[Exception]) -> Iterator[None]:
    """A failure in the block becomes a line of the report; what would hit all that follows goes through."""
    try:
        yield
    except TRANSIENT:
        raise
    except errors.RegsvcError as error:
        report.failures.append(f"{what}: {error.message}")
    except OSError as error:
        report.failures.append(f"{what}: {error.strerror or type(error).__name__}")
    except failure as error:
        report.failures.append(f"{what}: MLflow says: {first_line(error)}")


def values_of(tags: Mapping[str, str], prefix: str = "") -> dict[str, str]:
    """Tags that people set, not MLflow itself."""
    return {f"{prefix}{key}": value for key, value in tags.items() if not key.startswith("mlflow.")}
