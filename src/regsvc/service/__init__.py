"""Use cases: what regsvc does, joining catalog and store, in domain types.

Everything here blocks and may be called from many threads; `server/` runs it on bounded pools.
"""
