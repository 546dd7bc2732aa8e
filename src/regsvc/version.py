"""The version of this software, where every layer may read it."""

__version__ = "0.1.0"
"""As in pyproject.toml; a test compares them."""
