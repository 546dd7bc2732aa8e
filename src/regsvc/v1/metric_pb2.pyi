import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from regsvc.v1 import compare_pb2 as _compare_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SeriesSummary(_message.Message):
    __slots__ = ("source", "key", "count", "last", "last_step", "last_time", "min", "max", "first", "first_step", "min_step", "max_step", "direction", "best", "best_step")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    LAST_STEP_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    FIRST_STEP_FIELD_NUMBER: _ClassVar[int]
    MIN_STEP_FIELD_NUMBER: _ClassVar[int]
    MAX_STEP_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    BEST_STEP_FIELD_NUMBER: _ClassVar[int]
    source: str
    key: str
    count: int
    last: float
    last_step: int
    last_time: _timestamp_pb2.Timestamp
    min: float
    max: float
    first: float
    first_step: int
    min_step: int
    max_step: int
    direction: _compare_pb2.MetricDirection
    best: float
    best_step: int
    def __init__(self, source: _Optional[str] = ..., key: _Optional[str] = ..., count: _Optional[int] = ..., last: _Optional[float] = ..., last_step: _Optional[int] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., min: _Optional[float] = ..., max: _Optional[float] = ..., first: _Optional[float] = ..., first_step: _Optional[int] = ..., min_step: _Optional[int] = ..., max_step: _Optional[int] = ..., direction: _Optional[_Union[_compare_pb2.MetricDirection, str]] = ..., best: _Optional[float] = ..., best_step: _Optional[int] = ...) -> None: ...

class SeriesPoint(_message.Message):
    __slots__ = ("step", "value", "time")
    STEP_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    step: int
    value: float
    time: _timestamp_pb2.Timestamp
    def __init__(self, step: _Optional[int] = ..., value: _Optional[float] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EvaluationPoint(_message.Message):
    __slots__ = ("key", "value", "step", "time")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: float
    step: int
    time: _timestamp_pb2.Timestamp
    def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ..., step: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListSeriesRequest(_message.Message):
    __slots__ = ("parent",)
    PARENT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    def __init__(self, parent: _Optional[str] = ...) -> None: ...

class ListSeriesResponse(_message.Message):
    __slots__ = ("series",)
    SERIES_FIELD_NUMBER: _ClassVar[int]
    series: _containers.RepeatedCompositeFieldContainer[SeriesSummary]
    def __init__(self, series: _Optional[_Iterable[_Union[SeriesSummary, _Mapping]]] = ...) -> None: ...

class ReadSeriesRequest(_message.Message):
    __slots__ = ("parent", "source", "key", "max_points")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    MAX_POINTS_FIELD_NUMBER: _ClassVar[int]
    parent: str
    source: str
    key: str
    max_points: int
    def __init__(self, parent: _Optional[str] = ..., source: _Optional[str] = ..., key: _Optional[str] = ..., max_points: _Optional[int] = ...) -> None: ...

class ReadSeriesResponse(_message.Message):
    __slots__ = ("points",)
    POINTS_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[SeriesPoint]
    def __init__(self, points: _Optional[_Iterable[_Union[SeriesPoint, _Mapping]]] = ...) -> None: ...

class AddEvaluationRequest(_message.Message):
    __slots__ = ("version", "source", "points", "request_id")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    version: str
    source: str
    points: _containers.RepeatedCompositeFieldContainer[EvaluationPoint]
    request_id: str
    def __init__(self, version: _Optional[str] = ..., source: _Optional[str] = ..., points: _Optional[_Iterable[_Union[EvaluationPoint, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class AddEvaluationResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MetricDefinition(_message.Message):
    __slots__ = ("key", "direction")
    KEY_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    key: str
    direction: _compare_pb2.MetricDirection
    def __init__(self, key: _Optional[str] = ..., direction: _Optional[_Union[_compare_pb2.MetricDirection, str]] = ...) -> None: ...

class DefineMetricRequest(_message.Message):
    __slots__ = ("parent", "definition", "request_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    definition: MetricDefinition
    request_id: str
    def __init__(self, parent: _Optional[str] = ..., definition: _Optional[_Union[MetricDefinition, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class DefineMetricResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListMetricDefinitionsRequest(_message.Message):
    __slots__ = ("parent",)
    PARENT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    def __init__(self, parent: _Optional[str] = ...) -> None: ...

class ListMetricDefinitionsResponse(_message.Message):
    __slots__ = ("definitions",)
    DEFINITIONS_FIELD_NUMBER: _ClassVar[int]
    definitions: _containers.RepeatedCompositeFieldContainer[MetricDefinition]
    def __init__(self, definitions: _Optional[_Iterable[_Union[MetricDefinition, _Mapping]]] = ...) -> None: ...
