import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from regsvc.v1 import build_pb2 as _build_pb2
from regsvc.v1 import registry_pb2 as _registry_pb2
from regsvc.v1 import run_pb2 as _run_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MissedPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MISSED_POLICY_UNSPECIFIED: _ClassVar[MissedPolicy]
    MISSED_POLICY_SKIP: _ClassVar[MissedPolicy]
    MISSED_POLICY_RUN_ONCE: _ClassVar[MissedPolicy]

class OverlapPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OVERLAP_POLICY_UNSPECIFIED: _ClassVar[OverlapPolicy]
    OVERLAP_POLICY_SKIP: _ClassVar[OverlapPolicy]
    OVERLAP_POLICY_QUEUE: _ClassVar[OverlapPolicy]
MISSED_POLICY_UNSPECIFIED: MissedPolicy
MISSED_POLICY_SKIP: MissedPolicy
MISSED_POLICY_RUN_ONCE: MissedPolicy
OVERLAP_POLICY_UNSPECIFIED: OverlapPolicy
OVERLAP_POLICY_SKIP: OverlapPolicy
OVERLAP_POLICY_QUEUE: OverlapPolicy

class Template(_message.Message):
    __slots__ = ("name", "revision", "description", "steps", "source", "params", "environment", "inputs", "outputs", "timeout_seconds", "retries", "labels", "schedule", "triggers", "paused", "author", "update_time", "next_run_time")
    class ParamsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _registry_pb2.ParamValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_registry_pb2.ParamValue, _Mapping]] = ...) -> None: ...
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    TRIGGERS_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    NEXT_RUN_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    revision: int
    description: str
    steps: _containers.RepeatedCompositeFieldContainer[TemplateStep]
    source: _run_pb2.TemplateSource
    params: _containers.MessageMap[str, _registry_pb2.ParamValue]
    environment: _containers.ScalarMap[str, str]
    inputs: _containers.RepeatedCompositeFieldContainer[_run_pb2.TemplateInput]
    outputs: _containers.RepeatedCompositeFieldContainer[TemplateOutput]
    timeout_seconds: int
    retries: TemplateRetries
    labels: _containers.RepeatedScalarFieldContainer[str]
    schedule: TemplateSchedule
    triggers: _containers.RepeatedCompositeFieldContainer[TemplateTrigger]
    paused: bool
    author: str
    update_time: _timestamp_pb2.Timestamp
    next_run_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., revision: _Optional[int] = ..., description: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[TemplateStep, _Mapping]]] = ..., source: _Optional[_Union[_run_pb2.TemplateSource, _Mapping]] = ..., params: _Optional[_Mapping[str, _registry_pb2.ParamValue]] = ..., environment: _Optional[_Mapping[str, str]] = ..., inputs: _Optional[_Iterable[_Union[_run_pb2.TemplateInput, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[TemplateOutput, _Mapping]]] = ..., timeout_seconds: _Optional[int] = ..., retries: _Optional[_Union[TemplateRetries, _Mapping]] = ..., labels: _Optional[_Iterable[str]] = ..., schedule: _Optional[_Union[TemplateSchedule, _Mapping]] = ..., triggers: _Optional[_Iterable[_Union[TemplateTrigger, _Mapping]]] = ..., paused: _Optional[bool] = ..., author: _Optional[str] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_run_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TemplateStep(_message.Message):
    __slots__ = ("name", "command")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    name: str
    command: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ...) -> None: ...

class TemplateOutput(_message.Message):
    __slots__ = ("path", "promote")
    PATH_FIELD_NUMBER: _ClassVar[int]
    PROMOTE_FIELD_NUMBER: _ClassVar[int]
    path: str
    promote: str
    def __init__(self, path: _Optional[str] = ..., promote: _Optional[str] = ...) -> None: ...

class TemplateRetries(_message.Message):
    __slots__ = ("lost", "failed", "backoff_seconds")
    LOST_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_SECONDS_FIELD_NUMBER: _ClassVar[int]
    lost: int
    failed: int
    backoff_seconds: int
    def __init__(self, lost: _Optional[int] = ..., failed: _Optional[int] = ..., backoff_seconds: _Optional[int] = ...) -> None: ...

class TemplateSchedule(_message.Message):
    __slots__ = ("cron", "time_zone", "missed", "overlap")
    CRON_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    cron: str
    time_zone: str
    missed: MissedPolicy
    overlap: OverlapPolicy
    def __init__(self, cron: _Optional[str] = ..., time_zone: _Optional[str] = ..., missed: _Optional[_Union[MissedPolicy, str]] = ..., overlap: _Optional[_Union[OverlapPolicy, str]] = ...) -> None: ...

class TemplateTrigger(_message.Message):
    __slots__ = ("filter",)
    FILTER_FIELD_NUMBER: _ClassVar[int]
    filter: str
    def __init__(self, filter: _Optional[str] = ...) -> None: ...

class SetTemplateRequest(_message.Message):
    __slots__ = ("template", "expect_revision")
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    EXPECT_REVISION_FIELD_NUMBER: _ClassVar[int]
    template: Template
    expect_revision: int
    def __init__(self, template: _Optional[_Union[Template, _Mapping]] = ..., expect_revision: _Optional[int] = ...) -> None: ...

class SetTemplateResponse(_message.Message):
    __slots__ = ("template",)
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    template: Template
    def __init__(self, template: _Optional[_Union[Template, _Mapping]] = ...) -> None: ...

class GetTemplateRequest(_message.Message):
    __slots__ = ("name", "revision")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    name: str
    revision: int
    def __init__(self, name: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class GetTemplateResponse(_message.Message):
    __slots__ = ("template",)
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    template: Template
    def __init__(self, template: _Optional[_Union[Template, _Mapping]] = ...) -> None: ...

class ListTemplatesRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTemplatesResponse(_message.Message):
    __slots__ = ("templates", "next_page_token")
    TEMPLATES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    templates: _containers.RepeatedCompositeFieldContainer[Template]
    next_page_token: str
    def __init__(self, templates: _Optional[_Iterable[_Union[Template, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteTemplateRequest(_message.Message):
    __slots__ = ("name", "author")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    author: str
    def __init__(self, name: _Optional[str] = ..., author: _Optional[str] = ...) -> None: ...

class DeleteTemplateResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RunTemplateRequest(_message.Message):
    __slots__ = ("name", "params", "author", "request_id")
    class ParamsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _registry_pb2.ParamValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_registry_pb2.ParamValue, _Mapping]] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    params: _containers.MessageMap[str, _registry_pb2.ParamValue]
    author: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., params: _Optional[_Mapping[str, _registry_pb2.ParamValue]] = ..., author: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RunTemplateResponse(_message.Message):
    __slots__ = ("build",)
    BUILD_FIELD_NUMBER: _ClassVar[int]
    build: _build_pb2.Build
    def __init__(self, build: _Optional[_Union[_build_pb2.Build, _Mapping]] = ...) -> None: ...

class RerunBuildRequest(_message.Message):
    __slots__ = ("build", "params", "author", "request_id")
    class ParamsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _registry_pb2.ParamValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_registry_pb2.ParamValue, _Mapping]] = ...) -> None: ...
    BUILD_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    build: str
    params: _containers.MessageMap[str, _registry_pb2.ParamValue]
    author: str
    request_id: str
    def __init__(self, build: _Optional[str] = ..., params: _Optional[_Mapping[str, _registry_pb2.ParamValue]] = ..., author: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RerunBuildResponse(_message.Message):
    __slots__ = ("build",)
    BUILD_FIELD_NUMBER: _ClassVar[int]
    build: _build_pb2.Build
    def __init__(self, build: _Optional[_Union[_build_pb2.Build, _Mapping]] = ...) -> None: ...
