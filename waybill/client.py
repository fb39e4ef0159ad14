"""A caller's door to the services: synchronous typed stubs that carry tenant, label and deadline.

    with connect() as client:
        run = client.ingest(Path("handbook.pdf"))
        for run in client.watch(run.run_id):
            print(run.step)
        found = client.orchestrator.Search(SearchRequest(query="how long is the warranty?"))

Every failure is a `waybill.runtime.errors.ServiceError`. An RPC that its contract calls idempotent is
repeated while a service restarts, until its deadline; any other waits for a connection, and is sent once.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from waybill.calling import FIRST_PAUSE_SECONDS, CallPolicy, Calls
from waybill.embedder.v1.embedder_service_pb2_grpc import EmbedderServiceStub
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.orchestrator.v1.mode_service_pb2_grpc import ModeServiceStub
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetRunRequest, IngestRequest, WatchRunRequest
from waybill.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from waybill.orchestrator.v1.plan_pb2 import ApprovedPlan, PlanRequest, PlanResponse
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.orchestrator.v1.space_migration_service_pb2_grpc import SpaceMigrationServiceStub
from waybill.parser.v1.parser_service_pb2_grpc import ParserServiceStub
from waybill.runtime import identity, semconv, tls, wire
from waybill.runtime.errors import (
    Deadline,
    InvalidRequest,
    Unavailable,
)
from waybill.stack import finding
from waybill.storage.v1.document_index_service_pb2_grpc import DocumentIndexServiceStub
from waybill.storage.v1.object_storage_service_pb2_grpc import ObjectStorageServiceStub

FINAL_STATES = frozenset(
    {
        Run.STATE_READY,
        Run.STATE_READY_DEGRADED,
        Run.STATE_UNCHANGED,
        Run.STATE_FAILED,
        Run.STATE_EXPIRED,
        Run.STATE_CANCELLED,
    }
)
T = TypeVar("T")
_PIECE_BYTES = 256 * 1024
_CHANNEL_OPTIONS = (
    # Waiting for a connection is asked of the channel, so that calls need no argument for it.
    ("grpc.service_config", json.dumps({"methodConfig": [{"name": [{}], "waitForReady": True}]})),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
)


def connect(
    address: str | Mapping[str, str] | None = None,
    *,
    tenant: str = identity.DEFAULT_TENANT,
    correlation_id: str | None = None,
    token: str | Callable[[], str] | None = None,
    deadline_seconds: float = 60.0,
    ca: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Client:
    """Opens a client; nothing is sent before the first call.

    Args:
        address: host:port of the orchestrator, or of services by name ("orchestrator", "storage",
            "parser", "embedder", "ledger"); by TLS it is https://host:port. One that is not given is read
            from WAYBILL_<NAME>_ADDRESS, else it is where the stack that runs here has it, else its fixed
            port.
        tenant: Whose data the calls touch. A JSON Web Token says that itself: leave it out beside one.
        correlation_id: A label for the runs that the calls start; each call gets its own when absent.
        token: Sent as a bearer token; asked for each call where it is a function. One that is not given is
            read from WAYBILL_TOKEN or WAYBILL_TOKEN_FILE; else it is the token of the stack that runs here.
        deadline_seconds: For each call that names no timeout, repeats included.
        ca: PEM of the authorities that are trusted for https:// addresses; WAYBILL_TLS_CA_FILE where it is
            not given, else those that gRPC brings.
        environ: Where settings are read; the process's own by default.

    Raises:
        InvalidRequest: SETTING_UNKNOWN: a WAYBILL_ variable is none of ours; the text names the nearest.
            TENANT_INVALID, CORRELATION_ID_INVALID: no call can carry what was given. CA_UNREADABLE.
        Unavailable: NOT_REACHABLE, at once: no address is given or set, and no stack runs here. The text
            says what was tried. An address that is given or set is waited for, until a call's deadline.
    """
    # A value that is not ASCII would not leave this process, and gRPC's own error says nothing of it.
    identity.check(tenant, correlation_id or "-")
    given = {"orchestrator": address} if isinstance(address, str) else address or {}
    environ = os.environ if environ is None else environ
    addresses = finding.addresses(given, environ)
    # The default is the service's own, too; named beside a token it would contradict that.
    metadata = [] if tenant == identity.DEFAULT_TENANT else [(semconv.TENANT_HEADER, tenant)]
    if correlation_id:
        metadata.append((semconv.CORRELATION_HEADER, correlation_id))
    shown = finding.token(environ) if token is None else _showing(token)
    trusted = ca or finding.ca_file(environ)
    channels = {name: _channel(where, trusted) for name, where in addresses.items()}
    return Client(channels, CallPolicy(tuple(metadata), deadline_seconds, token=shown, ca=trusted), addresses)


def _showing(token: str | Callable[[], str]) -> Callable[[str], str]:
    """The same token wherever it goes."""
    return (lambda _: token()) if callable(token) else (lambda _: token)


def _channel(address: str, ca: Path | None) -> grpc.Channel:
    if not tls.is_tls(address):
        return grpc.insecure_channel(address, _CHANNEL_OPTIONS)
    return grpc.secure_channel(tls.target(address), tls.channel_credentials(ca), _CHANNEL_OPTIONS)


def timestamp(moment: datetime | None) -> Timestamp | None:
    """A moment with a time zone, as messages take it; None leaves a field unset."""
    return None if moment is None else wire.timestamp(moment)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as the messages of an Ingest or a Plan; it can be iterated again for a repeat."""

    path: Path
    header: IngestRequest.Header | PlanRequest.Header

    @classmethod
    def of(cls, path: Path, header: IngestRequest.Header | PlanRequest.Header) -> Self:
        """Reads the file once for its size and hash, which go into the header. Raises OSError."""
        with path.open("rb") as file:
            header.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            header.size_bytes = file.tell()
        header.filename = path.name
        return cls(path, header)

    def __iter__(self) -> Iterator[Any]:
        message = IngestRequest if isinstance(self.header, IngestRequest.Header) else PlanRequest
        yield message(header=self.header)  # type: ignore[arg-type]
        # What a file has grown by since it was read for the header is of its next ingest.
        size_bytes = self.header.size_bytes
        try:
            for start in range(0, size_bytes, _PIECE_BYTES):
                yield message(data=self._piece(start, min(_PIECE_BYTES, size_bytes - start)))
        except OSError:
            return  # the server misses bytes and says so; raised here, it would end in gRPC's log

    def _piece(self, start: int, size_bytes: int) -> bytes:
        """Bytes of the file from `start`. It is open for this alone: gRPC drops an iterator unclosed."""
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(size_bytes)

    def check(self) -> None:
        """Says why bytes were missing. Raises OSError, or InvalidRequest CHECKSUM_MISMATCH."""
        if self.path.stat().st_size < self.header.size_bytes:
            raise InvalidRequest("CHECKSUM_MISMATCH", f"{self.path} became shorter while it was sent.")


class Client:
    """Typed stubs of the services, which take `(request, timeout=None)`, and what they add up to."""

    def __init__(
        self,
        channels: Mapping[str, grpc.Channel],
        policy: CallPolicy,
        addresses: Mapping[str, str] | None = None,
    ) -> None:
        self._channels, self._policy = channels, policy
        self.addresses = addresses or {}
        wrapped = {
            name: cast(grpc.Channel, Calls(channel, policy, self.addresses.get(name, f"The {name}")))
            for name, channel in channels.items()
        }
        self.orchestrator = OrchestratorServiceStub(wrapped["orchestrator"])
        self.modes = ModeServiceStub(wrapped["orchestrator"])
        self.spaces = SpaceMigrationServiceStub(wrapped["orchestrator"])
        self.storage = ObjectStorageServiceStub(wrapped["storage"])
        self.index = DocumentIndexServiceStub(wrapped["storage"])
        self.parser = ParserServiceStub(wrapped["parser"])
        self.embedder = EmbedderServiceStub(wrapped["embedder"])
        self.ledger = LedgerServiceStub(wrapped["ledger"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends every call under way with CANCELLED."""
        for channel in self._channels.values():
            channel.close()

    def wait_until_reachable(self, service: str, seconds: float) -> None:
        """Returns once a connection to the service stands.

        Raises:
            Unavailable: NOT_REACHABLE, when there is none after so many seconds; TLS_MISMATCH.
        """
        where = self.addresses.get(service, "its address")
        # gRPC would try again and again, and write of each failure to stderr.
        if tls.is_tls(where) and (wrong := tls.mismatch(where, self._policy.ca)):
            raise Unavailable("TLS_MISMATCH", wrong)
        ready = grpc.channel_ready_future(self._channels[service])
        try:
            ready.result(timeout=seconds)
        except grpc.FutureTimeoutError:
            ready.cancel()
            raise self._policy.unreachable(where, f"No {service} answers at {where}.") from None

    def ingest(
        self,
        path: Path,
        *,
        document_key: str = "",
        collection: str = "",
        request_id: str = "",
        complete_by: datetime | None = None,
        metadata: Mapping[str, str] | None = None,
        origin: str = "",
        max_nano_usd: int | None = None,
        plan: ApprovedPlan | None = None,
    ) -> Run:
        """Sends a file and returns its run, queued or UNCHANGED.

        Args:
            path: The file.
            document_key: Names the document; the file's name when empty.
            collection: "default" when empty.
            request_id: A UUID under which the call may be repeated for 24 h; a fresh one when empty.
            complete_by: When the run must be done, with a time zone; None: never late.
            metadata: The document's, to filter searches by.
            origin: Where the file comes from, such as a folder; empty leaves what the document had.
            max_nano_usd: Most that the run may spend; None: no limit of its own.
            plan: `approval` of a plan that is agreed to; None: none was.

        Raises:
            OSError: The file cannot be read.
            ServiceError: The service refused it; a Quota QUEUE_FULL is not repeated here, and says when to.
        """
        header = IngestRequest.Header(
            collection=collection,
            document_key=document_key or path.name,
            request_id=request_id or str(uuid.uuid4()),
            complete_by=timestamp(complete_by),
            metadata=metadata,
            origin=origin,
            max_nano_usd=max_nano_usd,
            plan=plan,
        )
        return self._sent(Upload.of(path, header), self.orchestrator.Ingest).run

    def plan(
        self,
        path: Path,
        *,
        document_key: str = "",
        collection: str = "",
        complete_by: datetime | None = None,
        timeout: float | None = None,
    ) -> PlanResponse:
        """Says what an ingest of a file would do and cost; nothing is stored or bought.

        Args:
            path: The file.
            document_key: Names the document; the file's name when empty.
            collection: "default" when empty.
            complete_by: When the run would have to be done, with a time zone; None: at once.
            timeout: Seconds that it may take; None: as for any call.

        Raises:
            OSError: The file cannot be read.
            ServiceError: The service refused it, as the ingest or its parse would fail.
        """
        header = PlanRequest.Header(
            collection=collection,
            document_key=document_key or path.name,
            complete_by=timestamp(complete_by),
        )
        return self._sent(Upload.of(path, header), partial(self.orchestrator.Plan, timeout=timeout))

    def _sent(self, upload: Upload, call: Callable[[Any], T]) -> T:
        """Sends a file; an answer that bytes are missing is told as why they are."""
        try:
            return call(upload)
        except InvalidRequest:
            upload.check()
            raise

    def watch(self, run_id: str) -> Iterator[Run]:
        """A run each time it has changed, until it is final, across restarts of the orchestrator.

        Raises:
            ServiceError: The run is not known, or the orchestrator has not come back by the deadline.
        """
        resume_token = ""
        while True:
            try:
                request = WatchRunRequest(run_id=run_id, resume_token=resume_token)
                for answer in self.orchestrator.WatchRun(request):
                    resume_token = answer.resume_token
                    yield answer.run
                    if answer.run.state in FINAL_STATES:
                        return
            except (Unavailable, Deadline):
                run = self.orchestrator.GetRun(GetRunRequest(run_id=run_id)).run
                if run.state in FINAL_STATES:
                    yield run
                    return
            self._policy.sleep(FIRST_PAUSE_SECONDS)
