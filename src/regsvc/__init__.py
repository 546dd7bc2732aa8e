"""regsvc: a model registry as one gRPC service.

    client = regsvc.connect()
    version = client.push("model/", "team/fraud", metrics={"f1": 0.81}, aliases=["candidate"])
    client.pull("team/fraud@prod", "out/")

Names are imported when first used, so that `import regsvc` costs little.
"""

from __future__ import annotations

import concurrent.futures.thread
import logging
import os
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

from regsvc.version import __version__

if TYPE_CHECKING:
    from regsvc.client.builds import NoCurrentBuild as NoCurrentBuild
    from regsvc.client.builds import current_build as current_build
    from regsvc.client.capture import capture as capture
    from regsvc.client.client import Client as Client
    from regsvc.client.client import connect as connect
    from regsvc.client.records import Model as Model
    from regsvc.client.records import PullResult as PullResult
    from regsvc.client.records import PushResult as PushResult
    from regsvc.client.records import Version as Version
    from regsvc.client.remote_file import RemoteFile as RemoteFile
    from regsvc.client.tensor_arrays import Tensor as Tensor
    from regsvc.client.tensors import TensorNotFound as TensorNotFound
    from regsvc.client.tensors import Tensors as Tensors
    from regsvc.content.record import Code as Code
    from regsvc.content.record import Environment as Environment
    from regsvc.content.record import Image as Image
    from regsvc.content.record import Parent as Parent
    from regsvc.content.record import Record as Record
    from regsvc.content.record import Relation as Relation
    from regsvc.content.record import Signature as Signature
    from regsvc.content.record import TensorSpec as TensorSpec
    from regsvc.errors import AlreadyExists as AlreadyExists
    from regsvc.errors import DigestMismatch as DigestMismatch
    from regsvc.errors import FailedPrecondition as FailedPrecondition
    from regsvc.errors import InvalidArgument as InvalidArgument
    from regsvc.errors import NotFound as NotFound
    from regsvc.errors import RegsvcError as RegsvcError
    from regsvc.errors import Unavailable as Unavailable

_HOMES = {
    "Client": "regsvc.client.client",
    "connect": "regsvc.client.client",
    "current_build": "regsvc.client.builds",
    "NoCurrentBuild": "regsvc.client.builds",
    "Model": "regsvc.client.records",
    "PullResult": "regsvc.client.records",
    "PushResult": "regsvc.client.records",
    "capture": "regsvc.client.capture",
    "Record": "regsvc.content.record",
    "Code": "regsvc.content.record",
    "Environment": "regsvc.content.record",
    "Image": "regsvc.content.record",
    "Parent": "regsvc.content.record",
    "Relation": "regsvc.content.record",
    "Signature": "regsvc.content.record",
    "TensorSpec": "regsvc.content.record",
    "Version": "regsvc.client.records",
    "RemoteFile": "regsvc.client.remote_file",
    "Tensor": "regsvc.client.tensor_arrays",
    "TensorNotFound": "regsvc.client.tensors",
    "Tensors": "regsvc.client.tensors",
    "AlreadyExists": "regsvc.errors",
    "DigestMismatch": "regsvc.errors",
    "FailedPrecondition": "regsvc.errors",
    "InvalidArgument": "regsvc.errors",
    "NotFound": "regsvc.errors",
    "RegsvcError": "regsvc.errors",
    "Unavailable": "regsvc.errors",
}

_importing = threading.RLock()
"""Held while a name is imported, and while this process forks: Python keeps locks of modules, which nobody would
release in a child that is forked in the middle of an import, and the child's own import would wait for ever."""

# Both have such locks too: when a fork waits for our import, they have to be there before, since what is registered
# meanwhile is released and was never acquired.
_BEFORE_ANY_FORK = (logging, concurrent.futures.thread)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_importing.acquire, after_in_parent=_importing.release, after_in_child=_importing.release
    )

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the names are strings, ruff cannot see it


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'regsvc' has no attribute {name!r}")
    with _importing:
        value = getattr(import_module(home), name)
    globals()[name] = value
    return value
