"""Reads an MLflow store, a folder or an SQLite database, through MLflow itself, and never writes to it.

MLflow makes what it misses as soon as it opens a store: folders in a file store, tables in a database. So it never
gets the store itself. A folder is opened by way of another one that holds links to its entries; a database is copied,
as SQLite's backup does it, and a copy of an older schema is brought up to date.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from regsvc import errors
from regsvc.client.importing.mlflow_store import MlflowStore, first_line, mlflow_module

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",  # since 3.13 MLflow refuses folders without it
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
_WAL = 2
"""What the header of a database in WAL mode says at offset 18."""


@contextlib.contextmanager
def opened(uri: str) -> Iterator[MlflowStore]:
    """The store at `./folder`, `file:///folder` or `sqlite:///file`.

    Raises `FailedPrecondition` (no mlflow, or a store that it cannot read), `NotFound` (nothing is there),
    `InvalidArgument` (another kind of URI).
    """
    kind, path = _parsed(uri)
    with _settings(), tempfile.TemporaryDirectory(prefix="regsvc-mlflow-") as folder:
        tracking = mlflow_module("mlflow.tracking")
        failure = mlflow_module("mlflow.exceptions").MlflowException
        stand_in = Path(folder)
        try:
            address = _linked(path, stand_in) if kind == "file" else _copied(path, stand_in)
            with _everywhere(address):
                client = tracking.MlflowClient(address, address)
                yield MlflowStore(client, address, path if kind == "file" else None, stand_in)
        except failure as error:
            raise errors.FailedPrecondition(f"MLflow cannot read the store: {first_line(error)}") from None


def _parsed(uri: str) -> tuple[str, Path]:
    scheme, colon, rest = uri.partition(":")
    if not colon or "/" in scheme or len(scheme) == 1:
        kind, path = "file", uri
    elif scheme == "file":
        kind, path = "file", unquote(urlsplit(uri).path)
    elif scheme == "sqlite":
        kind, path = "sqlite", rest.removeprefix("///").partition("?")[0]
        # SQLAlchemy 2.1 takes %20 for a space, and those before it did not.
        path = path if Path(path).is_file() else unquote(path)
    else:
        # Not the URI itself: it may hold a password.
        raise errors.InvalidArgument(
            f"stores of kind '{scheme[:40]}' cannot be imported: a folder, file:///folder or sqlite:///file"
        )
    place = Path(path).absolute()
    if not path or not (place.is_dir() if kind == "file" else place.is_file()):
        raise errors.NotFound(f"there is no {'folder' if kind == 'file' else 'database'} '{path}'", path=path)
    return kind, place


def _linked(root: Path, folder: Path) -> str:
    entries = [entry for entry in root.iterdir() if entry.is_dir()]
    if not any((entry / "meta.yaml").is_file() or entry.name == "models" for entry in entries):
        raise errors.FailedPrecondition(f"'{root}' is no MLflow file store: no experiments are in it")
    store = folder / "store"
    store.mkdir()
    for entry in entries:
        (store / entry.name).symlink_to(entry, target_is_directory=True)
    return str(store)


def _copied(path: Path, folder: Path) -> str:
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(b"SQLite format 3\0"):
        raise errors.FailedPrecondition(f"'{path}' is no SQLite database")
    log = Path(f"{path}-wal")
    # In WAL mode even a reader makes files beside the database; without a log there is no writer to heed.
    quiet = header[18] == _WAL and not (log.exists() and log.stat().st_size)
    sqlalchemy = mlflow_module("sqlalchemy")
    copy = f"sqlite:///{folder / 'store.db'}"
    options = {"mode": "ro", "uri": "true"} | ({"immutable": "1"} if quiet else {})
    source = sqlalchemy.create_engine(
        sqlalchemy.URL.create("sqlite", database=f"file:{quote(os.fspath(path))}", query=options)
    )
    target = sqlalchemy.create_engine(copy)
    try:
        with source.connect() as reader, target.connect() as writer:
            tables = set(sqlalchemy.inspect(reader).get_table_names())
            if not {"experiments", "runs"} <= tables:
                raise errors.FailedPrecondition(f"'{path}' holds no MLflow store")
            reader.connection.driver_connection.backup(writer.connection.driver_connection)
        _bring_up_to_date(target, tables)
    except sqlalchemy.exc.DatabaseError as error:
        raise errors.FailedPrecondition(f"'{path}' cannot be read: {first_line(error)}") from None
    finally:
        source.dispose()
        target.dispose()
    return copy


def _bring_up_to_date(engine: Any, tables: set[str]) -> None:
    """Upgrade the copy; a database of a newer MLflow than this one is refused by MLflow when it is opened."""
    utils = mlflow_module("mlflow.store.db.utils")
    if utils._get_schema_version(engine) != utils._get_latest_schema_revision():
        try:
            utils._upgrade_db(engine)
        # Alembic's errors have no common base that is not Exception.
        except Exception as error:  # noqa: BLE001
            raise errors.FailedPrecondition(
                f"the database's schema cannot be brought to that of this mlflow: {first_line(error)}"
            ) from None


@contextlib.contextmanager
def _everywhere(address: str) -> Iterator[None]:
    """Make it the process's own store for a while.

    Deep inside MLflow asks for the default store whatever a client was given, and makes an `mlflow.db` in the working
    directory when there is none.
    """
    tracking = mlflow_module("mlflow.tracking._tracking_service.utils")
    registry = mlflow_module("mlflow.tracking._model_registry.utils")
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    variables = {key: os.environ.get(key) for key in names}
    before = tracking._tracking_uri, registry._registry_uri
    tracking._tracking_uri = registry._registry_uri = address
    os.environ.update(dict.fromkeys(names, address))
    try:
        yield
    finally:
        tracking._tracking_uri, registry._registry_uri = before
        _restore(variables)


@contextlib.contextmanager
def _settings() -> Iterator[None]:
    """MLflow reads these at its import and at each call: no telemetry, folders allowed, nothing on stderr."""
    before = {key: os.environ.get(key) for key in _SETTINGS}
    os.environ.update(_SETTINGS)
    try:
        mlflow_module("mlflow")  # which sets up its loggers
        loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
    finally:
        _restore(before)


def _restore(variables: Mapping[str, str | None]) -> None:
    for key, value in variables.items():
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value
