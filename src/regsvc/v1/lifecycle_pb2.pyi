import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
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
    __slots__ = ("version", "unset_aliases", "hosts", "freed_size")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UNSET_ALIASES_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    FREED_SIZE_FIELD_NUMBER: _ClassVar[int]
    version: _registry_pb2.Version
    unset_aliases: _containers.RepeatedScalarFieldContainer[str]
    hosts: _containers.RepeatedScalarFieldContainer[str]
    freed_size: int
    def __init__(self, version: _Optional[_Union[_registry_pb2.Version, _Mapping]] = ..., unset_aliases: _Optional[_Iterable[str]] = ..., hosts: _Optional[_Iterable[str]] = ..., freed_size: _Optional[int] = ...) -> None: ...

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

class StorageUsage(_message.Message):
    __slots__ = ("versions", "files", "logical_size", "stored_size", "unique_size", "shared_size", "chunks", "freed_size")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    LOGICAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    STORED_SIZE_FIELD_NUMBER: _ClassVar[int]
    UNIQUE_SIZE_FIELD_NUMBER: _ClassVar[int]
    SHARED_SIZE_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    FREED_SIZE_FIELD_NUMBER: _ClassVar[int]
    versions: int
    files: int
    logical_size: int
    stored_size: int
    unique_size: int
    shared_size: int
    chunks: int
    freed_size: int
    def __init__(self, versions: _Optional[int] = ..., files: _Optional[int] = ..., logical_size: _Optional[int] = ..., stored_size: _Optional[int] = ..., unique_size: _Optional[int] = ..., shared_size: _Optional[int] = ..., chunks: _Optional[int] = ..., freed_size: _Optional[int] = ...) -> None: ...

class GetStorageStatsRequest(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class GetStorageStatsResponse(_message.Message):
    __slots__ = ("usage", "deleted", "pack_size", "packs")
    USAGE_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    PACK_SIZE_FIELD_NUMBER: _ClassVar[int]
    PACKS_FIELD_NUMBER: _ClassVar[int]
    usage: StorageUsage
    deleted: StorageUsage
    pack_size: int
    packs: int
    def __init__(self, usage: _Optional[_Union[StorageUsage, _Mapping]] = ..., deleted: _Optional[_Union[StorageUsage, _Mapping]] = ..., pack_size: _Optional[int] = ..., packs: _Optional[int] = ...) -> None: ...

class CollectGarbageRequest(_message.Message):
    __slots__ = ("dry_run", "full")
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    FULL_FIELD_NUMBER: _ClassVar[int]
    dry_run: bool
    full: bool
    def __init__(self, dry_run: _Optional[bool] = ..., full: _Optional[bool] = ...) -> None: ...

class CollectGarbageResponse(_message.Message):
    __slots__ = ("versions", "chunks", "freed_size", "dead_size", "packs_removed", "packs_rewritten")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    FREED_SIZE_FIELD_NUMBER: _ClassVar[int]
    DEAD_SIZE_FIELD_NUMBER: _ClassVar[int]
    PACKS_REMOVED_FIELD_NUMBER: _ClassVar[int]
    PACKS_REWRITTEN_FIELD_NUMBER: _ClassVar[int]
    versions: int
    chunks: int
    freed_size: int
    dead_size: int
    packs_removed: int
    packs_rewritten: int
    def __init__(self, versions: _Optional[int] = ..., chunks: _Optional[int] = ..., freed_size: _Optional[int] = ..., dead_size: _Optional[int] = ..., packs_removed: _Optional[int] = ..., packs_rewritten: _Optional[int] = ...) -> None: ...

class RetentionPolicy(_message.Message):
    __slots__ = ("name", "keep_last", "keep_younger", "keep_labels", "keep_filter", "scheduled", "update_time", "apply_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEEP_LAST_FIELD_NUMBER: _ClassVar[int]
    KEEP_YOUNGER_FIELD_NUMBER: _ClassVar[int]
    KEEP_LABELS_FIELD_NUMBER: _ClassVar[int]
    KEEP_FILTER_FIELD_NUMBER: _ClassVar[int]
    SCHEDULED_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    APPLY_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    keep_last: int
    keep_younger: _duration_pb2.Duration
    keep_labels: _containers.RepeatedScalarFieldContainer[str]
    keep_filter: str
    scheduled: bool
    update_time: _timestamp_pb2.Timestamp
    apply_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., keep_last: _Optional[int] = ..., keep_younger: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., keep_labels: _Optional[_Iterable[str]] = ..., keep_filter: _Optional[str] = ..., scheduled: _Optional[bool] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., apply_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RetentionVerdict(_message.Message):
    __slots__ = ("version", "reasons")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    version: str
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class GetRetentionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetRetentionResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: RetentionPolicy
    def __init__(self, policy: _Optional[_Union[RetentionPolicy, _Mapping]] = ...) -> None: ...

class SetRetentionRequest(_message.Message):
    __slots__ = ("policy", "author", "request_id")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    policy: RetentionPolicy
    author: str
    request_id: str
    def __init__(self, policy: _Optional[_Union[RetentionPolicy, _Mapping]] = ..., author: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class SetRetentionResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: RetentionPolicy
    def __init__(self, policy: _Optional[_Union[RetentionPolicy, _Mapping]] = ...) -> None: ...

class ApplyRetentionRequest(_message.Message):
    __slots__ = ("name", "dry_run", "policy", "author", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    dry_run: bool
    policy: RetentionPolicy
    author: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., dry_run: _Optional[bool] = ..., policy: _Optional[_Union[RetentionPolicy, _Mapping]] = ..., author: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ApplyRetentionResponse(_message.Message):
    __slots__ = ("verdicts", "kept", "deleted", "freed_size")
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    FREED_SIZE_FIELD_NUMBER: _ClassVar[int]
    verdicts: _containers.RepeatedCompositeFieldContainer[RetentionVerdict]
    kept: int
    deleted: int
    freed_size: int
    def __init__(self, verdicts: _Optional[_Iterable[_Union[RetentionVerdict, _Mapping]]] = ..., kept: _Optional[int] = ..., deleted: _Optional[int] = ..., freed_size: _Optional[int] = ...) -> None: ...

class CopyVersionRequest(_message.Message):
    __slots__ = ("name", "parent", "aliases", "author", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    parent: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    author: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., parent: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., author: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CopyVersionResponse(_message.Message):
    __slots__ = ("version", "source")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    version: _registry_pb2.Version
    source: str
    def __init__(self, version: _Optional[_Union[_registry_pb2.Version, _Mapping]] = ..., source: _Optional[str] = ...) -> None: ...

class RenameModelRequest(_message.Message):
    __slots__ = ("name", "new_name", "author", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NEW_NAME_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    new_name: str
    author: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., new_name: _Optional[str] = ..., author: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RenameModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: _registry_pb2.Model
    def __init__(self, model: _Optional[_Union[_registry_pb2.Model, _Mapping]] = ...) -> None: ...
