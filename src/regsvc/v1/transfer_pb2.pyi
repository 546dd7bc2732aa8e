import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from regsvc.v1 import artifact_pb2 as _artifact_pb2
from regsvc.v1 import build_pb2 as _build_pb2
from regsvc.v1 import dataset_pb2 as _dataset_pb2
from regsvc.v1 import metric_pb2 as _metric_pb2
from regsvc.v1 import promotion_pb2 as _promotion_pb2
from regsvc.v1 import record_pb2 as _record_pb2
from regsvc.v1 import registry_pb2 as _registry_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExportContents(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXPORT_CONTENTS_UNSPECIFIED: _ClassVar[ExportContents]
    EXPORT_CONTENTS_ALL: _ClassVar[ExportContents]
    EXPORT_CONTENTS_POINTS: _ClassVar[ExportContents]

class ImportOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IMPORT_OUTCOME_UNSPECIFIED: _ClassVar[ImportOutcome]
    IMPORT_OUTCOME_CREATED: _ClassVar[ImportOutcome]
    IMPORT_OUTCOME_PRESENT: _ClassVar[ImportOutcome]
    IMPORT_OUTCOME_CONFLICT: _ClassVar[ImportOutcome]
    IMPORT_OUTCOME_REFUSED: _ClassVar[ImportOutcome]
    IMPORT_OUTCOME_WANTED: _ClassVar[ImportOutcome]
EXPORT_CONTENTS_UNSPECIFIED: ExportContents
EXPORT_CONTENTS_ALL: ExportContents
EXPORT_CONTENTS_POINTS: ExportContents
IMPORT_OUTCOME_UNSPECIFIED: ImportOutcome
IMPORT_OUTCOME_CREATED: ImportOutcome
IMPORT_OUTCOME_PRESENT: ImportOutcome
IMPORT_OUTCOME_CONFLICT: ImportOutcome
IMPORT_OUTCOME_REFUSED: ImportOutcome
IMPORT_OUTCOME_WANTED: ImportOutcome

class TransferItem(_message.Message):
    __slots__ = ("dataset", "model", "build", "points", "version", "manifest", "blob", "version_state", "notes", "rules", "alias", "left_out")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    VERSION_STATE_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    dataset: _dataset_pb2.Dataset
    model: ModelItem
    build: BuildItem
    points: PointsItem
    version: VersionItem
    manifest: ManifestItem
    blob: BlobItem
    version_state: VersionStateItem
    notes: NotesItem
    rules: _promotion_pb2.AliasRules
    alias: AliasItem
    left_out: LeftOutItem
    def __init__(self, dataset: _Optional[_Union[_dataset_pb2.Dataset, _Mapping]] = ..., model: _Optional[_Union[ModelItem, _Mapping]] = ..., build: _Optional[_Union[BuildItem, _Mapping]] = ..., points: _Optional[_Union[PointsItem, _Mapping]] = ..., version: _Optional[_Union[VersionItem, _Mapping]] = ..., manifest: _Optional[_Union[ManifestItem, _Mapping]] = ..., blob: _Optional[_Union[BlobItem, _Mapping]] = ..., version_state: _Optional[_Union[VersionStateItem, _Mapping]] = ..., notes: _Optional[_Union[NotesItem, _Mapping]] = ..., rules: _Optional[_Union[_promotion_pb2.AliasRules, _Mapping]] = ..., alias: _Optional[_Union[AliasItem, _Mapping]] = ..., left_out: _Optional[_Union[LeftOutItem, _Mapping]] = ...) -> None: ...

class ModelItem(_message.Message):
    __slots__ = ("name", "description", "create_time", "update_time", "definitions")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DEFINITIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    definitions: _containers.RepeatedCompositeFieldContainer[_metric_pb2.MetricDefinition]
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., definitions: _Optional[_Iterable[_Union[_metric_pb2.MetricDefinition, _Mapping]]] = ...) -> None: ...

class BuildItem(_message.Message):
    __slots__ = ("build", "record", "point_count")
    BUILD_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    POINT_COUNT_FIELD_NUMBER: _ClassVar[int]
    build: _build_pb2.Build
    record: _record_pb2.Record
    point_count: int
    def __init__(self, build: _Optional[_Union[_build_pb2.Build, _Mapping]] = ..., record: _Optional[_Union[_record_pb2.Record, _Mapping]] = ..., point_count: _Optional[int] = ...) -> None: ...

class PointsItem(_message.Message):
    __slots__ = ("name", "source", "key", "first", "points")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    source: str
    key: str
    first: int
    points: _containers.RepeatedCompositeFieldContainer[_metric_pb2.EvaluationPoint]
    def __init__(self, name: _Optional[str] = ..., source: _Optional[str] = ..., key: _Optional[str] = ..., first: _Optional[int] = ..., points: _Optional[_Iterable[_Union[_metric_pb2.EvaluationPoint, _Mapping]]] = ...) -> None: ...

class VersionItem(_message.Message):
    __slots__ = ("version", "record")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    version: _registry_pb2.Version
    record: _record_pb2.Record
    def __init__(self, version: _Optional[_Union[_registry_pb2.Version, _Mapping]] = ..., record: _Optional[_Union[_record_pb2.Record, _Mapping]] = ...) -> None: ...

class ManifestItem(_message.Message):
    __slots__ = ("name", "files", "last")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    name: str
    files: _containers.RepeatedCompositeFieldContainer[_artifact_pb2.ManifestFile]
    last: bool
    def __init__(self, name: _Optional[str] = ..., files: _Optional[_Iterable[_Union[_artifact_pb2.ManifestFile, _Mapping]]] = ..., last: _Optional[bool] = ...) -> None: ...

class BlobItem(_message.Message):
    __slots__ = ("name", "digest", "size", "offset", "chunks")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    size: int
    offset: int
    chunks: _containers.RepeatedCompositeFieldContainer[_artifact_pb2.ChunkRef]
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., size: _Optional[int] = ..., offset: _Optional[int] = ..., chunks: _Optional[_Iterable[_Union[_artifact_pb2.ChunkRef, _Mapping]]] = ...) -> None: ...

class VersionStateItem(_message.Message):
    __slots__ = ("name", "bad", "bad_reason", "approvals", "series", "archive_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BAD_FIELD_NUMBER: _ClassVar[int]
    BAD_REASON_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    bad: bool
    bad_reason: str
    approvals: _containers.RepeatedCompositeFieldContainer[_promotion_pb2.Approval]
    series: _containers.RepeatedCompositeFieldContainer[EvaluationSeries]
    archive_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., bad: _Optional[bool] = ..., bad_reason: _Optional[str] = ..., approvals: _Optional[_Iterable[_Union[_promotion_pb2.Approval, _Mapping]]] = ..., series: _Optional[_Iterable[_Union[EvaluationSeries, _Mapping]]] = ..., archive_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EvaluationSeries(_message.Message):
    __slots__ = ("source", "key", "count")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    source: str
    key: str
    count: int
    def __init__(self, source: _Optional[str] = ..., key: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class NotesItem(_message.Message):
    __slots__ = ("name", "notes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    notes: _containers.RepeatedCompositeFieldContainer[_record_pb2.Note]
    def __init__(self, name: _Optional[str] = ..., notes: _Optional[_Iterable[_Union[_record_pb2.Note, _Mapping]]] = ...) -> None: ...

class AliasItem(_message.Message):
    __slots__ = ("name", "first", "moves")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    MOVES_FIELD_NUMBER: _ClassVar[int]
    name: str
    first: int
    moves: _containers.RepeatedCompositeFieldContainer[AliasMove]
    def __init__(self, name: _Optional[str] = ..., first: _Optional[int] = ..., moves: _Optional[_Iterable[_Union[AliasMove, _Mapping]]] = ...) -> None: ...

class AliasMove(_message.Message):
    __slots__ = ("change", "version_digest", "version_deleted")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_DELETED_FIELD_NUMBER: _ClassVar[int]
    change: _registry_pb2.AliasChange
    version_digest: str
    version_deleted: bool
    def __init__(self, change: _Optional[_Union[_registry_pb2.AliasChange, _Mapping]] = ..., version_digest: _Optional[str] = ..., version_deleted: _Optional[bool] = ...) -> None: ...

class LeftOutItem(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ExportRequest(_message.Message):
    __slots__ = ("names", "contents", "cursor", "only", "filter")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    CONTENTS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    ONLY_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    contents: ExportContents
    cursor: str
    only: bool
    filter: str
    def __init__(self, names: _Optional[_Iterable[str]] = ..., contents: _Optional[_Union[ExportContents, str]] = ..., cursor: _Optional[str] = ..., only: _Optional[bool] = ..., filter: _Optional[str] = ...) -> None: ...

class ExportResponse(_message.Message):
    __slots__ = ("items", "cursor")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[TransferItem]
    cursor: str
    def __init__(self, items: _Optional[_Iterable[_Union[TransferItem, _Mapping]]] = ..., cursor: _Optional[str] = ...) -> None: ...

class BlobRange(_message.Message):
    __slots__ = ("digest", "offset", "length")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    digest: str
    offset: int
    length: int
    def __init__(self, digest: _Optional[str] = ..., offset: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...

class ReadBlobsRequest(_message.Message):
    __slots__ = ("name", "ranges", "accept")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    name: str
    ranges: _containers.RepeatedCompositeFieldContainer[BlobRange]
    accept: _containers.RepeatedScalarFieldContainer[_artifact_pb2.Codec]
    def __init__(self, name: _Optional[str] = ..., ranges: _Optional[_Iterable[_Union[BlobRange, _Mapping]]] = ..., accept: _Optional[_Iterable[_Union[_artifact_pb2.Codec, str]]] = ...) -> None: ...

class ReadBlobsResponse(_message.Message):
    __slots__ = ("frames", "data")
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    frames: _containers.RepeatedCompositeFieldContainer[_artifact_pb2.ChunkFrame]
    data: bytes
    def __init__(self, frames: _Optional[_Iterable[_Union[_artifact_pb2.ChunkFrame, _Mapping]]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ImportResult(_message.Message):
    __slots__ = ("name", "outcome", "reason", "message", "missing")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    name: str
    outcome: ImportOutcome
    reason: str
    message: str
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., outcome: _Optional[_Union[ImportOutcome, str]] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., missing: _Optional[_Iterable[str]] = ...) -> None: ...

class ImportRequest(_message.Message):
    __slots__ = ("source", "items", "upload", "blobs", "into")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    INTO_FIELD_NUMBER: _ClassVar[int]
    source: str
    items: _containers.RepeatedCompositeFieldContainer[TransferItem]
    upload: str
    blobs: str
    into: str
    def __init__(self, source: _Optional[str] = ..., items: _Optional[_Iterable[_Union[TransferItem, _Mapping]]] = ..., upload: _Optional[str] = ..., blobs: _Optional[str] = ..., into: _Optional[str] = ...) -> None: ...

class ImportResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ImportResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ImportResult, _Mapping]]] = ...) -> None: ...

class Mirror(_message.Message):
    __slots__ = ("source", "seq", "update_time", "filter")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    source: str
    seq: int
    update_time: _timestamp_pb2.Timestamp
    filter: str
    def __init__(self, source: _Optional[str] = ..., seq: _Optional[int] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., filter: _Optional[str] = ...) -> None: ...

class GetMirrorRequest(_message.Message):
    __slots__ = ("source", "filter")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    source: str
    filter: str
    def __init__(self, source: _Optional[str] = ..., filter: _Optional[str] = ...) -> None: ...

class GetMirrorResponse(_message.Message):
    __slots__ = ("mirror",)
    MIRROR_FIELD_NUMBER: _ClassVar[int]
    mirror: Mirror
    def __init__(self, mirror: _Optional[_Union[Mirror, _Mapping]] = ...) -> None: ...

class SetMirrorRequest(_message.Message):
    __slots__ = ("mirror",)
    MIRROR_FIELD_NUMBER: _ClassVar[int]
    mirror: Mirror
    def __init__(self, mirror: _Optional[_Union[Mirror, _Mapping]] = ...) -> None: ...

class SetMirrorResponse(_message.Message):
    __slots__ = ("mirror",)
    MIRROR_FIELD_NUMBER: _ClassVar[int]
    mirror: Mirror
    def __init__(self, mirror: _Optional[_Union[Mirror, _Mapping]] = ...) -> None: ...
