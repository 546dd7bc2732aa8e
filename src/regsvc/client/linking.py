"""Gives the bytes of a file a second name instead of a second copy: by reflink, or by hardlink."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os

_FICLONE = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)

_NO_REFLINK = {
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTTY,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.ETXTBSY,
    errno.EXDEV,
}
_NO_HARDLINK = {
    errno.EACCES,
    errno.EINVAL,
    errno.EMLINK,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EXDEV,
}
"""A file system without hardlinks, another one, too many links, or fs.protected_hardlinks."""


def reflink(source: int, dest: str) -> bool:
    """Make `dest` a file with the bytes of the open file `source`; they part when either is written to.

    False, and nothing there, where the file system cannot. Raises `FileExistsError`, and `OSError` when a
    file system that can has no room. What is not on disk yet of `source` may be written there first.
    """
    descriptor = os.open(dest, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        fcntl.ioctl(descriptor, _FICLONE, source)
    except OSError as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(dest)
        if error.errno in _NO_REFLINK:
            return False
        raise
    finally:
        os.close(descriptor)
    return True


def hardlink(source: str, dest: str) -> bool:
    """Make `dest` another name of the file `source`: whoever writes to one writes to both.

    False where that cannot be. Raises `FileExistsError`, `FileNotFoundError`.
    """
    try:
        os.link(source, dest)
    except OSError as error:
        if error.errno in _NO_HARDLINK:
            return False
        raise
    return True
