import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from regsvc.v1 import record_pb2 as _record_pb2
from regsvc.v1 import registry_pb2 as _registry_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Codec(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CODEC_UNSPECIFIED: _ClassVar[Codec]
    CODEC_RAW: _ClassVar[Codec]
    CODEC_ZSTD: _ClassVar[Codec]
    CODEC_PLANES2_ZSTD: _ClassVar[Codec]
    CODEC_PLANES4_ZSTD: _ClassVar[Codec]
    CODEC_PLANES8_ZSTD: _ClassVar[Codec]

class UploadState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UPLOAD_STATE_UNSPECIFIED: _ClassVar[UploadState]
    UPLOAD_STATE_OPEN: _ClassVar[UploadState]
    UPLOAD_STATE_COMMITTED: _ClassVar[UploadState]
    UPLOAD_STATE_ABORTED: _ClassVar[UploadState]
    UPLOAD_STATE_EXPIRED: _ClassVar[UploadState]
CODEC_UNSPECIFIED: Codec
CODEC_RAW: Codec
CODEC_ZSTD: Codec
CODEC_PLANES2_ZSTD: Codec
CODEC_PLANES4_ZSTD: Codec
CODEC_PLANES8_ZSTD: Codec
UPLOAD_STATE_UNSPECIFIED: UploadState
UPLOAD_STATE_OPEN: UploadState
UPLOAD_STATE_COMMITTED: UploadState
UPLOAD_STATE_ABORTED: UploadState
UPLOAD_STATE_EXPIRED: UploadState

class Upload(_message.Message):
    __slots__ = ("name", "model", "state", "expire_time", "files", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    state: UploadState
    expire_time: _timestamp_pb2.Timestamp
    files: _containers.RepeatedCompositeFieldContainer[UploadFile]
    version: str
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., state: _Optional[_Union[UploadState, str]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., files: _Optional[_Iterable[_Union[UploadFile, _Mapping]]] = ..., version: _Optional[str] = ...) -> None: ...

class UploadFile(_message.Message):
    __slots__ = ("path", "committed_size", "complete", "digest")
    PATH_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_SIZE_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    path: str
    committed_size: int
    complete: bool
    digest: str
    def __init__(self, path: _Optional[str] = ..., committed_size: _Optional[int] = ..., complete: _Optional[bool] = ..., digest: _Optional[str] = ...) -> None: ...

class StartUploadRequest(_message.Message):
    __slots__ = ("parent", "build", "request_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    build: str
    request_id: str
    def __init__(self, parent: _Optional[str] = ..., build: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class StartUploadResponse(_message.Message):
    __slots__ = ("upload",)
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    upload: Upload
    def __init__(self, upload: _Optional[_Union[Upload, _Mapping]] = ...) -> None: ...

class GetUploadRequest(_message.Message):
    __slots__ = ("name", "after_path")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_PATH_FIELD_NUMBER: _ClassVar[int]
    name: str
    after_path: str
    def __init__(self, name: _Optional[str] = ..., after_path: _Optional[str] = ...) -> None: ...

class GetUploadResponse(_message.Message):
    __slots__ = ("upload", "more_files")
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    MORE_FILES_FIELD_NUMBER: _ClassVar[int]
    upload: Upload
    more_files: bool
    def __init__(self, upload: _Optional[_Union[Upload, _Mapping]] = ..., more_files: _Optional[bool] = ...) -> None: ...

class AbortUploadRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class AbortUploadResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FindMissingChunksRequest(_message.Message):
    __slots__ = ("upload", "digests")
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    upload: str
    digests: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, upload: _Optional[str] = ..., digests: _Optional[_Iterable[bytes]] = ...) -> None: ...

class FindMissingChunksResponse(_message.Message):
    __slots__ = ("missing",)
    MISSING_FIELD_NUMBER: _ClassVar[int]
    missing: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, missing: _Optional[_Iterable[int]] = ...) -> None: ...

class ChunkFrame(_message.Message):
    __slots__ = ("digest", "codec", "raw_size", "stored_size")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    RAW_SIZE_FIELD_NUMBER: _ClassVar[int]
    STORED_SIZE_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    codec: Codec
    raw_size: int
    stored_size: int
    def __init__(self, digest: _Optional[bytes] = ..., codec: _Optional[_Union[Codec, str]] = ..., raw_size: _Optional[int] = ..., stored_size: _Optional[int] = ...) -> None: ...

class ChunkRef(_message.Message):
    __slots__ = ("digest", "size")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    size: int
    def __init__(self, digest: _Optional[bytes] = ..., size: _Optional[int] = ...) -> None: ...

class RecipePart(_message.Message):
    __slots__ = ("path", "offset", "chunks", "finish", "digest")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    path: str
    offset: int
    chunks: _containers.RepeatedCompositeFieldContainer[ChunkRef]
    finish: bool
    digest: str
    def __init__(self, path: _Optional[str] = ..., offset: _Optional[int] = ..., chunks: _Optional[_Iterable[_Union[ChunkRef, _Mapping]]] = ..., finish: _Optional[bool] = ..., digest: _Optional[str] = ...) -> None: ...

class WriteChunksRequest(_message.Message):
    __slots__ = ("upload", "frames", "recipes", "data")
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    RECIPES_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    upload: str
    frames: _containers.RepeatedCompositeFieldContainer[ChunkFrame]
    recipes: _containers.RepeatedCompositeFieldContainer[RecipePart]
    data: bytes
    def __init__(self, upload: _Optional[str] = ..., frames: _Optional[_Iterable[_Union[ChunkFrame, _Mapping]]] = ..., recipes: _Optional[_Iterable[_Union[RecipePart, _Mapping]]] = ..., data: _Optional[bytes] = ...) -> None: ...

class WriteChunksResponse(_message.Message):
    __slots__ = ("chunks_stored", "bytes_stored")
    CHUNKS_STORED_FIELD_NUMBER: _ClassVar[int]
    BYTES_STORED_FIELD_NUMBER: _ClassVar[int]
    chunks_stored: int
    bytes_stored: int
    def __init__(self, chunks_stored: _Optional[int] = ..., bytes_stored: _Optional[int] = ...) -> None: ...

class WriteFileRequest(_message.Message):
    __slots__ = ("upload", "path", "offset", "finish", "digest", "size", "data")
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    upload: str
    path: str
    offset: int
    finish: bool
    digest: str
    size: int
    data: bytes
    def __init__(self, upload: _Optional[str] = ..., path: _Optional[str] = ..., offset: _Optional[int] = ..., finish: _Optional[bool] = ..., digest: _Optional[str] = ..., size: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class WriteFileResponse(_message.Message):
    __slots__ = ("file",)
    FILE_FIELD_NUMBER: _ClassVar[int]
    file: UploadFile
    def __init__(self, file: _Optional[_Union[UploadFile, _Mapping]] = ...) -> None: ...

class CommitUploadRequest(_message.Message):
    __slots__ = ("upload", "metadata", "aliases", "digest", "request_id", "record", "author")
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    upload: str
    metadata: _registry_pb2.VersionMetadata
    aliases: _containers.RepeatedScalarFieldContainer[str]
    digest: str
    request_id: str
    record: _record_pb2.Record
    author: str
    def __init__(self, upload: _Optional[str] = ..., metadata: _Optional[_Union[_registry_pb2.VersionMetadata, _Mapping]] = ..., aliases: _Optional[_Iterable[str]] = ..., digest: _Optional[str] = ..., request_id: _Optional[str] = ..., record: _Optional[_Union[_record_pb2.Record, _Mapping]] = ..., author: _Optional[str] = ...) -> None: ...

class CommitUploadResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: _registry_pb2.Version
    def __init__(self, version: _Optional[_Union[_registry_pb2.Version, _Mapping]] = ...) -> None: ...

class ReadManifestRequest(_message.Message):
    __slots__ = ("version", "include_chunks", "paths")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_CHUNKS_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    version: str
    include_chunks: bool
    paths: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., include_chunks: _Optional[bool] = ..., paths: _Optional[_Iterable[str]] = ...) -> None: ...

class ReadManifestResponse(_message.Message):
    __slots__ = ("version", "digest", "files")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    version: str
    digest: str
    files: _containers.RepeatedCompositeFieldContainer[ManifestFile]
    def __init__(self, version: _Optional[str] = ..., digest: _Optional[str] = ..., files: _Optional[_Iterable[_Union[ManifestFile, _Mapping]]] = ...) -> None: ...

class ManifestFile(_message.Message):
    __slots__ = ("path", "size", "digest", "chunks")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    path: str
    size: int
    digest: str
    chunks: _containers.RepeatedCompositeFieldContainer[ChunkRef]
    def __init__(self, path: _Optional[str] = ..., size: _Optional[int] = ..., digest: _Optional[str] = ..., chunks: _Optional[_Iterable[_Union[ChunkRef, _Mapping]]] = ...) -> None: ...

class FileRange(_message.Message):
    __slots__ = ("path", "offset", "length")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    path: str
    offset: int
    length: int
    def __init__(self, path: _Optional[str] = ..., offset: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...

class ReadChunksRequest(_message.Message):
    __slots__ = ("version", "ranges", "accept")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    version: str
    ranges: _containers.RepeatedCompositeFieldContainer[FileRange]
    accept: _containers.RepeatedScalarFieldContainer[Codec]
    def __init__(self, version: _Optional[str] = ..., ranges: _Optional[_Iterable[_Union[FileRange, _Mapping]]] = ..., accept: _Optional[_Iterable[_Union[Codec, str]]] = ...) -> None: ...

class ReadChunksResponse(_message.Message):
    __slots__ = ("frames", "data")
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    frames: _containers.RepeatedCompositeFieldContainer[ChunkFrame]
    data: bytes
    def __init__(self, frames: _Optional[_Iterable[_Union[ChunkFrame, _Mapping]]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ReadFileRequest(_message.Message):
    __slots__ = ("version", "path", "offset", "limit")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    version: str
    path: str
    offset: int
    limit: int
    def __init__(self, version: _Optional[str] = ..., path: _Optional[str] = ..., offset: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ReadFileResponse(_message.Message):
    __slots__ = ("size", "digest", "offset", "data")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    size: int
    digest: str
    offset: int
    data: bytes
    def __init__(self, size: _Optional[int] = ..., digest: _Optional[str] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...
