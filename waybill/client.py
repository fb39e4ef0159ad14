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
import itertools
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, cast

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.timestamp_pb2 import Timestamp

from waybill.embedder.v1.embedder_service_pb2_grpc import EmbedderServiceStub
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetRunRequest, IngestRequest, WatchRunRequest
from waybill.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.parser.v1.parser_service_pb2_grpc import ParserServiceStub
from waybill.runtime import identity, semconv, tls, wire
from waybill.runtime.errors import (
    Credential,
    Deadline,
    InvalidRequest,
    ServiceError,
    Unavailable,
    from_status,
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
_PIECE_BYTES = 256 * 1024
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 1.0
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


def idempotent(rpc_path: str) -> bool:
    """Whether the contract says that the RPC of this path ("/package.Service/Method") may be repeated."""
    name = rpc_path.lstrip("/").replace("/", ".")
    options = descriptor_pool.Default().FindMethodByName(name).GetOptions()
    return bool(options.idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN)


def timestamp(moment: datetime | None) -> Timestamp | None:
    """A moment with a time zone, as messages take it; None leaves a field unset."""
    return None if moment is None else wire.timestamp(moment)


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """What each call carries, and how it is repeated.

    Attributes:
        metadata: Added to every call.
        deadline_seconds: For a call that names no timeout, repeats included.
        monotonic: Clock, in seconds.
        sleep: Waits that many seconds.
        token: What a call to an address shows; nothing where it is empty.
        ca: PEM of the authorities that channels trust.
    """

    metadata: tuple[tuple[str, str], ...] = ()
    deadline_seconds: float = 60.0
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = threading.Event().wait
    token: Callable[[str], str] = lambda _: ""
    ca: Path | None = None

    def headers(self, address: str) -> tuple[tuple[str, str], ...]:
        """The metadata of a call to an address now. Raises Credential where its token cannot be sent."""
        shown = identity.bearing(self.token(address))
        if shown and not (tls.is_tls(address) or tls.is_loopback(address)):
            raise Credential(
                "TOKEN_IN_CLEAR",
                f"The token would go to {address} in clear. Write the address as {tls.SCHEME}{address}.",
            )
        return (*self.metadata, *shown)

    def unreachable(self, address: str, otherwise: str) -> Unavailable:
        """Why no call comes to an address: TLS_MISMATCH with the cause, else NOT_REACHABLE as given."""
        if wrong := tls.mismatch(address, self.ca):
            return Unavailable("TLS_MISMATCH", wrong)
        return Unavailable("NOT_REACHABLE", otherwise)

    def paused(self, failure: ServiceError, attempt: int, ends_at: float) -> bool:
        """Waits before the next attempt; False at once where none may follow."""
        pause = min(_FIRST_PAUSE_SECONDS * 2**attempt, _LONGEST_PAUSE_SECONDS)
        pause = max(pause, failure.retry_after_seconds or 0.0)
        # A call that we did not cancel was cut off by a server that stops.
        if not isinstance(failure, Unavailable) or self.monotonic() + pause >= ends_at:
            return False
        self.sleep(pause)
        return True


class _Call:
    """One RPC of a stub, its plain call form alone."""

    def __init__(self, path: str, send: Callable[..., Any], policy: CallPolicy, address: str) -> None:
        self._send = send
        self._policy = policy
        self._address = address
        self._repeatable = idempotent(path)

    def __call__(self, request: Any, timeout: float | None = None) -> Any:
        ends_at = self._ends_at(timeout)
        for attempt in itertools.count():
            try:
                return self._begin(request, ends_at)
            except grpc.RpcError as error:
                self._pause_or_raise(error, attempt, ends_at)
        raise AssertionError("unreachable")

    def _begin(self, request: Any, ends_at: float) -> Any:
        left = max(0.0, ends_at - self._policy.monotonic())
        return self._send(request, timeout=left, metadata=self._policy.headers(self._address))

    def _ends_at(self, timeout: float | None) -> float:
        return self._policy.monotonic() + (self._policy.deadline_seconds if timeout is None else timeout)

    def _pause_or_raise(self, error: grpc.RpcError, attempt: int, ends_at: float) -> None:
        failure = self._failure(error)
        if not self._repeatable or not self._policy.paused(failure, attempt, ends_at):
            raise failure from error

    def _failure(self, error: grpc.RpcError) -> ServiceError:
        failure = from_status(error)
        # gRPC's own text, where no server has said anything.
        if isinstance(failure, Deadline) and failure.message == "Deadline Exceeded":
            failure.message = f"{self._address} has not answered in time."
            if wrong := tls.mismatch(self._address, self._policy.ca):
                return Unavailable("TLS_MISMATCH", wrong)
        return failure


class _CallSendingStream(_Call):
    """Requests that can be iterated again can be sent again; an iterator is spent after one attempt."""

    def _begin(self, request: Iterable[Any], ends_at: float) -> Any:
        try:
            return super()._begin(iter(request), ends_at)
        except grpc.RpcError as error:
            if iter(request) is request:
                raise self._failure(error) from error
            raise


class _CallReceivingStream(_Call):
    """A stream that broke after its first message is not repeated: what came cannot be unsaid."""

    def __call__(self, request: Any, timeout: float | None = None) -> Iterator[Any]:
        ends_at = self._ends_at(timeout)
        for attempt in itertools.count():
            call, begun = self._begin(request, ends_at), False
            try:
                for answer in call:
                    begun = True
                    yield answer
                return
            except grpc.RpcError as error:
                if begun:
                    raise self._failure(error) from error
                self._pause_or_raise(error, attempt, ends_at)
            finally:
                call.cancel()


class _Calls:
    """What a generated stub asks of a channel, answered with our calls.

    A channel of grpcio-testing takes no interceptor (it lacks arguments that those forward), so a stub's
    calls are wrapped by hand.
    """

    def __init__(self, channel: grpc.Channel, policy: CallPolicy, address: str) -> None:
        self._channel = channel
        self._with = (policy, address)

    def unary_unary(self, path: str, *args: Any, **kwargs: Any) -> _Call:
        return _Call(path, self._channel.unary_unary(path, *args, **kwargs), *self._with)

    def stream_unary(self, path: str, *args: Any, **kwargs: Any) -> _Call:
        return _CallSendingStream(path, self._channel.stream_unary(path, *args, **kwargs), *self._with)

    def unary_stream(self, path: str, *args: Any, **kwargs: Any) -> _Call:
        return _CallReceivingStream(path, self._channel.unary_stream(path, *args, **kwargs), *self._with)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as the messages of an Ingest; it can be iterated again for a repeat."""

    path: Path
    header: IngestRequest.Header

    @classmethod
    def of(
        cls,
        path: Path,
        document_key: str,
        collection: str,
        request_id: str,
        complete_by: datetime | None = None,
        metadata: Mapping[str, str] = MappingProxyType({}),
        origin: str = "",
        max_nano_usd: int | None = None,
    ) -> Self:
        """Reads the file once for its size and hash. Raises OSError."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size_bytes = file.tell()
        header = IngestRequest.Header(
            collection=collection,
            document_key=document_key,
            filename=path.name,
            size_bytes=size_bytes,
            sha256=digest,
            request_id=request_id,
            complete_by=timestamp(complete_by),
            metadata=metadata,
            origin=origin,
            max_nano_usd=max_nano_usd,
        )
        return cls(path, header)

    def __iter__(self) -> Iterator[IngestRequest]:
        yield IngestRequest(header=self.header)
        left = self.header.size_bytes
        try:
            with self.path.open("rb") as file:
                # What a file has grown by since it was read for the header is of its next ingest.
                while piece := file.read(min(_PIECE_BYTES, left)):
                    left -= len(piece)
                    yield IngestRequest(data=piece)
        except OSError:
            return  # the server misses bytes and says so; raised here, it would end in gRPC's log

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
            name: cast(grpc.Channel, _Calls(channel, policy, self.addresses.get(name, f"The {name}")))
            for name, channel in channels.items()
        }
        self.orchestrator = OrchestratorServiceStub(wrapped["orchestrator"])
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

        Raises:
            OSError: The file cannot be read.
            ServiceError: The service refused it; a Quota QUEUE_FULL is not repeated here, and says when to.
        """
        request_id = request_id or str(uuid.uuid4())
        upload = Upload.of(
            path, document_key or path.name, collection, request_id, complete_by, metadata or {}, origin,
            max_nano_usd,
        )  # fmt: skip
        try:
            return self.orchestrator.Ingest(cast(Iterator[IngestRequest], upload)).run
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
            self._policy.sleep(_FIRST_PAUSE_SECONDS)
