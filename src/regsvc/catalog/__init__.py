"""Facts in SQLite, one module an aggregate; the only SQL of regsvc.

Functions take a `Transaction` (they write, on the one writer thread) or a `Reader` (they only read, on
any thread) first, and give frozen dataclasses. Times are integers: microseconds since 1970, UTC.
"""

from __future__ import annotations

import importlib
import sys


def _import_without_pandas(name: str) -> None:
    """sqlite-utils imports pandas where it is installed, for columns that nobody here makes: 0.3 s of each start."""
    if "pandas" in sys.modules:
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]
    try:
        importlib.import_module(name)
    finally:
        del sys.modules["pandas"]


_import_without_pandas("sqlite_utils")
