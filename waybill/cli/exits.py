"""What a failure means for the one at the keyboard: the exit code, and what to do next.

One table, keyed by gRPC code and reason; the empty reason speaks for every other of that code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from grpc import StatusCode

from waybill.runtime.errors import CODES, ServiceError


class Exit(IntEnum):
    """Exit codes of every command; docs/cli.md explains them."""

    OK = 0
    DOCUMENT_FAILED = 1
    USAGE = 2
    NOT_REACHABLE = 3
    NOT_FOUND = 4
    REFUSED = 5
    QUOTA = 6
    DEADLINE = 7
    CREDENTIAL = 8
    BROKEN_CONTRACT = 9
    DRIFT = 10
    INTERRUPTED = 130
    PIPE_CLOSED = 141


@dataclass(frozen=True, slots=True)
class Advice:
    """How a command ends, and the sentence that says what to do."""

    exit: Exit
    next_step: str


_STATUS = "`waybill status` shows which service is not SERVING; repeat the command once all are."
_VENDOR = "Repeat it in a minute; `waybill doctor` says how the vendor's last calls ended, and what mends it."
_LATER = "Give it more time, such as `--within 10m`."
_RUNS = "`waybill runs` lists this tenant's runs; another tenant's need --tenant."

ADVICE: Mapping[tuple[StatusCode, str], Advice] = {
    (StatusCode.UNAVAILABLE, ""): Advice(Exit.NOT_REACHABLE, _STATUS),
    (StatusCode.UNAVAILABLE, "NOT_REACHABLE"): Advice(
        Exit.NOT_REACHABLE,
        "Start the stack with `waybill up`, or set WAYBILL_ORCHESTRATOR_ADDRESS and WAYBILL_LEDGER_ADDRESS.",
    ),
    (StatusCode.UNAVAILABLE, "TLS_MISMATCH"): Advice(Exit.NOT_REACHABLE, "Change what it names."),
    (StatusCode.UNAVAILABLE, "STACK_NOT_STARTED"): Advice(
        Exit.NOT_REACHABLE, "Mend what it names, then `waybill up`; `waybill logs` has more."
    ),
    (StatusCode.UNAVAILABLE, "STACK_NOT_SERVING"): Advice(
        Exit.NOT_REACHABLE, "`waybill doctor` and `waybill logs` say why; then `waybill restart`."
    ),
    (StatusCode.UNAVAILABLE, "MIGRATION_FAILED"): Advice(
        Exit.NOT_REACHABLE, "Mend what it names and repeat it: what was applied stays."
    ),
    (StatusCode.UNAVAILABLE, "DATABASE_READ_ONLY"): Advice(
        Exit.NOT_REACHABLE, "Make room on its disk, or end its read-only state; `waybill doctor` looks again."
    ),
    (StatusCode.UNAVAILABLE, "DATABASE_TIMEOUT"): Advice(Exit.NOT_REACHABLE, "Repeat it in a moment."),
    (StatusCode.UNAVAILABLE, "DATABASE_CONFLICT"): Advice(Exit.NOT_REACHABLE, "Repeat it."),
    (StatusCode.UNAVAILABLE, "TOKEN_KEYS_UNAVAILABLE"): Advice(
        Exit.NOT_REACHABLE,
        "Repeat it in a moment; if it stays, look at the issuer and at WAYBILL_JWT_JWKS_URL.",
    ),
    (StatusCode.UNAVAILABLE, "VENDOR_UNREACHABLE"): Advice(
        Exit.NOT_REACHABLE, "`waybill doctor` asks again, and says what mends it."
    ),
    # The service itself may be SERVING: somebody answers.
    (StatusCode.UNAVAILABLE, "VENDOR_RATE_LIMITED"): Advice(Exit.NOT_REACHABLE, _VENDOR),
    (StatusCode.UNAVAILABLE, "VENDOR_ERROR"): Advice(Exit.NOT_REACHABLE, _VENDOR),
    (StatusCode.UNAVAILABLE, "VENDOR_TIMEOUT"): Advice(Exit.NOT_REACHABLE, _VENDOR),
    (StatusCode.UNAVAILABLE, "VENDOR_CONNECTION_LOST"): Advice(Exit.NOT_REACHABLE, _VENDOR),
    (StatusCode.NOT_FOUND, ""): Advice(Exit.NOT_FOUND, _RUNS),
    (StatusCode.NOT_FOUND, "SERVICE_UNKNOWN"): Advice(Exit.NOT_FOUND, "Name one of those."),
    (StatusCode.NOT_FOUND, "METHOD_UNKNOWN"): Advice(Exit.NOT_FOUND, "Name one of those."),
    (StatusCode.NOT_FOUND, "WORKING_FOLDER_GONE"): Advice(
        Exit.NOT_FOUND, "`cd` to a folder that is there, or set WAYBILL_HOME."
    ),
    (StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND"): Advice(
        Exit.NOT_FOUND, "`waybill documents` lists what is there; name its --collection and --tenant."
    ),
    (StatusCode.NOT_FOUND, "VERSION_NOT_FOUND"): Advice(
        Exit.NOT_FOUND, "`waybill runs --document KEY` says how far its runs came."
    ),
    (StatusCode.NOT_FOUND, "OBJECT_NOT_FOUND"): Advice(
        Exit.NOT_FOUND, "`waybill objects list` lists what is there; another tenant's need --tenant."
    ),
    (StatusCode.NOT_FOUND, "FILE_NOT_FOUND"): Advice(Exit.NOT_FOUND, "Check the path."),
    (StatusCode.INVALID_ARGUMENT, ""): Advice(Exit.REFUSED, "Mend what it names and repeat the command."),
    (StatusCode.INVALID_ARGUMENT, "FILE_TYPE_UNSUPPORTED"): Advice(
        Exit.REFUSED, "Convert it to a type that is read: `waybill types` lists those."
    ),
    (StatusCode.INVALID_ARGUMENT, "DOCUMENT_EMPTY"): Advice(Exit.REFUSED, "Check that it is the right file."),
    (StatusCode.INVALID_ARGUMENT, "CHECKSUM_MISMATCH"): Advice(
        Exit.REFUSED, "The file changed while it was sent; ingest it again."
    ),
    (StatusCode.INVALID_ARGUMENT, "FILE_UNREADABLE"): Advice(
        Exit.REFUSED, "Check that it is a file that you may read, and repeat the command."
    ),
    (StatusCode.INVALID_ARGUMENT, "FILE_NAME_INVALID"): Advice(Exit.REFUSED, "Rename it, then ingest it."),
    (StatusCode.INVALID_ARGUMENT, "DOCUMENT_KEY_DUPLICATE"): Advice(
        Exit.USAGE, "Ingest the folder above both, or one after renaming it; nothing was sent."
    ),
    (StatusCode.INVALID_ARGUMENT, "NOTHING_TO_INGEST"): Advice(
        Exit.USAGE, "Name a PDF, Markdown or text file, or a folder that holds some."
    ),
    (StatusCode.ALREADY_EXISTS, ""): Advice(Exit.REFUSED, "Use a fresh id."),
    (StatusCode.FAILED_PRECONDITION, ""): Advice(Exit.REFUSED, "Change what it names, then repeat."),
    (StatusCode.FAILED_PRECONDITION, "SETTING_MISSING"): Advice(
        Exit.REFUSED, "`export` each, then repeat; docs/configuration.md tells what it may be."
    ),
    (StatusCode.FAILED_PRECONDITION, "PLAN_NOT_APPROVED"): Advice(
        Exit.REFUSED, "Repeat it with --yes, which agrees to the plan, or from a terminal, where it asks."
    ),
    (StatusCode.FAILED_PRECONDITION, "PORT_TAKEN"): Advice(
        Exit.REFUSED, "Stop that program, or start with free ports: `waybill up --ports free`."
    ),
    (StatusCode.FAILED_PRECONDITION, "HOME_UNUSABLE"): Advice(
        Exit.REFUSED, "Mend that, or set WAYBILL_HOME to a folder of yours: WAYBILL_HOME=~/waybill-state."
    ),
    (StatusCode.FAILED_PRECONDITION, "POSTGRES_MISSING"): Advice(
        Exit.REFUSED, "Install it: pip install 'waybill[stack]'."
    ),
    (StatusCode.FAILED_PRECONDITION, "VENDOR_BUCKET_UNKNOWN"): Advice(
        Exit.REFUSED, "`waybill doctor` has the command that makes it; docs/supabase.md has more."
    ),
    (StatusCode.FAILED_PRECONDITION, "DATABASE_UNFIT"): Advice(
        Exit.REFUSED, "Mend that, then repeat; `waybill doctor` looks again."
    ),
    (StatusCode.FAILED_PRECONDITION, "STACK_RUNS"): Advice(Exit.REFUSED, "Stop it first: `waybill down`."),
    (StatusCode.FAILED_PRECONDITION, "BIND_REFUSED"): Advice(
        Exit.REFUSED, "Set what it names, or unset WAYBILL_BIND; docs/identity.md has the commands."
    ),
    (StatusCode.INVALID_ARGUMENT, "COMPLETE_BY_PAST"): Advice(Exit.REFUSED, _LATER),
    (StatusCode.FAILED_PRECONDITION, "COMPLETE_BY_PAST"): Advice(Exit.REFUSED, _LATER),
    (StatusCode.FAILED_PRECONDITION, "RUN_READY"): Advice(
        Exit.REFUSED, "Nothing is left to do; when the document has changed, ingest it."
    ),
    (StatusCode.FAILED_PRECONDITION, "VERSION_REPLACED"): Advice(
        Exit.REFUSED, "Nothing is left to do; `waybill runs --document KEY` lists its newer runs."
    ),
    (StatusCode.FAILED_PRECONDITION, "RUN_UNFINISHED"): Advice(
        Exit.REFUSED, "Stop it with `waybill cancel ID`, or await it: `waybill run ID`."
    ),
    (StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL"): Advice(Exit.QUOTA, "Repeat it a little later."),
    (StatusCode.RESOURCE_EXHAUSTED, ""): Advice(Exit.QUOTA, "Ask for less, or repeat later."),
    (StatusCode.RESOURCE_EXHAUSTED, "VENDOR_RATE_LIMITED"): Advice(Exit.QUOTA, _VENDOR),
    (StatusCode.RESOURCE_EXHAUSTED, "VENDOR_QUOTA_EXHAUSTED"): Advice(
        Exit.QUOTA, "Raise the limit at the vendor, or add credit there, then repeat it."
    ),
    (StatusCode.RESOURCE_EXHAUSTED, "BUDGET_EXCEEDED"): Advice(
        Exit.QUOTA, "`waybill budget list` shows what is left; `waybill budget set` raises a limit."
    ),
    (StatusCode.INVALID_ARGUMENT, "INVOICE_LINE_INVALID"): Advice(
        Exit.REFUSED, "Export the file again, or mend that line; docs/cli.md has the columns."
    ),
    (StatusCode.INVALID_ARGUMENT, "INVOICE_UNREADABLE"): Advice(
        Exit.REFUSED, "docs/cli.md says which files are read, and how vendors give them."
    ),
    (StatusCode.INVALID_ARGUMENT, "INVOICE_EMPTY"): Advice(
        Exit.REFUSED, "Export days on which something was charged; `waybill bill --since 7d` shows those."
    ),
    (StatusCode.FAILED_PRECONDITION, "OPERATOR_REQUIRED"): Advice(
        Exit.REFUSED, "Name the operator's tenant: --tenant, or sign in as one of its users."
    ),
    (StatusCode.RESOURCE_EXHAUSTED, "RETRY_BUDGET_EXCEEDED"): Advice(
        Exit.QUOTA, "Look at `waybill bill ID`; then set the run a budget as it says, and retry the run."
    ),
    (StatusCode.NOT_FOUND, "ENTRY_NOT_FOUND"): Advice(
        Exit.NOT_FOUND, "`waybill doubts` lists this tenant's doubts; another tenant's need --tenant."
    ),
    (StatusCode.NOT_FOUND, "BUDGET_NOT_FOUND"): Advice(
        Exit.NOT_FOUND, "`waybill budget list` lists this tenant's budgets; another tenant's need --tenant."
    ),
    (StatusCode.RESOURCE_EXHAUSTED, "DOCUMENT_TOO_LARGE"): Advice(
        Exit.QUOTA, "Split it: a document has at most 64 MB and 3,000 pages."
    ),
    (StatusCode.DEADLINE_EXCEEDED, ""): Advice(Exit.DEADLINE, _STATUS),
    (StatusCode.UNAUTHENTICATED, ""): Advice(Exit.CREDENTIAL, "Check the token or key that it names."),
    (StatusCode.UNAUTHENTICATED, "TOKEN_MISSING"): Advice(
        Exit.CREDENTIAL, "Set WAYBILL_TOKEN or WAYBILL_TOKEN_FILE, as it says; docs/identity.md has more."
    ),
    (StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED"): Advice(
        Exit.CREDENTIAL, "Sign in again, and set WAYBILL_TOKEN to the fresh token."
    ),
    (StatusCode.UNAUTHENTICATED, "SERVICES_ONLY"): Advice(
        Exit.CREDENTIAL, "No token opens it: call the orchestrator in its place."
    ),
    (StatusCode.UNAUTHENTICATED, "TENANT_NOT_OF_TOKEN"): Advice(Exit.CREDENTIAL, "Leave --tenant out."),
    (StatusCode.UNAUTHENTICATED, "TOKEN_IN_CLEAR"): Advice(
        Exit.CREDENTIAL, "Change that address; the token was not sent."
    ),
    (StatusCode.ABORTED, ""): Advice(
        Exit.BROKEN_CONTRACT,
        "Repeat it; if it stays, look at the services' logs (`waybill status` names them).",
    ),
    (StatusCode.ABORTED, "PERMISSION_DENIED"): Advice(Exit.CREDENTIAL, "Ask for access, or change --tenant."),
    (StatusCode.ABORTED, "UNIMPLEMENTED"): Advice(
        Exit.BROKEN_CONTRACT, "The stack is of another release: `waybill down`, then `waybill up`."
    ),
}


def code_of(error: ServiceError) -> StatusCode:
    """The gRPC code that stands for an error, also for one that never crossed the wire."""
    return CODES[type(error)]


def advice(error: ServiceError) -> Advice:
    """What to do about an error."""
    code = code_of(error)
    return ADVICE.get((code, error.reason)) or ADVICE[code, ""]
