import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from regsvc.v1 import registry_pb2 as _registry_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ArchiveVersionRequest(_message.Message):
    __slots__ = ("name", "archived", "reason", "author", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARCHIVED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    archived: bool
    reason: str
    author: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., archived: _Optional[bool] = ..., reason: _Optional[str] = ..., author: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ArchiveVersionResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: _registry_pb2.Version
    def __init__(self, version: _Optional[_Union[_registry_pb2.Version, _Mapping]] = ...) -> None: ...

class DeleteVersionRequest(_message.Message):
    __slots__ = ("name", "force", "dry_run", "keep", "reason", "author", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    force: bool
    dry_run: bool
    keep: _duration_pb2.Duration
    reason: str
    author: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., force: _Optional[bool] = ..., dry_run: _Optional[bool] = ..., keep: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reason: _Optional[str] = ..., author: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteVersionResponse(_message.Message):
    __slots__ = ("version", "unset_aliases", "hosts")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UNSET_ALIASES_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    version: _registry_pb2.Version
    unset_aliases: _containers.RepeatedScalarFieldContainer[str]
    hosts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[_Union[_registry_pb2.Version, _Mapping]] = ..., unset_aliases: _Optional[_Iterable[str]] = ..., hosts: _Optional[_Iterable[str]] = ...) -> None: ...

class UndeleteVersionRequest(_message.Message):
    __slots__ = ("name", "author", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    author: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., author: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class UndeleteVersionResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: _registry_pb2.Version
    def __init__(self, version: _Optional[_Union[_registry_pb2.Version, _Mapping]] = ...) -> None: ...
