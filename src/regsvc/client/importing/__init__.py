"""Bringing models from elsewhere, each source in a module of its own."""
