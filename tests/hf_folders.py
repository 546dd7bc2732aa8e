"""Folders as `huggingface_hub` lays them out, made with its own functions, without a network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from huggingface_hub import ModelCard, ModelCardData, _local_folder, _tree_cache, file_download
from huggingface_hub.utils import _shared_blobs

COMMITS = [digit * 40 for digit in "abcdef0123456789"]


def repository(cache: Path, repo_id: str, repo_type: str = "model") -> Path:
    return cache / file_download.repo_folder_name(repo_id=repo_id, repo_type=repo_type)


def snapshot(
    cache: Path,
    repo_id: str,
    commit: str,
    files: Mapping[str, bytes],
    refs: Sequence[str] = (),
    *,
    repo_type: str = "model",
    time: float | None = None,
) -> Path:
    """A revision in a cache; its blobs are from `time`. Gives the snapshot's folder."""
    storage = repository(cache, repo_id, repo_type)
    for path, data in files.items():
        blob = storage / "blobs" / hashlib.sha256(data).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        if time is not None:
            os.utime(blob, (time, time))
        pointer = Path(file_download._get_pointer_path(str(storage), commit, path))
        pointer.parent.mkdir(parents=True, exist_ok=True)
        file_download._create_symlink(str(blob), str(pointer))
    for ref in refs:
        file_download._cache_commit_hash_for_specific_revision(str(storage), ref, commit)
    return storage / "snapshots" / commit


def share(cache: Path, repo_id: str, path: Path) -> None:
    """Move the blob behind a snapshot's file to the store that all repositories share."""
    blob = repository(cache, repo_id) / "blobs" / path.readlink().name
    xet = hashlib.sha256(b"xet" + blob.name.encode()).hexdigest()
    assert _shared_blobs.publish_blob_to_shared_store(
        blob_path=str(blob), xet_hash=xet, cache_dir=cache, expected_size=blob.stat().st_size
    )
    assert blob.is_symlink()


def listing(folder: Path, commit: str, files: Mapping[str, bytes]) -> dict[str, str]:
    """What the library keeps of a revision's tree, in a repository's folder; gives the etags by path."""
    entries = {
        path: _tree_cache.TreeCacheEntry(len(data), hashlib.sha256(data).hexdigest())
        for path, data in files.items()
    }
    _tree_cache.write_tree_cache(str(folder), commit, entries)
    return {path: entry.blob_id for path, entry in entries.items()}


def local(folder: Path, commit: str, files: Mapping[str, bytes]) -> Path:
    """A download into a folder of its own."""
    for path, data in files.items():
        paths = _local_folder.get_local_download_paths(folder, path)
        paths.file_path.write_bytes(data)
        _local_folder.write_download_metadata(folder, path, commit, hashlib.sha256(data).hexdigest())
    return folder


def partial(folder: Path, path: str, etag: str) -> Path:
    """The beginning of a file that is being downloaded into a folder of its own."""
    begun = _local_folder.get_local_download_paths(folder, path).incomplete_path(etag)
    begun = begun.with_name(f"{begun.stem}.1a2b3c4d.incomplete")
    begun.write_bytes(b"begun")
    return begun


def plain(folder: Path, files: Mapping[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def card(text: str = "# A model\n", **fields: object) -> bytes:
    """README.md as the library writes it."""
    made = ModelCard(f"---\n{ModelCardData(**fields).to_yaml()}\n---\n{text}")
    return str(made).encode()


def handmade(text: str, fields: object) -> bytes:
    """README.md with front matter that the library would not write."""
    return f"---\n{yaml.safe_dump(fields, allow_unicode=True)}---\n{text}".encode()


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
