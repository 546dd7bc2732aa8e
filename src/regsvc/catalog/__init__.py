"""Facts in SQLite, one module an aggregate; the only SQL of regsvc.

Functions take a `Transaction` (they write, on the one writer thread) or a `Reader` (they only read, on
any thread) first, and give frozen dataclasses. Times are integers: microseconds since 1970, UTC.
"""
