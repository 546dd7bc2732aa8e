"""Bringing in what other registries hold: each source is read into plain values, and those are written."""
