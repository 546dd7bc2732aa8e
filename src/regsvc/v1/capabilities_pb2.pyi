from regsvc.v1 import artifact_pb2 as _artifact_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetCapabilitiesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetCapabilitiesResponse(_message.Message):
    __slots__ = ("capabilities",)
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    capabilities: Capabilities
    def __init__(self, capabilities: _Optional[_Union[Capabilities, _Mapping]] = ...) -> None: ...

class Capabilities(_message.Message):
    __slots__ = ("server_version", "max_chunk_bytes", "max_message_data_bytes", "max_find_missing", "max_read_ranges", "max_files_per_version", "max_log_line_bytes", "max_metric_points", "codecs", "heartbeat_interval_ms", "build_lease_ms", "upload_lease_ms", "max_record_entries", "max_log_batch_bytes", "store_id")
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    MAX_CHUNK_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_DATA_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_FIND_MISSING_FIELD_NUMBER: _ClassVar[int]
    MAX_READ_RANGES_FIELD_NUMBER: _ClassVar[int]
    MAX_FILES_PER_VERSION_FIELD_NUMBER: _ClassVar[int]
    MAX_LOG_LINE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_METRIC_POINTS_FIELD_NUMBER: _ClassVar[int]
    CODECS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    BUILD_LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_RECORD_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    MAX_LOG_BATCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    server_version: str
    max_chunk_bytes: int
    max_message_data_bytes: int
    max_find_missing: int
    max_read_ranges: int
    max_files_per_version: int
    max_log_line_bytes: int
    max_metric_points: int
    codecs: _containers.RepeatedScalarFieldContainer[_artifact_pb2.Codec]
    heartbeat_interval_ms: int
    build_lease_ms: int
    upload_lease_ms: int
    max_record_entries: int
    max_log_batch_bytes: int
    store_id: str
    def __init__(self, server_version: _Optional[str] = ..., max_chunk_bytes: _Optional[int] = ..., max_message_data_bytes: _Optional[int] = ..., max_find_missing: _Optional[int] = ..., max_read_ranges: _Optional[int] = ..., max_files_per_version: _Optional[int] = ..., max_log_line_bytes: _Optional[int] = ..., max_metric_points: _Optional[int] = ..., codecs: _Optional[_Iterable[_Union[_artifact_pb2.Codec, str]]] = ..., heartbeat_interval_ms: _Optional[int] = ..., build_lease_ms: _Optional[int] = ..., upload_lease_ms: _Optional[int] = ..., max_record_entries: _Optional[int] = ..., max_log_batch_bytes: _Optional[int] = ..., store_id: _Optional[str] = ...) -> None: ...
