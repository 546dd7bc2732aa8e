"""Kills a process before each of its changes of the cache in turn, as a script: FOLDER [insert | prune].

Prints how many changes there were; fails when what a killed process left is not right.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3

from regsvc.client.cache import Cache, NewFile

SIZES = (100, 70_000, 200_000)
CHANGES = ("link", "replace", "unlink", "mkdir", "utime")


def data_of(version: int, size: int) -> bytes:
    return bytes([version]) * size


def add(home: Path, folder: Path, version: int) -> None:
    folder.mkdir(exist_ok=True)
    with Cache(home).using() as entries:
        assert entries is not None
        proven = []
        for size in SIZES:
            path = folder / f"{version}-{size}"
            data = data_of(version, size)
            path.write_bytes(data)
            half = size // 2
            parts = [(blake3(part).digest(), len(part)) for part in (data[:half], data[half:])]
            proven.append(NewFile(str(path), blake3(data).digest(), size, parts))
        assert entries.add(blake3(bytes([version])).digest(), f"team/a:{version}", proven)


def die_at(change: int) -> None:
    """Let this process kill itself before its `change`-th change of a file or folder."""
    left = [change]

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return real(*args, **kwargs)

        return call

    for name in CHANGES:
        setattr(os, name, counted(getattr(os, name)))


def killed(change: int, work: Callable[[], object]) -> bool:
    """Whether a process that does the work is killed before its `change`-th change."""
    child = os.fork()
    if child == 0:
        die_at(change)
        work()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status != 0


def check(home: Path, folder: Path) -> None:
    """What is listed is right or missing, and the next pruning leaves nothing that is not listed."""
    out = folder / "out"
    with Cache(home).using() as entries:
        assert entries is not None
        for version in range(3):
            for size in SIZES:
                data = data_of(version, size)
                if entries.link(blake3(data).digest(), size, str(out), hardlink=True) is not None:
                    assert out.read_bytes() == data
                    out.unlink()
    assert Cache(home).verify().damaged == ()
    assert Cache(home).prune() is not None
    names = {path.name for kind in ("files", "notes") for path in home.glob(f"{kind}/*/*")}
    listed = {
        blake3(data_of(int(each.references[0][-1]), size)).hexdigest()
        for each in Cache(home).contents().versions
        for size in SIZES
    }
    assert names <= listed, names - listed
    assert not list((home / "incoming").iterdir())
    add(home, folder, 2)  # and everything goes on
    assert Cache(home).contents().versions[0].references == ("team/a:2",)
    assert {blake3(data_of(2, size)).hexdigest() for size in SIZES} <= {
        path.name for path in home.glob("files/*/*")
    }


def main(folder: str, how: str) -> None:
    home, pulled = Path(folder) / "cache", Path(folder) / "pulled"
    change, going_on = 0, True
    while going_on:
        add(home, pulled, 0)
        if how == "insert":
            going_on = killed(change, lambda: add(home, pulled, 1))
        else:
            add(home, pulled, 1)
            going_on = killed(change, lambda: Cache(home).prune(300_000))
        check(home, pulled)
        shutil.rmtree(home)
        shutil.rmtree(pulled)
        change += 1
    print(change - 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
