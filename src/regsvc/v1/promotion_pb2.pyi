import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from regsvc.v1 import registry_pb2 as _registry_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GateVerdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GATE_VERDICT_UNSPECIFIED: _ClassVar[GateVerdict]
    GATE_VERDICT_TRUE: _ClassVar[GateVerdict]
    GATE_VERDICT_FALSE: _ClassVar[GateVerdict]
    GATE_VERDICT_ERROR: _ClassVar[GateVerdict]
GATE_VERDICT_UNSPECIFIED: GateVerdict
GATE_VERDICT_TRUE: GateVerdict
GATE_VERDICT_FALSE: GateVerdict
GATE_VERDICT_ERROR: GateVerdict

class AliasRules(_message.Message):
    __slots__ = ("name", "protected", "gate", "approvals", "etag", "update_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROTECTED_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    protected: bool
    gate: str
    approvals: int
    etag: str
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., protected: _Optional[bool] = ..., gate: _Optional[str] = ..., approvals: _Optional[int] = ..., etag: _Optional[str] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GateTerm(_message.Message):
    __slots__ = ("expression", "verdict", "error", "values")
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    expression: str
    verdict: GateVerdict
    error: str
    values: _containers.RepeatedCompositeFieldContainer[GateValue]
    def __init__(self, expression: _Optional[str] = ..., verdict: _Optional[_Union[GateVerdict, str]] = ..., error: _Optional[str] = ..., values: _Optional[_Iterable[_Union[GateValue, _Mapping]]] = ...) -> None: ...

class GateValue(_message.Message):
    __slots__ = ("path", "value", "missing")
    PATH_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    path: str
    value: str
    missing: bool
    def __init__(self, path: _Optional[str] = ..., value: _Optional[str] = ..., missing: _Optional[bool] = ...) -> None: ...

class Promotability(_message.Message):
    __slots__ = ("allowed", "gate", "terms", "approvals", "approvals_required", "refusals")
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_REQUIRED_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    allowed: bool
    gate: GateVerdict
    terms: _containers.RepeatedCompositeFieldContainer[GateTerm]
    approvals: int
    approvals_required: int
    refusals: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, allowed: _Optional[bool] = ..., gate: _Optional[_Union[GateVerdict, str]] = ..., terms: _Optional[_Iterable[_Union[GateTerm, _Mapping]]] = ..., approvals: _Optional[int] = ..., approvals_required: _Optional[int] = ..., refusals: _Optional[_Iterable[str]] = ...) -> None: ...

class Approval(_message.Message):
    __slots__ = ("version", "alias", "author", "comment", "time")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    version: str
    alias: str
    author: str
    comment: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, version: _Optional[str] = ..., alias: _Optional[str] = ..., author: _Optional[str] = ..., comment: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetAliasRulesRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetAliasRulesResponse(_message.Message):
    __slots__ = ("rules",)
    RULES_FIELD_NUMBER: _ClassVar[int]
    rules: AliasRules
    def __init__(self, rules: _Optional[_Union[AliasRules, _Mapping]] = ...) -> None: ...

class SetAliasRulesRequest(_message.Message):
    __slots__ = ("rules", "author", "request_id")
    RULES_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    rules: AliasRules
    author: str
    request_id: str
    def __init__(self, rules: _Optional[_Union[AliasRules, _Mapping]] = ..., author: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class SetAliasRulesResponse(_message.Message):
    __slots__ = ("rules",)
    RULES_FIELD_NUMBER: _ClassVar[int]
    rules: AliasRules
    def __init__(self, rules: _Optional[_Union[AliasRules, _Mapping]] = ...) -> None: ...

class PromoteRequest(_message.Message):
    __slots__ = ("name", "version", "expect_version", "dry_run", "reason", "author", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPECT_VERSION_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    expect_version: str
    dry_run: bool
    reason: str
    author: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., expect_version: _Optional[str] = ..., dry_run: _Optional[bool] = ..., reason: _Optional[str] = ..., author: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class PromoteResponse(_message.Message):
    __slots__ = ("alias", "previous_version", "promotability")
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROMOTABILITY_FIELD_NUMBER: _ClassVar[int]
    alias: _registry_pb2.Alias
    previous_version: str
    promotability: Promotability
    def __init__(self, alias: _Optional[_Union[_registry_pb2.Alias, _Mapping]] = ..., previous_version: _Optional[str] = ..., promotability: _Optional[_Union[Promotability, _Mapping]] = ...) -> None: ...

class RollbackRequest(_message.Message):
    __slots__ = ("name", "version", "expect_version", "dry_run", "reason", "author", "mark_bad", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPECT_VERSION_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    MARK_BAD_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    expect_version: str
    dry_run: bool
    reason: str
    author: str
    mark_bad: bool
    request_id: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., expect_version: _Optional[str] = ..., dry_run: _Optional[bool] = ..., reason: _Optional[str] = ..., author: _Optional[str] = ..., mark_bad: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class RollbackResponse(_message.Message):
    __slots__ = ("alias", "previous_version", "skipped_versions")
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_VERSION_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    alias: _registry_pb2.Alias
    previous_version: str
    skipped_versions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, alias: _Optional[_Union[_registry_pb2.Alias, _Mapping]] = ..., previous_version: _Optional[str] = ..., skipped_versions: _Optional[_Iterable[str]] = ...) -> None: ...

class TestGateRequest(_message.Message):
    __slots__ = ("gate", "alias", "version", "current")
    GATE_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    gate: str
    alias: str
    version: str
    current: str
    def __init__(self, gate: _Optional[str] = ..., alias: _Optional[str] = ..., version: _Optional[str] = ..., current: _Optional[str] = ...) -> None: ...

class TestGateResponse(_message.Message):
    __slots__ = ("promotability",)
    PROMOTABILITY_FIELD_NUMBER: _ClassVar[int]
    promotability: Promotability
    def __init__(self, promotability: _Optional[_Union[Promotability, _Mapping]] = ...) -> None: ...

class ApproveVersionRequest(_message.Message):
    __slots__ = ("version", "alias", "author", "comment", "request_id")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    version: str
    alias: str
    author: str
    comment: str
    request_id: str
    def __init__(self, version: _Optional[str] = ..., alias: _Optional[str] = ..., author: _Optional[str] = ..., comment: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ApproveVersionResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: Approval
    def __init__(self, approval: _Optional[_Union[Approval, _Mapping]] = ...) -> None: ...

class WithdrawApprovalRequest(_message.Message):
    __slots__ = ("version", "alias", "author", "request_id")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    version: str
    alias: str
    author: str
    request_id: str
    def __init__(self, version: _Optional[str] = ..., alias: _Optional[str] = ..., author: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class WithdrawApprovalResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListApprovalsRequest(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: str
    def __init__(self, version: _Optional[str] = ...) -> None: ...

class ListApprovalsResponse(_message.Message):
    __slots__ = ("approvals",)
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    approvals: _containers.RepeatedCompositeFieldContainer[Approval]
    def __init__(self, approvals: _Optional[_Iterable[_Union[Approval, _Mapping]]] = ...) -> None: ...

class MarkVersionRequest(_message.Message):
    __slots__ = ("version", "bad", "reason", "author", "request_id")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BAD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    version: str
    bad: bool
    reason: str
    author: str
    request_id: str
    def __init__(self, version: _Optional[str] = ..., bad: _Optional[bool] = ..., reason: _Optional[str] = ..., author: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class MarkVersionResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: _registry_pb2.Version
    def __init__(self, version: _Optional[_Union[_registry_pb2.Version, _Mapping]] = ...) -> None: ...

class ResolveAliasRequest(_message.Message):
    __slots__ = ("name", "time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ResolveAliasResponse(_message.Message):
    __slots__ = ("version", "change")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    version: _registry_pb2.Version
    change: _registry_pb2.AliasChange
    def __init__(self, version: _Optional[_Union[_registry_pb2.Version, _Mapping]] = ..., change: _Optional[_Union[_registry_pb2.AliasChange, _Mapping]] = ...) -> None: ...
