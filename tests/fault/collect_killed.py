"""Kills a process before and after each change that a collection makes, in turn, as a script: FOLDER.

Prints how many points there were; fails when what is found after a restart is not right.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from regsvc.catalog import collecting
from regsvc.catalog.aliases import Move
from regsvc.catalog.chunks import pack_names
from regsvc.catalog.database import Catalog
from regsvc.catalog.requests import Request
from regsvc.errors import VersionDeleted
from regsvc.refs import ModelName, VersionRef
from regsvc.service.app import RegistryApp
from regsvc.service.incoming import WritingStream
from regsvc.service.lifecycle import Deletion
from regsvc.service.limits import Limits
from regsvc.service.uploads import Commit
from regsvc.store import FileSystem, check

MIB = 1 << 20
NO_ID = Request("", "test", b"")
MODEL = ModelName("n", "m")
CHANGES = ("create", "write_all", "fsync", "fsync_dir", "rename", "unlink")
LIMITS = Limits(collect_every_us=0)

Files = Mapping[str, bytes]


def contents() -> tuple[dict[int, Files], set[int]]:
    """Files of versions by number, and which of them are deleted: packs lose all, the middle, or nothing."""
    chance = random.Random(7)
    a, b, c, d = (chance.randbytes(2 * MIB) for _ in range(4))
    found: dict[int, Files] = {
        1: {"a": a, "b": b},
        2: {"a": a, "small": b"only here"},
        3: {"c": c},
        4: {"c": c, "d": d, "e": d + c},
        5: {"d": d},
        6: {"a": a, "b": b},
    }
    return found, {1, 4, 6}


def push(app: RegistryApp, files: Files) -> None:
    upload = app.uploads.start(MODEL, None, NO_ID).id
    for path, data in files.items():
        stream = WritingStream()
        draft = app.uploads.open_file(upload, path, len(data), stream)
        app.uploads.write(upload, draft, 0, memoryview(data), stream)
        app.uploads.finish_file(upload, draft, len(data), None, stream)
    app.uploads.commit(upload, Commit(), NO_ID)


def prepare(data: Path) -> None:
    app = RegistryApp(data, LIMITS)
    versions, deleted = contents()
    for files in versions.values():
        push(app, files)
    for number in deleted:
        app.lifecycle.delete(Deletion(VersionRef(MODEL, number=number), False, 0, Move()), NO_ID)
    app.close()


def stored(data: Path) -> int:
    return sum(path.stat().st_size for path in (data / "packs").rglob("*.pack"))


def collect(data: Path, point: int | None) -> None:
    """A collection; before or after its change number `point` the process is killed."""
    app = RegistryApp(data, LIMITS)
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        if count == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if not threading.current_thread().name.startswith("collect"):
                return real(*args, **kwargs)
            step()
            result = real(*args, **kwargs)
            step()
            return result

        return call

    for name in CHANGES:
        setattr(FileSystem, name, counting(getattr(FileSystem, name)))
    Catalog.write = counting(Catalog.write)  # type: ignore[method-assign]
    app.collector.begin(full=True).result()
    app.close()


def verify(data: Path, expected: int) -> None:
    """After a restart: what is kept is right, and the next collection gets to the same end."""
    versions, deleted = contents()
    app = RegistryApp(data, LIMITS)
    try:
        read_all(app, versions, deleted)
        app.collector.begin(full=True).result()
        read_all(app, versions, deleted)
        for number in deleted:
            try:
                app.lifecycle.undelete(VersionRef(MODEL, number=number), "", NO_ID)
            except VersionDeleted:
                continue
            raise AssertionError(f"version {number} was not purged")
        assert app.catalog.read(collecting.unwanted) == []
        on_disk = list(app.store.list())
        assert set(on_disk) == app.catalog.read(pack_names)
        assert [check(FileSystem(), app.store.path(pack)) for pack in on_disk] == [[]] * len(on_disk)
        assert app.collector.would_collect(full=True).dead_size == 0
    finally:
        app.close()
    assert stored(data) == expected, (stored(data), expected)
    assert os.listdir(data / "packs" / "open") == []


def read_all(app: RegistryApp, versions: dict[int, Files], deleted: set[int]) -> None:
    for number, files in versions.items():
        if number not in deleted:
            for path, content in files.items():
                _, parts = app.files.file(VersionRef(MODEL, number=number), path, 0, 0)
                assert b"".join(parts) == content, (number, path)


def apart(function: Callable[..., None], *args: Any) -> int:
    """In a process of its own; gives its wait status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            function(*args)
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    return os.waitpid(child, 0)[1]


def main(folder: Path) -> None:
    assert apart(prepare, folder / "prepared") == 0
    shutil.copytree(folder / "prepared", folder / "clean")
    assert apart(collect, folder / "clean", None) == 0
    expected = stored(folder / "clean")
    assert 0 < expected < stored(folder / "prepared")
    assert apart(verify, folder / "clean", expected) == 0
    point = 0
    while True:
        point += 1
        data = folder / f"killed-{point}"
        shutil.copytree(folder / "prepared", data)
        status = apart(collect, data, point)
        assert apart(verify, data, expected) == 0, f"after a kill at point {point}"
        shutil.rmtree(data)
        if status == 0:
            break
        assert os.WIFSIGNALED(status), status
    print(point - 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
