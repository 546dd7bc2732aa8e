"""Stubs on the module's shared server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from server.wire import Wire
from support import Server


@pytest.fixture
def wire(shared_server: Server) -> Iterator[Wire]:
    """Raw stubs on the shared server."""
    with Wire(shared_server) as made:
        yield made
