"""The kinds of byte buffer that content functions take."""

from typing import TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview
