import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from regsvc.v1 import build_pb2 as _build_pb2
from regsvc.v1 import template_pb2 as _template_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Runner(_message.Message):
    __slots__ = ("name", "session", "labels", "slots", "host", "version", "builds", "connected", "connect_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BUILDS_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    CONNECT_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    session: str
    labels: _containers.RepeatedScalarFieldContainer[str]
    slots: int
    host: str
    version: str
    builds: _containers.RepeatedScalarFieldContainer[str]
    connected: bool
    connect_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., session: _Optional[str] = ..., labels: _Optional[_Iterable[str]] = ..., slots: _Optional[int] = ..., host: _Optional[str] = ..., version: _Optional[str] = ..., builds: _Optional[_Iterable[str]] = ..., connected: _Optional[bool] = ..., connect_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WorkRequest(_message.Message):
    __slots__ = ("runner", "free_slots")
    RUNNER_FIELD_NUMBER: _ClassVar[int]
    FREE_SLOTS_FIELD_NUMBER: _ClassVar[int]
    runner: Runner
    free_slots: int
    def __init__(self, runner: _Optional[_Union[Runner, _Mapping]] = ..., free_slots: _Optional[int] = ...) -> None: ...

class WorkResponse(_message.Message):
    __slots__ = ("offer", "cancel")
    OFFER_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    offer: str
    cancel: str
    def __init__(self, offer: _Optional[str] = ..., cancel: _Optional[str] = ...) -> None: ...

class ClaimBuildRequest(_message.Message):
    __slots__ = ("build", "runner", "session")
    BUILD_FIELD_NUMBER: _ClassVar[int]
    RUNNER_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    build: str
    runner: str
    session: str
    def __init__(self, build: _Optional[str] = ..., runner: _Optional[str] = ..., session: _Optional[str] = ...) -> None: ...

class ClaimBuildResponse(_message.Message):
    __slots__ = ("build", "template")
    BUILD_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    build: _build_pb2.Build
    template: _template_pb2.Template
    def __init__(self, build: _Optional[_Union[_build_pb2.Build, _Mapping]] = ..., template: _Optional[_Union[_template_pb2.Template, _Mapping]] = ...) -> None: ...

class ListRunnersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRunnersResponse(_message.Message):
    __slots__ = ("runners",)
    RUNNERS_FIELD_NUMBER: _ClassVar[int]
    runners: _containers.RepeatedCompositeFieldContainer[Runner]
    def __init__(self, runners: _Optional[_Iterable[_Union[Runner, _Mapping]]] = ...) -> None: ...
