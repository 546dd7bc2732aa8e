import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ParentRelation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PARENT_RELATION_UNSPECIFIED: _ClassVar[ParentRelation]
    PARENT_RELATION_FINE_TUNED: _ClassVar[ParentRelation]
    PARENT_RELATION_QUANTISED: _ClassVar[ParentRelation]
    PARENT_RELATION_MERGED: _ClassVar[ParentRelation]
    PARENT_RELATION_DISTILLED: _ClassVar[ParentRelation]
    PARENT_RELATION_CONVERTED: _ClassVar[ParentRelation]
PARENT_RELATION_UNSPECIFIED: ParentRelation
PARENT_RELATION_FINE_TUNED: ParentRelation
PARENT_RELATION_QUANTISED: ParentRelation
PARENT_RELATION_MERGED: ParentRelation
PARENT_RELATION_DISTILLED: ParentRelation
PARENT_RELATION_CONVERTED: ParentRelation

class Record(_message.Message):
    __slots__ = ("code", "environment", "image", "signature", "card", "labels", "parents", "framework", "format", "gaps", "attachments", "datasets")
    CODE_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CARD_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PARENTS_FIELD_NUMBER: _ClassVar[int]
    FRAMEWORK_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    GAPS_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENTS_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    code: Code
    environment: Environment
    image: ContainerImage
    signature: Signature
    card: str
    labels: _containers.RepeatedScalarFieldContainer[str]
    parents: _containers.RepeatedCompositeFieldContainer[Parent]
    framework: str
    format: str
    gaps: _containers.RepeatedScalarFieldContainer[str]
    attachments: _containers.RepeatedCompositeFieldContainer[Attachment]
    datasets: _containers.RepeatedCompositeFieldContainer[DatasetUse]
    def __init__(self, code: _Optional[_Union[Code, _Mapping]] = ..., environment: _Optional[_Union[Environment, _Mapping]] = ..., image: _Optional[_Union[ContainerImage, _Mapping]] = ..., signature: _Optional[_Union[Signature, _Mapping]] = ..., card: _Optional[str] = ..., labels: _Optional[_Iterable[str]] = ..., parents: _Optional[_Iterable[_Union[Parent, _Mapping]]] = ..., framework: _Optional[str] = ..., format: _Optional[str] = ..., gaps: _Optional[_Iterable[str]] = ..., attachments: _Optional[_Iterable[_Union[Attachment, _Mapping]]] = ..., datasets: _Optional[_Iterable[_Union[DatasetUse, _Mapping]]] = ...) -> None: ...

class Code(_message.Message):
    __slots__ = ("remote", "commit", "branch", "dirty", "diff", "snapshot")
    REMOTE_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    DIRTY_FIELD_NUMBER: _ClassVar[int]
    DIFF_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    remote: str
    commit: str
    branch: str
    dirty: bool
    diff: str
    snapshot: str
    def __init__(self, remote: _Optional[str] = ..., commit: _Optional[str] = ..., branch: _Optional[str] = ..., dirty: _Optional[bool] = ..., diff: _Optional[str] = ..., snapshot: _Optional[str] = ...) -> None: ...

class Environment(_message.Message):
    __slots__ = ("python", "platform", "cpu", "cores", "memory_bytes", "accelerators", "packages", "variables", "lock_file")
    class VariablesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PYTHON_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    CPU_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    ACCELERATORS_FIELD_NUMBER: _ClassVar[int]
    PACKAGES_FIELD_NUMBER: _ClassVar[int]
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    LOCK_FILE_FIELD_NUMBER: _ClassVar[int]
    python: str
    platform: str
    cpu: str
    cores: int
    memory_bytes: int
    accelerators: _containers.RepeatedCompositeFieldContainer[Accelerator]
    packages: _containers.RepeatedCompositeFieldContainer[Package]
    variables: _containers.ScalarMap[str, str]
    lock_file: str
    def __init__(self, python: _Optional[str] = ..., platform: _Optional[str] = ..., cpu: _Optional[str] = ..., cores: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., accelerators: _Optional[_Iterable[_Union[Accelerator, _Mapping]]] = ..., packages: _Optional[_Iterable[_Union[Package, _Mapping]]] = ..., variables: _Optional[_Mapping[str, str]] = ..., lock_file: _Optional[str] = ...) -> None: ...

class Accelerator(_message.Message):
    __slots__ = ("name", "memory_bytes", "driver")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    name: str
    memory_bytes: int
    driver: str
    def __init__(self, name: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., driver: _Optional[str] = ...) -> None: ...

class Package(_message.Message):
    __slots__ = ("name", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class ContainerImage(_message.Message):
    __slots__ = ("reference", "digest")
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    reference: str
    digest: str
    def __init__(self, reference: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class Signature(_message.Message):
    __slots__ = ("inputs", "outputs", "json_schema")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    JSON_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[TensorSpec]
    outputs: _containers.RepeatedCompositeFieldContainer[TensorSpec]
    json_schema: str
    def __init__(self, inputs: _Optional[_Iterable[_Union[TensorSpec, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[TensorSpec, _Mapping]]] = ..., json_schema: _Optional[str] = ...) -> None: ...

class TensorSpec(_message.Message):
    __slots__ = ("name", "dtype", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...

class Parent(_message.Message):
    __slots__ = ("relation", "version", "uri")
    RELATION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    relation: ParentRelation
    version: str
    uri: str
    def __init__(self, relation: _Optional[_Union[ParentRelation, str]] = ..., version: _Optional[str] = ..., uri: _Optional[str] = ...) -> None: ...

class DatasetUse(_message.Message):
    __slots__ = ("dataset", "split", "filter", "begin", "end", "digest")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    split: str
    filter: str
    begin: str
    end: str
    digest: str
    def __init__(self, dataset: _Optional[str] = ..., split: _Optional[str] = ..., filter: _Optional[str] = ..., begin: _Optional[str] = ..., end: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class Attachment(_message.Message):
    __slots__ = ("name", "size", "digest")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    size: int
    digest: str
    def __init__(self, name: _Optional[str] = ..., size: _Optional[int] = ..., digest: _Optional[str] = ...) -> None: ...

class Note(_message.Message):
    __slots__ = ("author", "text", "time")
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    author: str
    text: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, author: _Optional[str] = ..., text: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetRecordRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetRecordResponse(_message.Message):
    __slots__ = ("record", "sealed_text", "digest")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    SEALED_TEXT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    record: Record
    sealed_text: str
    digest: str
    def __init__(self, record: _Optional[_Union[Record, _Mapping]] = ..., sealed_text: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class LogRecordRequest(_message.Message):
    __slots__ = ("build", "record")
    BUILD_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    build: str
    record: Record
    def __init__(self, build: _Optional[str] = ..., record: _Optional[_Union[Record, _Mapping]] = ...) -> None: ...

class LogRecordResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WriteAttachmentRequest(_message.Message):
    __slots__ = ("owner", "name", "digest", "data")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    owner: str
    name: str
    digest: str
    data: bytes
    def __init__(self, owner: _Optional[str] = ..., name: _Optional[str] = ..., digest: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class WriteAttachmentResponse(_message.Message):
    __slots__ = ("attachment",)
    ATTACHMENT_FIELD_NUMBER: _ClassVar[int]
    attachment: Attachment
    def __init__(self, attachment: _Optional[_Union[Attachment, _Mapping]] = ...) -> None: ...

class ReadAttachmentRequest(_message.Message):
    __slots__ = ("owner", "name")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    owner: str
    name: str
    def __init__(self, owner: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class ReadAttachmentResponse(_message.Message):
    __slots__ = ("attachment", "data")
    ATTACHMENT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    attachment: Attachment
    data: bytes
    def __init__(self, attachment: _Optional[_Union[Attachment, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class AddNoteRequest(_message.Message):
    __slots__ = ("version", "author", "text", "request_id")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    version: str
    author: str
    text: str
    request_id: str
    def __init__(self, version: _Optional[str] = ..., author: _Optional[str] = ..., text: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class AddNoteResponse(_message.Message):
    __slots__ = ("note",)
    NOTE_FIELD_NUMBER: _ClassVar[int]
    note: Note
    def __init__(self, note: _Optional[_Union[Note, _Mapping]] = ...) -> None: ...

class ListNotesRequest(_message.Message):
    __slots__ = ("version", "page_size", "page_token")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    version: str
    page_size: int
    page_token: str
    def __init__(self, version: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListNotesResponse(_message.Message):
    __slots__ = ("notes", "next_page_token")
    NOTES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    notes: _containers.RepeatedCompositeFieldContainer[Note]
    next_page_token: str
    def __init__(self, notes: _Optional[_Iterable[_Union[Note, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
