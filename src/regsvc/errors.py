"""What can go wrong, each error once, with its gRPC code and its machine-readable reason.

The domain raises these; `server/interceptors.py` turns them into `google.rpc.Status` with an
`ErrorInfo`; the client turns that back into the same class. So `except regsvc.NotFound` works on both
sides of the wire. Codes are `google.rpc.Code` numbers; this module knows no gRPC.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

ERROR_DOMAIN = "regsvc.dev"


class Code(IntEnum):
    """The `google.rpc.Code` numbers that regsvc uses."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RegsvcError(Exception):
    """Base of all errors of regsvc.

    `message` is one line for people: what and which. `metadata` holds every value that the message
    mentions, for programs. Neither ever holds a path of the server or the text of a foreign exception.
    """

    code: ClassVar[Code] = Code.INTERNAL
    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *, retry_after: float | None = None, **metadata: object) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        """Seconds after which the same call may succeed with nothing changed; None when nobody knows."""
        self.metadata = {key: str(value) for key, value in metadata.items()}


class Internal(RegsvcError):
    """A defect of the server."""


class Unknown(RegsvcError):
    """The server, or something on the way to it, answered with a code that regsvc does not use."""

    code, reason = Code.UNKNOWN, "UNKNOWN"


class InvalidArgument(RegsvcError):
    """The request can never succeed as it is."""

    code, reason = Code.INVALID_ARGUMENT, "INVALID_ARGUMENT"


class NameInvalid(InvalidArgument):
    """A resource name, reference, alias or step name is malformed."""

    reason = "NAME_INVALID"


class PathInvalid(InvalidArgument):
    """A file path breaks the rules of a manifest."""

    reason = "PATH_INVALID"


class FrameInvalid(InvalidArgument):
    """An encoded chunk does not decode to what it says."""

    reason = "FRAME_INVALID"


class DigestMismatch(InvalidArgument):
    """The bytes do not have the digest that was named; they are dropped."""

    reason = "DIGEST_MISMATCH"


class MetricNotFinite(InvalidArgument):
    """A metric is NaN or infinite."""

    reason = "METRIC_NOT_FINITE"


class LogLineTooLong(InvalidArgument):
    """A log line is longer than the server takes in one piece."""

    reason = "LOG_LINE_TOO_LONG"


class RequestIdReused(InvalidArgument):
    """A request_id came again with another request."""

    reason = "REQUEST_ID_REUSED"


class PageTokenInvalid(InvalidArgument):
    """A page token is not one of ours, or of another request."""

    reason = "PAGE_TOKEN_INVALID"


class RecordInvalid(InvalidArgument):
    """A record says something that cannot be."""

    reason = "RECORD_INVALID"


class ProfileInvalid(InvalidArgument):
    """The profile of a dataset is none."""

    reason = "PROFILE_INVALID"


class SameTwice(InvalidArgument):
    """Something is to be compared with itself."""

    reason = "SAME_TWICE"


class ScheduleInvalid(InvalidArgument):
    """A cron line cannot be read or never fires, or a time zone does not exist."""

    reason = "SCHEDULE_INVALID"


class FilterInvalid(InvalidArgument):
    """A search expression cannot be read, is of wrong types, or asks what no index answers."""

    reason = "FILTER_INVALID"


class NotFound(RegsvcError):
    """The named resource does not exist."""

    code, reason = Code.NOT_FOUND, "NOT_FOUND"


class VersionDeleted(NotFound):
    """The version was deleted; `undelete` has it back until its purge time."""

    reason = "VERSION_DELETED"


class AlreadyExists(RegsvcError):
    """A resource of that name exists."""

    code, reason = Code.ALREADY_EXISTS, "ALREADY_EXISTS"


class ImportConflict(AlreadyExists):
    """Something else has the name of what is imported; it stays as it is."""

    reason = "IMPORT_CONFLICT"


class FailedPrecondition(RegsvcError):
    """The state forbids it now."""

    code, reason = Code.FAILED_PRECONDITION, "FAILED_PRECONDITION"


class AliasProtected(FailedPrecondition):
    """Only a promotion or a rollback moves the alias."""

    reason = "ALIAS_PROTECTED"


class GateRefused(FailedPrecondition):
    """The gate of the alias is not true of the version; `metadata["term"]` and `["values"]` tell why."""

    reason = "GATE_REFUSED"


class ApprovalsMissing(FailedPrecondition):
    """Fewer than the alias asks for have approved the version."""

    reason = "APPROVALS_MISSING"


class OwnApproval(FailedPrecondition):
    """Who pushed a version does not approve it."""

    reason = "OWN_APPROVAL"


class VersionBad(FailedPrecondition):
    """The version was marked as bad."""

    reason = "VERSION_BAD"


class VersionArchived(FailedPrecondition):
    """The version is archived: no alias is moved to it."""

    reason = "VERSION_ARCHIVED"


class VersionInUse(FailedPrecondition):
    """Aliases name the version, hosts serve it, or builds that wait or run read it."""

    reason = "VERSION_IN_USE"


class CollectionRunning(FailedPrecondition):
    """A collection is running; one is enough."""

    reason = "COLLECTION_RUNNING"


class ModelInUse(FailedPrecondition):
    """Builds, uploads or deployments know the model by its name."""

    reason = "MODEL_IN_USE"


class NoHistory(FailedPrecondition):
    """The alias has named nothing that it could go back to."""

    reason = "NO_HISTORY"


class LeaseLapsed(FailedPrecondition):
    """The upload was not used for longer than its lease; start a new one."""

    reason = "LEASE_LAPSED"


class UploadClosed(FailedPrecondition):
    """The upload was committed or aborted."""

    reason = "UPLOAD_CLOSED"


class UploadCommitted(FailedPrecondition):
    """The upload became a version and cannot be aborted."""

    reason = "UPLOAD_COMMITTED"


class ChunksMissing(FailedPrecondition):
    """A recipe names chunks that the server does not have."""

    reason = "CHUNKS_MISSING"


class FilesIncomplete(FailedPrecondition):
    """A file of the upload has not arrived whole."""

    reason = "FILES_INCOMPLETE"


class BuildEnded(FailedPrecondition):
    """The build is not RUNNING any more."""

    reason = "BUILD_ENDED"


class BuildQueued(FailedPrecondition):
    """The build waits for a runner, which alone may publish it."""

    reason = "BUILD_QUEUED"


class BuildTaken(FailedPrecondition):
    """Another runner has taken the build; `metadata["runner"]` tells which."""

    reason = "BUILD_TAKEN"


class NotQueued(FailedPrecondition):
    """No template made the build, so no runner takes it."""

    reason = "NOT_QUEUED"


class NotDue(FailedPrecondition):
    """The build is an attempt whose time has not come."""

    reason = "NOT_DUE"


class NotRun(FailedPrecondition):
    """No template made the build, so it cannot be run again."""

    reason = "NOT_RUN"


class StepEnded(FailedPrecondition):
    """The step ended with another state."""

    reason = "STEP_ENDED"


class DeploymentAlive(FailedPrecondition):
    """A deployment cannot be forgotten while its follower holds its lease."""

    reason = "DEPLOYMENT_ALIVE"


class NotFollowed(FailedPrecondition):
    """A folder is not one that a follower may change."""

    reason = "NOT_FOLLOWED"


class Aborted(RegsvcError):
    """Another writer won."""

    code, reason = Code.ABORTED, "ABORTED"


class Superseded(Aborted):
    """A newer stream writes the same file or log."""

    reason = "SUPERSEDED"


class EtagMismatch(Aborted):
    """The resource is not in the state that the caller expected."""

    reason = "ETAG_MISMATCH"


class OutOfRange(RegsvcError):
    """A position past what exists."""

    code, reason = Code.OUT_OF_RANGE, "OUT_OF_RANGE"


class OffsetGap(OutOfRange):
    """Bytes begin after the committed size; `metadata["committed_size"]` tells where to go on."""

    reason = "OFFSET_GAP"


class SeqGap(OutOfRange):
    """Log lines begin after the next number; `metadata["committed_seq"]` tells the last committed."""

    reason = "SEQ_GAP"


class SeqAhead(OutOfRange):
    """A sequence number is past the present."""

    reason = "SEQ_AHEAD"


class EventsGone(OutOfRange):
    """The event history after that number has been removed."""

    reason = "EVENTS_GONE"


class ResourceExhausted(RegsvcError):
    """A limit is exceeded."""

    code, reason = Code.RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED"


class FilterTooCostly(ResourceExhausted):
    """A search takes longer than the server allows."""

    reason = "FILTER_TOO_COSTLY"


class QueueFull(ResourceExhausted):
    """As many builds of the model wait for a runner as may."""

    reason = "QUEUE_FULL"


class StorageFull(ResourceExhausted):
    """The server's disk is full."""

    reason = "STORAGE_FULL"


class Busy(ResourceExhausted):
    """The server moves as many bulk streams as it may; try again after `retry_after` seconds."""

    reason = "BUSY"


class Unavailable(RegsvcError):
    """The server is away, starting or draining; try again."""

    code, reason = Code.UNAVAILABLE, "UNAVAILABLE"


class Stalled(Unavailable):
    """The client neither sent nor took anything for too long; it may resume."""

    reason = "STALLED"


class DeadlineExceeded(RegsvcError):
    """No answer in time."""

    code, reason = Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"


class Unimplemented(RegsvcError):
    """The server does not know the call."""

    code, reason = Code.UNIMPLEMENTED, "UNIMPLEMENTED"


class DataLoss(RegsvcError):
    """Stored bytes fail their checksum."""

    code, reason = Code.DATA_LOSS, "DATA_LOSS"


class ChunkDamaged(DataLoss):
    """A stored chunk fails its checksum; pushing the same content again heals it."""

    reason = "CHUNK_DAMAGED"


class RecordDamaged(DataLoss):
    """A stored record is not what was sealed."""

    reason = "RECORD_DAMAGED"


class ArchiveDamaged(DataLoss):
    """An archive is truncated or damaged, or is none; the message says where."""

    reason = "ARCHIVE_DAMAGED"


def _all_errors(root: type[RegsvcError]) -> list[type[RegsvcError]]:
    return [root, *(error for child in root.__subclasses__() for error in _all_errors(child))]


BY_REASON: dict[str, type[RegsvcError]] = {error.reason: error for error in _all_errors(RegsvcError)}
BY_REASON["INTERNAL"] = Internal

BY_CODE: dict[Code, type[RegsvcError]] = {
    error.code: error for error in RegsvcError.__subclasses__() if error is not RegsvcError
}
