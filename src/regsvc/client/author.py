"""Who a client says it is."""

from __future__ import annotations

import getpass
import os

_VARIABLE = "REGSVC_AUTHOR"
_MOST_BYTES = 200


def author() -> str:
    """REGSVC_AUTHOR, else the login name, at most 200 bytes; empty when nobody knows."""
    try:
        name = os.environ.get(_VARIABLE) or getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
    return name.encode(errors="replace")[:_MOST_BYTES].decode(errors="ignore")
