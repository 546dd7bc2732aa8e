import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from regsvc.v1 import dataset_pb2 as _dataset_pb2
from regsvc.v1 import registry_pb2 as _registry_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MetricDirection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METRIC_DIRECTION_UNSPECIFIED: _ClassVar[MetricDirection]
    METRIC_DIRECTION_HIGHER: _ClassVar[MetricDirection]
    METRIC_DIRECTION_LOWER: _ClassVar[MetricDirection]
METRIC_DIRECTION_UNSPECIFIED: MetricDirection
METRIC_DIRECTION_HIGHER: MetricDirection
METRIC_DIRECTION_LOWER: MetricDirection

class CompareRequest(_message.Message):
    __slots__ = ("names", "include_same", "skip_tensors", "series_points")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SAME_FIELD_NUMBER: _ClassVar[int]
    SKIP_TENSORS_FIELD_NUMBER: _ClassVar[int]
    SERIES_POINTS_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    include_same: bool
    skip_tensors: bool
    series_points: int
    def __init__(self, names: _Optional[_Iterable[str]] = ..., include_same: _Optional[bool] = ..., skip_tensors: _Optional[bool] = ..., series_points: _Optional[int] = ...) -> None: ...

class CompareResponse(_message.Message):
    __slots__ = ("subjects", "params", "metrics", "facts", "packages", "files", "tensors", "steps", "notes", "datasets", "series")
    SUBJECTS_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    PACKAGES_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    subjects: _containers.RepeatedCompositeFieldContainer[ComparedSubject]
    params: _containers.RepeatedCompositeFieldContainer[ComparedParam]
    metrics: _containers.RepeatedCompositeFieldContainer[ComparedMetric]
    facts: _containers.RepeatedCompositeFieldContainer[ComparedFact]
    packages: _containers.RepeatedCompositeFieldContainer[ComparedFact]
    files: _containers.RepeatedCompositeFieldContainer[ComparedFile]
    tensors: _containers.RepeatedCompositeFieldContainer[ComparedTensor]
    steps: _containers.RepeatedCompositeFieldContainer[ComparedStep]
    notes: _containers.RepeatedScalarFieldContainer[str]
    datasets: _containers.RepeatedCompositeFieldContainer[ComparedDataset]
    series: _containers.RepeatedCompositeFieldContainer[ComparedSeries]
    def __init__(self, subjects: _Optional[_Iterable[_Union[ComparedSubject, _Mapping]]] = ..., params: _Optional[_Iterable[_Union[ComparedParam, _Mapping]]] = ..., metrics: _Optional[_Iterable[_Union[ComparedMetric, _Mapping]]] = ..., facts: _Optional[_Iterable[_Union[ComparedFact, _Mapping]]] = ..., packages: _Optional[_Iterable[_Union[ComparedFact, _Mapping]]] = ..., files: _Optional[_Iterable[_Union[ComparedFile, _Mapping]]] = ..., tensors: _Optional[_Iterable[_Union[ComparedTensor, _Mapping]]] = ..., steps: _Optional[_Iterable[_Union[ComparedStep, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ..., datasets: _Optional[_Iterable[_Union[ComparedDataset, _Mapping]]] = ..., series: _Optional[_Iterable[_Union[ComparedSeries, _Mapping]]] = ...) -> None: ...

class ComparedSubject(_message.Message):
    __slots__ = ("name", "create_time", "digest", "aliases", "build", "build_state", "file_count", "size", "files_added", "files_removed", "files_changed", "shared_bytes", "tensors_added", "tensors_removed", "tensors_changed", "build_seconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    BUILD_STATE_FIELD_NUMBER: _ClassVar[int]
    FILE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    FILES_ADDED_FIELD_NUMBER: _ClassVar[int]
    FILES_REMOVED_FIELD_NUMBER: _ClassVar[int]
    FILES_CHANGED_FIELD_NUMBER: _ClassVar[int]
    SHARED_BYTES_FIELD_NUMBER: _ClassVar[int]
    TENSORS_ADDED_FIELD_NUMBER: _ClassVar[int]
    TENSORS_REMOVED_FIELD_NUMBER: _ClassVar[int]
    TENSORS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    BUILD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    create_time: _timestamp_pb2.Timestamp
    digest: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    build: str
    build_state: str
    file_count: int
    size: int
    files_added: int
    files_removed: int
    files_changed: int
    shared_bytes: int
    tensors_added: int
    tensors_removed: int
    tensors_changed: int
    build_seconds: float
    def __init__(self, name: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., digest: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., build: _Optional[str] = ..., build_state: _Optional[str] = ..., file_count: _Optional[int] = ..., size: _Optional[int] = ..., files_added: _Optional[int] = ..., files_removed: _Optional[int] = ..., files_changed: _Optional[int] = ..., shared_bytes: _Optional[int] = ..., tensors_added: _Optional[int] = ..., tensors_removed: _Optional[int] = ..., tensors_changed: _Optional[int] = ..., build_seconds: _Optional[float] = ...) -> None: ...

class ComparedParam(_message.Message):
    __slots__ = ("key", "values", "differs")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    DIFFERS_FIELD_NUMBER: _ClassVar[int]
    key: str
    values: _containers.RepeatedCompositeFieldContainer[ComparedValue]
    differs: bool
    def __init__(self, key: _Optional[str] = ..., values: _Optional[_Iterable[_Union[ComparedValue, _Mapping]]] = ..., differs: _Optional[bool] = ...) -> None: ...

class ComparedValue(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: _registry_pb2.ParamValue
    def __init__(self, value: _Optional[_Union[_registry_pb2.ParamValue, _Mapping]] = ...) -> None: ...

class ComparedMetric(_message.Message):
    __slots__ = ("key", "direction", "values", "differs")
    KEY_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    DIFFERS_FIELD_NUMBER: _ClassVar[int]
    key: str
    direction: MetricDirection
    values: _containers.RepeatedCompositeFieldContainer[ComparedNumber]
    differs: bool
    def __init__(self, key: _Optional[str] = ..., direction: _Optional[_Union[MetricDirection, str]] = ..., values: _Optional[_Iterable[_Union[ComparedNumber, _Mapping]]] = ..., differs: _Optional[bool] = ...) -> None: ...

class ComparedNumber(_message.Message):
    __slots__ = ("value", "best")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    value: float
    best: bool
    def __init__(self, value: _Optional[float] = ..., best: _Optional[bool] = ...) -> None: ...

class ComparedFact(_message.Message):
    __slots__ = ("section", "key", "values", "differs")
    SECTION_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    DIFFERS_FIELD_NUMBER: _ClassVar[int]
    section: str
    key: str
    values: _containers.RepeatedScalarFieldContainer[str]
    differs: bool
    def __init__(self, section: _Optional[str] = ..., key: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ..., differs: _Optional[bool] = ...) -> None: ...

class ComparedFile(_message.Message):
    __slots__ = ("path", "cells")
    PATH_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    path: str
    cells: _containers.RepeatedCompositeFieldContainer[ComparedFileCell]
    def __init__(self, path: _Optional[str] = ..., cells: _Optional[_Iterable[_Union[ComparedFileCell, _Mapping]]] = ...) -> None: ...

class ComparedFileCell(_message.Message):
    __slots__ = ("present", "size", "digest", "shared_bytes")
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SHARED_BYTES_FIELD_NUMBER: _ClassVar[int]
    present: bool
    size: int
    digest: str
    shared_bytes: int
    def __init__(self, present: _Optional[bool] = ..., size: _Optional[int] = ..., digest: _Optional[str] = ..., shared_bytes: _Optional[int] = ...) -> None: ...

class ComparedTensor(_message.Message):
    __slots__ = ("name", "cells")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    name: str
    cells: _containers.RepeatedCompositeFieldContainer[ComparedTensorCell]
    def __init__(self, name: _Optional[str] = ..., cells: _Optional[_Iterable[_Union[ComparedTensorCell, _Mapping]]] = ...) -> None: ...

class ComparedTensorCell(_message.Message):
    __slots__ = ("present", "file", "dtype", "shape", "changed", "estimated")
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    present: bool
    file: str
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    changed: float
    estimated: bool
    def __init__(self, present: _Optional[bool] = ..., file: _Optional[str] = ..., dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., changed: _Optional[float] = ..., estimated: _Optional[bool] = ...) -> None: ...

class ComparedStep(_message.Message):
    __slots__ = ("name", "cells")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    name: str
    cells: _containers.RepeatedCompositeFieldContainer[ComparedStepCell]
    def __init__(self, name: _Optional[str] = ..., cells: _Optional[_Iterable[_Union[ComparedStepCell, _Mapping]]] = ...) -> None: ...

class ComparedStepCell(_message.Message):
    __slots__ = ("present", "state", "seconds")
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    present: bool
    state: str
    seconds: float
    def __init__(self, present: _Optional[bool] = ..., state: _Optional[str] = ..., seconds: _Optional[float] = ...) -> None: ...

class ComparedDataset(_message.Message):
    __slots__ = ("split", "cells", "differs")
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    DIFFERS_FIELD_NUMBER: _ClassVar[int]
    split: str
    cells: _containers.RepeatedCompositeFieldContainer[ComparedDatasetCell]
    differs: bool
    def __init__(self, split: _Optional[str] = ..., cells: _Optional[_Iterable[_Union[ComparedDatasetCell, _Mapping]]] = ..., differs: _Optional[bool] = ...) -> None: ...

class ComparedDatasetCell(_message.Message):
    __slots__ = ("present", "dataset", "digest", "row_count", "column_count", "filter", "columns_added", "columns_removed", "columns_retyped", "drift")
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    COLUMN_COUNT_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_ADDED_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_REMOVED_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_RETYPED_FIELD_NUMBER: _ClassVar[int]
    DRIFT_FIELD_NUMBER: _ClassVar[int]
    present: bool
    dataset: str
    digest: str
    row_count: int
    column_count: int
    filter: str
    columns_added: _containers.RepeatedScalarFieldContainer[str]
    columns_removed: _containers.RepeatedScalarFieldContainer[str]
    columns_retyped: _containers.RepeatedCompositeFieldContainer[_dataset_pb2.ColumnRetyped]
    drift: _containers.RepeatedCompositeFieldContainer[_dataset_pb2.ColumnDrift]
    def __init__(self, present: _Optional[bool] = ..., dataset: _Optional[str] = ..., digest: _Optional[str] = ..., row_count: _Optional[int] = ..., column_count: _Optional[int] = ..., filter: _Optional[str] = ..., columns_added: _Optional[_Iterable[str]] = ..., columns_removed: _Optional[_Iterable[str]] = ..., columns_retyped: _Optional[_Iterable[_Union[_dataset_pb2.ColumnRetyped, _Mapping]]] = ..., drift: _Optional[_Iterable[_Union[_dataset_pb2.ColumnDrift, _Mapping]]] = ...) -> None: ...

class ComparedSeries(_message.Message):
    __slots__ = ("key", "curves")
    KEY_FIELD_NUMBER: _ClassVar[int]
    CURVES_FIELD_NUMBER: _ClassVar[int]
    key: str
    curves: _containers.RepeatedCompositeFieldContainer[ComparedCurve]
    def __init__(self, key: _Optional[str] = ..., curves: _Optional[_Iterable[_Union[ComparedCurve, _Mapping]]] = ...) -> None: ...

class ComparedCurve(_message.Message):
    __slots__ = ("steps", "values")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedScalarFieldContainer[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, steps: _Optional[_Iterable[int]] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...
