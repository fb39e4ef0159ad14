"""Every failure that crosses a service border, and the one table that maps it to gRPC.

    ServiceError
    ├── InvalidRequest    INVALID_ARGUMENT     the request can never work as it is
    ├── NotFound          NOT_FOUND            nothing of that name for this tenant
    ├── Conflict          ALREADY_EXISTS       the same id was used for something else
    ├── Precondition      FAILED_PRECONDITION  works after something else has changed
    ├── Quota             RESOURCE_EXHAUSTED   too large, too many, or too much money
    ├── Unavailable       UNAVAILABLE          works when repeated later
    ├── Deadline          DEADLINE_EXCEEDED    time ran out
    ├── Credential        UNAUTHENTICATED      who calls is not known, or a vendor refused our key
    └── VendorContract    ABORTED              a vendor answered what its contract rules out

The reason is stable and made for programs (google.rpc.ErrorInfo, domain "waybill"); the message is
for people and says what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

DOMAIN = "waybill"
MAX_MESSAGE_CHARS = 1_000
# Where no server has said anything: gRPC's own words for that are several.
NO_ANSWER = "No answer came within the deadline. Allow more time, or repeat it a little later."


@dataclass(eq=False)
class ServiceError(Exception):
    """A failure with a stable reason.

    Args:
        reason: UPPER_SNAKE_CASE, stable across releases.
        message: One or two sentences for a person: what is wrong, and what to do.
        metadata: Short facts a program may act on; never document text or secrets.
        retry_after_seconds: When a repeat may work; sent as google.rpc.RetryInfo.
    """

    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_after_seconds: float | None = None

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class InvalidRequest(ServiceError):
    """The request can never work as it is."""


class NotFound(ServiceError):
    """Nothing of that name exists for this tenant."""


class Conflict(ServiceError):
    """The same id was used for something else."""


class Precondition(ServiceError):
    """The request works only after something else has changed."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One limit that a call would exceed, as google.rpc.QuotaFailure tells it.

    Attributes:
        subject: What is limited, "budgets/<id>".
        description: A sentence for a person.
        metric: What is counted.
        limit: Most of it.
        dimensions: Further figures by name.
    """

    subject: str
    description: str
    metric: str = ""
    limit: int = 0
    dimensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(eq=False)
class Quota(ServiceError):
    """Too large, too many, or too much money.

    Args:
        violations: Which limits, where there may be several; sent as google.rpc.QuotaFailure.
    """

    violations: Sequence[Violation] = ()


class Unavailable(ServiceError):
    """The same request may work when repeated later."""


class Deadline(ServiceError):
    """Time ran out."""


class Credential(ServiceError):
    """The caller is not known, or a vendor refused our key."""


class VendorContract(ServiceError):
    """A vendor answered something that its contract rules out."""


CODES: Mapping[type[ServiceError], grpc.StatusCode] = {
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    Conflict: grpc.StatusCode.ALREADY_EXISTS,
    Precondition: grpc.StatusCode.FAILED_PRECONDITION,
    Quota: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    Deadline: grpc.StatusCode.DEADLINE_EXCEEDED,
    Credential: grpc.StatusCode.UNAUTHENTICATED,
    VendorContract: grpc.StatusCode.ABORTED,
}
_TYPES = {code: kind for kind, code in CODES.items()}
_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


def to_status(error: ServiceError) -> status_pb2.Status:
    """The google.rpc.Status of an error, details included."""
    code = CODES[type(error)]
    details = [
        _packed(
            error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=dict(error.metadata))
        )
    ]
    if error.retry_after_seconds is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(int(error.retry_after_seconds * 1000))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    if isinstance(error, Quota) and error.violations:
        details.append(_packed(_quota_failure(error.violations)))
    return status_pb2.Status(code=code.value[0], message=error.message[:MAX_MESSAGE_CHARS], details=details)


def internal_status() -> status_pb2.Status:
    """What a caller is told of a defect of ours: nothing but where to look."""
    info = error_details_pb2.ErrorInfo(reason="INTERNAL_ERROR", domain=DOMAIN)
    message = "A defect of Waybill. The service's log has it, under this correlation id."
    return status_pb2.Status(code=grpc.StatusCode.INTERNAL.value[0], message=message, details=[_packed(info)])


def from_status(error: grpc.RpcError) -> ServiceError:
    """The error behind a failed call of ours; the reason is the code's name where a server gave none."""
    code = error.code()
    message = error.details() or ""
    reason, metadata, retry_after, violations = "", {}, None, error_details_pb2.QuotaFailure()
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # the trailer does not match the code: keep the code, drop the trailer
        status = None
    for detail in status.details if status is not None else ():
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToMilliseconds() / 1000
        else:
            detail.Unpack(violations)
    if not reason and code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in message:
        reason = "MESSAGE_TOO_LARGE"  # refused by gRPC itself, which knows no ErrorInfo
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "Concurrent RPC limit" in message:
        return Unavailable("TOO_MANY_CALLS", "The server has too many calls at once. Repeat in a moment.")
    if code is grpc.StatusCode.INTERNAL and "Internal error from Core" in message:
        # grpc.aio: the server answered while a message was being sent, and that answer is lost.
        return Unavailable(
            "ANSWER_LOST", "The server answered early and its answer was lost. Repeat the call."
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and not reason:
        message = NO_ANSWER
    kind = _TYPES.get(code, Unavailable if code is grpc.StatusCode.CANCELLED else VendorContract)
    failure = kind(reason or code.name, message, metadata, retry_after)
    if isinstance(failure, Quota):
        failure.violations = [_violation(one) for one in violations.violations]
    return failure


def status_code(status: status_pb2.Status) -> grpc.StatusCode:
    """The gRPC code of a google.rpc.Status."""
    return _BY_NUMBER[status.code]


def _quota_failure(violations: Sequence[Violation]) -> error_details_pb2.QuotaFailure:
    told = [
        error_details_pb2.QuotaFailure.Violation(
            subject=one.subject,
            description=one.description,
            quota_metric=one.metric,
            quota_value=one.limit,
            quota_dimensions=one.dimensions,
        )
        for one in violations
    ]
    return error_details_pb2.QuotaFailure(violations=told)


def _violation(told: error_details_pb2.QuotaFailure.Violation) -> Violation:
    return Violation(
        told.subject, told.description, told.quota_metric, told.quota_value, dict(told.quota_dimensions)
    )


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
