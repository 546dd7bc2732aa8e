"""The SDK's front: one client a server, with the verbs of the command line as methods."""

from __future__ import annotations

import os

from regsvc.client.verbs.builds import Builds
from regsvc.client.verbs.metrics import Metrics
from regsvc.client.verbs.models import Models
from regsvc.client.verbs.records import Records

ENDPOINT_VARIABLE = "REGSVC_ENDPOINT"
DEFAULT_ENDPOINT = "127.0.0.1:7070"


def connect(endpoint: str | None = None) -> Client:
    """A client of the server at `endpoint`, `host:port` or `unix:/path`.

    Without one: what the environment variable REGSVC_ENDPOINT says, else 127.0.0.1:7070. Nothing is sent yet.
    """
    return Client(endpoint or os.environ.get(ENDPOINT_VARIABLE) or DEFAULT_ENDPOINT)


class Client(Models, Records, Metrics, Builds):
    """A model registry. Any number of threads may use one; close it, or use it as a context manager.

    References are `[namespace/]model[:N | @alias | @b3:HEX]`; one that begins with `regsvc://host[:port]/` goes
    to that server. Calls wait about 90 s for a server that went away and raise `Unavailable` after that; every
    method may raise that, and `NameInvalid` for a malformed reference.
    """
