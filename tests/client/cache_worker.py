"""A process that pulls versions through a shared cache, as a script: CACHE FOLDER SEED ROUNDS [links | edits].

Prints a line a round; exits with 3 and the reason when a wrong byte came out. With `links` it takes hardlinks,
with `edits` it changes what it has pulled, in place.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from blake3 import blake3

from regsvc.client.cache import Cache, Entries, NewFile

LIMIT = 1 << 20
VERSIONS = 8
CHUNK = 40_000
SIZES = (5, 3_000, 70_000, 150_000)


def content(version: int, size: int) -> bytes:
    """Files of the same size share their second half among versions."""
    half = size // 2
    return random.Random(f"{version} {size}").randbytes(half) + random.Random(str(size)).randbytes(
        size - half
    )


def chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Cut from the end, so that the shared halves are cut alike."""
    ends = range(len(data), 0, -CHUNK)
    for end in reversed(ends):
        part = data[max(0, end - CHUNK) : end]
        yield blake3(part).digest(), len(part)


def pull_file(entries: Entries | None, data: bytes, dest: Path, hardlink: bool) -> None:
    """Put a file in place, as much of it as can be from the cache."""
    digest, size = blake3(data).digest(), len(data)
    if entries is None:
        dest.write_bytes(data)
        return
    if entries.link(digest, size, str(dest), hardlink=hardlink) is None:
        found = entries.find(digest, size)
        copied = read(found, 0, size) if found is not None else b""
        if found is not None and blake3(copied).digest() != digest:
            entries.forget(digest)
        if blake3(copied).digest() == digest:
            dest.write_bytes(copied)
        else:
            dest.write_bytes(assemble(entries, data))
    if dest.read_bytes() != data:
        sys.exit(f"wrong bytes came out in {dest}")


def assemble(entries: Entries, data: bytes) -> bytes:
    """The file from chunks of others, and from the data what is not there."""
    wanted = list(chunks(data))
    places = entries.find_chunks(dict(wanted))
    parts, offset = [], 0
    for digest, size in wanted:
        part = read(places[digest].location, places[digest].offset, size) if digest in places else b""
        if digest in places and blake3(part).digest() != digest:
            entries.forget(places[digest].file)
        parts.append(part if blake3(part).digest() == digest else data[offset : offset + size])
        offset += size
    return b"".join(parts)


def read(path: str, offset: int, size: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(size)
    except FileNotFoundError:
        return b""


def main(cache: str, folder: str, seed: str, rounds: str, how: str = "") -> None:
    dice = random.Random(seed)
    for number in range(int(rounds)):
        version = dice.randrange(VERSIONS)
        dest = Path(folder) / f"{seed}-{number}"
        dest.mkdir(parents=True)
        with Cache(cache, LIMIT).using() as entries:
            proven = []
            for size in SIZES:
                data = content(version, size)
                path = dest / str(size)
                pull_file(entries, data, path, how == "links")
                proven.append(NewFile(str(path), blake3(data).digest(), size, list(chunks(data))))
            if entries is not None:
                entries.add(blake3(str(version).encode()).digest(), f"team/a:{version}", proven)
        if how == "edits" and dice.random() < 0.5:
            with open(dest / str(dice.choice(SIZES)), "r+b") as file:
                file.write(b"edit")
        if dice.random() < 0.3:
            Cache(cache, dice.randrange(LIMIT)).prune()
        shutil.rmtree(dest)
        print(number, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
