import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Run(_message.Message):
    __slots__ = ("template", "revision", "inputs", "source", "trigger", "cause", "author", "attempt", "retry_of", "rerun_of", "followed_by", "runner", "start_time", "not_before", "labels")
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RETRY_OF_FIELD_NUMBER: _ClassVar[int]
    RERUN_OF_FIELD_NUMBER: _ClassVar[int]
    FOLLOWED_BY_FIELD_NUMBER: _ClassVar[int]
    RUNNER_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    template: str
    revision: int
    inputs: _containers.RepeatedCompositeFieldContainer[TemplateInput]
    source: TemplateSource
    trigger: str
    cause: str
    author: str
    attempt: int
    retry_of: str
    rerun_of: str
    followed_by: _containers.RepeatedScalarFieldContainer[str]
    runner: str
    start_time: _timestamp_pb2.Timestamp
    not_before: _timestamp_pb2.Timestamp
    labels: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, template: _Optional[str] = ..., revision: _Optional[int] = ..., inputs: _Optional[_Iterable[_Union[TemplateInput, _Mapping]]] = ..., source: _Optional[_Union[TemplateSource, _Mapping]] = ..., trigger: _Optional[str] = ..., cause: _Optional[str] = ..., author: _Optional[str] = ..., attempt: _Optional[int] = ..., retry_of: _Optional[str] = ..., rerun_of: _Optional[str] = ..., followed_by: _Optional[_Iterable[str]] = ..., runner: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., not_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., labels: _Optional[_Iterable[str]] = ...) -> None: ...

class TemplateSource(_message.Message):
    __slots__ = ("git", "version")
    GIT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    git: GitSource
    version: str
    def __init__(self, git: _Optional[_Union[GitSource, _Mapping]] = ..., version: _Optional[str] = ...) -> None: ...

class GitSource(_message.Message):
    __slots__ = ("url", "commit")
    URL_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    url: str
    commit: str
    def __init__(self, url: _Optional[str] = ..., commit: _Optional[str] = ...) -> None: ...

class TemplateInput(_message.Message):
    __slots__ = ("version", "folder")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FOLDER_FIELD_NUMBER: _ClassVar[int]
    version: str
    folder: str
    def __init__(self, version: _Optional[str] = ..., folder: _Optional[str] = ...) -> None: ...
