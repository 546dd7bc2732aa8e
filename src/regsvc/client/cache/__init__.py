"""The files of pulled versions, kept on this machine for the next pull; docs/cache.md describes it.

A pull holds the cache, takes files and chunks out, and puts in what it has proven:

    with cache.using() as entries:          # None: there is no cache, go on without
        entries.link(digest, size, dest)    # or copy entries.find(digest, size), hashing
        entries.find_chunks(wanted)         # for the files that are not there as they are
        entries.add(version, reference, files)
"""

from regsvc.client.cache.bases import ChunkPlace
from regsvc.client.cache.cache import Cache, Contents, ListedVersion
from regsvc.client.cache.checking import Verified
from regsvc.client.cache.entries import Entries, Mode, NewFile
from regsvc.client.cache.pruning import Pruned
from regsvc.client.cache.settings import parse_size

__all__ = [
    "Cache",
    "ChunkPlace",
    "Contents",
    "Entries",
    "ListedVersion",
    "Mode",
    "NewFile",
    "Pruned",
    "Verified",
    "parse_size",
]
