"""What a failure means for the one at the keyboard: the exit code, and what to do next.

By gRPC code and reason; the empty reason speaks for every other of that code.
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

_EXITS = {
    StatusCode.UNAVAILABLE: Exit.NOT_REACHABLE,
    StatusCode.NOT_FOUND: Exit.NOT_FOUND,
    StatusCode.INVALID_ARGUMENT: Exit.REFUSED,
    StatusCode.ALREADY_EXISTS: Exit.REFUSED,
    StatusCode.FAILED_PRECONDITION: Exit.REFUSED,
    StatusCode.RESOURCE_EXHAUSTED: Exit.QUOTA,
    StatusCode.DEADLINE_EXCEEDED: Exit.DEADLINE,
    StatusCode.UNAUTHENTICATED: Exit.CREDENTIAL,
    StatusCode.ABORTED: Exit.BROKEN_CONTRACT,
}
# Reasons that end otherwise than their code does.
_OTHER_EXITS = {
    "DOCUMENT_KEY_DUPLICATE": Exit.USAGE,
    "NOTHING_TO_INGEST": Exit.USAGE,
    "PERMISSION_DENIED": Exit.CREDENTIAL,
    "STORAGE_FULL": Exit.REFUSED,
}
_NEXT_STEPS: Mapping[StatusCode, Mapping[str, str]] = {
    StatusCode.UNAVAILABLE: {
        "": _STATUS,
        "NOT_REACHABLE": "Start the stack with `waybill up`, or set WAYBILL_ORCHESTRATOR_ADDRESS and "
        "WAYBILL_LEDGER_ADDRESS.",
        "TLS_MISMATCH": "Change what it names.",
        "STACK_NOT_STARTED": "Mend what it names, then `waybill up`; `waybill logs` has more.",
        "STACK_NOT_SERVING": "`waybill doctor` and `waybill logs` say why; then `waybill restart`.",
        "MIGRATION_FAILED": "Mend what it names and repeat it: what was applied stays.",
        "DATABASE_READ_ONLY": "Make room on its disk, or end its read-only state; `waybill doctor` looks "
        "again.",
        "STORAGE_FULL": "Make room there, then repeat it; `waybill doctor` says how much is free.",
        "DATABASE_TIMEOUT": "Repeat it in a moment.",
        "DATABASE_CONFLICT": "Repeat it.",
        "TOKEN_KEYS_UNAVAILABLE": "Repeat it in a moment; if it stays, look at the issuer and at "
        "WAYBILL_JWT_JWKS_URL.",
        "VENDOR_UNREACHABLE": "`waybill doctor` asks again, and says what mends it.",
        # The service itself may be SERVING: somebody answers.
        "VENDOR_RATE_LIMITED": _VENDOR,
        "VENDOR_ERROR": _VENDOR,
        "VENDOR_TIMEOUT": _VENDOR,
        "VENDOR_CONNECTION_LOST": _VENDOR,
    },
    StatusCode.NOT_FOUND: {
        "": "`waybill runs` lists this tenant's runs; another tenant's need --tenant.",
        "SERVICE_UNKNOWN": "Name one of those.",
        "METHOD_UNKNOWN": "Name one of those.",
        "WORKING_FOLDER_GONE": "`cd` to a folder that is there, or set WAYBILL_HOME.",
        "DOCUMENT_NOT_FOUND": "`waybill documents` lists what is there; name its --collection and --tenant.",
        "VERSION_NOT_FOUND": "`waybill runs --document KEY` says how far its runs came.",
        "OBJECT_NOT_FOUND": "`waybill objects list` lists what is there; another tenant's need --tenant.",
        "FILE_NOT_FOUND": "Check the path.",
        "ENTRY_NOT_FOUND": "`waybill doubts` lists this tenant's doubts; another tenant's need --tenant.",
        "BUDGET_NOT_FOUND": "`waybill budget list` lists this tenant's budgets; another tenant's need "
        "--tenant.",
    },
    StatusCode.INVALID_ARGUMENT: {
        "": "Mend what it names and repeat the command.",
        "FILE_TYPE_UNSUPPORTED": "Convert it to a type that is read: `waybill types` lists those.",
        "DOCUMENT_EMPTY": "Check that it is the right file.",
        "CHECKSUM_MISMATCH": "The file changed while it was sent; ingest it again.",
        "FILE_UNREADABLE": "Check that it is a file that you may read, and repeat the command.",
        "FILE_NAME_INVALID": "Rename it, then ingest it.",
        "DOCUMENT_KEY_DUPLICATE": "Ingest the folder above both, or one after renaming it; nothing was sent.",
        "NOTHING_TO_INGEST": "Name a PDF, Markdown or text file, or a folder that holds some.",
        "COMPLETE_BY_PAST": _LATER,
        "INVOICE_LINE_INVALID": "Export the file again, or mend that line; docs/cli.md has the columns.",
        "INVOICE_UNREADABLE": "docs/cli.md says which files are read, and how vendors give them.",
        "INVOICE_EMPTY": "Export days on which something was charged; `waybill bill --since 7d` shows those.",
    },
    StatusCode.ALREADY_EXISTS: {"": "Use a fresh id."},
    StatusCode.FAILED_PRECONDITION: {
        "": "Change what it names, then repeat.",
        "SETTING_MISSING": "`export` each, then repeat; docs/configuration.md tells what it may be.",
        "PLAN_NOT_APPROVED": "Repeat it with --yes, which agrees to the plan, or from a terminal, where it "
        "asks.",
        "PORT_TAKEN": "Stop that program, or start with free ports: `waybill up --ports free`.",
        "HOME_UNUSABLE": "Mend that, or set WAYBILL_HOME to a folder of yours: WAYBILL_HOME=~/waybill-state.",
        "POSTGRES_MISSING": "Install it: pip install 'waybill[stack]'.",
        "VENDOR_BUCKET_UNKNOWN": "`waybill doctor` has the command that makes it; docs/supabase.md has more.",
        "DATABASE_UNFIT": "Mend that, then repeat; `waybill doctor` looks again.",
        "STACK_RUNS": "Stop it first: `waybill down`.",
        "BIND_REFUSED": "Set what it names, or unset WAYBILL_BIND; docs/identity.md has the commands.",
        "COMPLETE_BY_PAST": _LATER,
        "RUN_READY": "Nothing is left to do; when the document has changed, ingest it.",
        "VERSION_REPLACED": "Nothing is left to do; `waybill runs --document KEY` lists its newer runs.",
        "RUN_UNFINISHED": "Stop it with `waybill cancel ID`, or await it: `waybill run ID`.",
        "OPERATOR_REQUIRED": "Name the operator's tenant: --tenant, or sign in as one of its users.",
    },
    StatusCode.RESOURCE_EXHAUSTED: {
        "": "Ask for less, or repeat later.",
        "QUEUE_FULL": "Repeat it a little later.",
        "VENDOR_RATE_LIMITED": _VENDOR,
        "VENDOR_QUOTA_EXHAUSTED": "Raise the limit at the vendor, or add credit there, then repeat it.",
        "BUDGET_EXCEEDED": "`waybill budget list` shows what is left; `waybill budget set` raises a limit.",
        "RETRY_BUDGET_EXCEEDED": "Look at `waybill bill ID`; then set the run a budget as it says, and "
        "retry the run.",
        "DOCUMENT_TOO_LARGE": "Split it: a document has at most 64 MB and 3,000 pages.",
    },
    StatusCode.DEADLINE_EXCEEDED: {"": _STATUS},
    StatusCode.UNAUTHENTICATED: {
        "": "Check the token or key that it names.",
        "TOKEN_MISSING": "Set WAYBILL_TOKEN or WAYBILL_TOKEN_FILE, as it says; docs/identity.md has more.",
        "TOKEN_EXPIRED": "Sign in again, and set WAYBILL_TOKEN to the fresh token.",
        "SERVICES_ONLY": "No token opens it: call the orchestrator in its place.",
        "TENANT_NOT_OF_TOKEN": "Leave --tenant out.",
        "TOKEN_IN_CLEAR": "Change that address; the token was not sent.",
    },
    StatusCode.ABORTED: {
        "": "Repeat it; if it stays, look at the services' logs (`waybill status` names them).",
        "PERMISSION_DENIED": "Ask for access, or change --tenant.",
        "UNIMPLEMENTED": "The stack is of another release: `waybill down`, then `waybill up`.",
    },
}
ADVICE = {
    (code, reason): Advice(_OTHER_EXITS.get(reason, _EXITS[code]), next_step)
    for code, next_steps in _NEXT_STEPS.items()
    for reason, next_step in next_steps.items()
}


def code_of(error: ServiceError) -> StatusCode:
    """The gRPC code that stands for an error, also for one that never crossed the wire."""
    return CODES[type(error)]


def advice(error: ServiceError) -> Advice:
    """What to do about an error."""
    code = code_of(error)
    return ADVICE.get((code, error.reason)) or ADVICE[code, ""]
