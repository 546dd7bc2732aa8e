from regsvc.v1 import build_pb2 as _build_pb2
from regsvc.v1 import dataset_pb2 as _dataset_pb2
from regsvc.v1 import registry_pb2 as _registry_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SearchKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEARCH_KIND_UNSPECIFIED: _ClassVar[SearchKind]
    SEARCH_KIND_VERSIONS: _ClassVar[SearchKind]
    SEARCH_KIND_BUILDS: _ClassVar[SearchKind]
    SEARCH_KIND_MODELS: _ClassVar[SearchKind]
    SEARCH_KIND_DATASETS: _ClassVar[SearchKind]
SEARCH_KIND_UNSPECIFIED: SearchKind
SEARCH_KIND_VERSIONS: SearchKind
SEARCH_KIND_BUILDS: SearchKind
SEARCH_KIND_MODELS: SearchKind
SEARCH_KIND_DATASETS: SearchKind

class SearchRequest(_message.Message):
    __slots__ = ("parent", "kind", "filter", "order_by", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    kind: SearchKind
    filter: str
    order_by: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., kind: _Optional[_Union[SearchKind, str]] = ..., filter: _Optional[str] = ..., order_by: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("versions", "builds", "models", "next_page_token", "datasets")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    BUILDS_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[_registry_pb2.Version]
    builds: _containers.RepeatedCompositeFieldContainer[_build_pb2.Build]
    models: _containers.RepeatedCompositeFieldContainer[_registry_pb2.Model]
    next_page_token: str
    datasets: _containers.RepeatedCompositeFieldContainer[_dataset_pb2.Dataset]
    def __init__(self, versions: _Optional[_Iterable[_Union[_registry_pb2.Version, _Mapping]]] = ..., builds: _Optional[_Iterable[_Union[_build_pb2.Build, _Mapping]]] = ..., models: _Optional[_Iterable[_Union[_registry_pb2.Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., datasets: _Optional[_Iterable[_Union[_dataset_pb2.Dataset, _Mapping]]] = ...) -> None: ...
