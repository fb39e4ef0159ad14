"""Addresses beyond loopback: what they need, how they are reached, and what is said where they are not."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests import certificates
from tests.inprocess import Recorder, server_config, someone
from tests.issuer import Issuer
from tests.unit.test_runtime import Ledger
from tests.waiting import PATIENCE_SECONDS
from waybill.client import Client, connect
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub, add_LedgerServiceServicer_to_server
from waybill.runtime import channel, identity, tls
from waybill.runtime.auth_settings import AuthConfig
from waybill.runtime.config import ConfigError, Settings
from waybill.runtime.errors import Credential, InvalidRequest, Precondition, ServiceError, Unavailable
from waybill.runtime.server import ServerConfig, Service, serving
from waybill.runtime.telemetry import Telemetry
from waybill.stack import exposing
from waybill.stack.ports import free_ports

SECRET = "x" * 40
# None of the names of loopback, and yet nobody else's.
BEYOND = "127.0.0.2"
ANYWHERE = "0.0.0.0"  # noqa: S104 nothing listens there


@dataclasses.dataclass(frozen=True)
class Made(tls.Certificate):
    """A certificate with the authority that a client trusts."""

    ca_file: Path


def made(folder: Path, address: str = BEYOND) -> Made:
    """A fresh certificate for a server at an address."""
    folder.mkdir(exist_ok=True)
    found = certificates.made(folder, address)
    return Made(found.certificate, found.key, found.authority)


def opened(certificate: Made | None, **more: str) -> Mapping[str, str]:
    """The environment of a service that others reach."""
    files = {
        "WAYBILL_TLS_CERT_FILE": str(certificate.cert_file),
        "WAYBILL_TLS_KEY_FILE": str(certificate.key_file),
    } if certificate else {}  # fmt: skip
    return {
        "WAYBILL_BIND": "0.0.0.0:7405",
        "WAYBILL_AUTH": "jwt",
        "WAYBILL_JWT_ISSUER": "https://project.example/auth/v1",
        "WAYBILL_SERVICE_SECRET": SECRET,
        **files,
        **more,
    }


def refusal(environ: Mapping[str, str]) -> str:
    settings = Settings(environ)
    ServerConfig.read(settings, "ledger", 7405)
    return "; ".join(settings.faults)


def test_an_address_beyond_loopback_names_all_that_it_lacks_at_once(tmp_path: Path) -> None:
    certificate = made(tmp_path)
    assert refusal(opened(certificate)) == ""
    told = refusal({"WAYBILL_BIND": "0.0.0.0:7405"})
    needed = ("WAYBILL_AUTH=jwt", "WAYBILL_JWT_ISSUER", "WAYBILL_TLS_CERT_FILE", "WAYBILL_TLS_KEY_FILE")
    assert all(name in told for name in needed)
    for name in (
        "WAYBILL_JWT_ISSUER",
        "WAYBILL_SERVICE_SECRET",
        "WAYBILL_TLS_CERT_FILE",
        "WAYBILL_TLS_KEY_FILE",
    ):
        environ = dict(opened(certificate))
        del environ[name]
        assert name in refusal(environ), name
    assert "WAYBILL_AUTH=jwt" in refusal(opened(certificate, WAYBILL_AUTH="none"))


@pytest.mark.parametrize(
    ("bind", "refused"),
    [
        ("127.0.0.1:1", False),
        ("localhost:1", False),
        ("[::1]:1", False),
        ("127.0.0.1:1,[::1]:1", False),
        ("0.0.0.0:1", True),
        ("[::]:1", True),
        ("192.0.2.1:1", True),
        ("example.org:1", True),
        ("127.0.0.1:1,0.0.0.0:1", True),
        ("127.0.0.1.evil.example:1", True),
    ],
)
def test_only_loopback_is_listened_on_without_tls_and_auth(bind: str, refused: bool) -> None:
    assert bool(refusal({"WAYBILL_BIND": bind})) == refused
    assert not refusal({"WAYBILL_BIND": bind, "WAYBILL_PRIVATE_NETWORK": "1"})


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("WAYBILL_JWT_JWKS_URL", "http://keys.example/jwks", "https://"),
        ("WAYBILL_JWT_JWKS_URL", "file:///etc/keys", "https://"),
        ("WAYBILL_JWT_ISSUER", "http://project.example", "https://"),
        ("WAYBILL_JWT_SECRET", "short", "the least is 32"),
        ("WAYBILL_SERVICE_SECRET", "short", "the least is 32"),
        ("WAYBILL_JWT_TENANT_CLAIM", "user_metadata.tenant", "only you write"),
        ("WAYBILL_JWT_TENANT_CLAIM", "app_metadata..tenant", "only you write"),
        ("WAYBILL_AUTH", "yes", "it may be none, jwt"),
        ("WAYBILL_TLS_KEY_FILE", "/nowhere/server.key", "cannot be read"),
    ],
)
def test_a_setting_of_identity_that_would_not_be_safe_is_told(
    tmp_path: Path, name: str, value: str, told: str
) -> None:
    environ = opened(made(tmp_path), **{name: value})
    assert told in refusal(environ)
    if "SECRET" in name:
        assert value not in refusal(environ)


def test_a_certificate_beside_anothers_key_is_told_at_the_start(tmp_path: Path) -> None:
    mixed = Made(made(tmp_path / "a").cert_file, made(tmp_path / "b").key_file, tmp_path)
    assert "are no certificate and its key" in refusal(opened(mixed))


def test_the_stack_is_opened_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    environ = {**opened(made(tmp_path)), "WAYBILL_BIND": ANYWHERE}
    assert exposing.public(environ) == {
        "orchestrator": "0.0.0.0:7441", "storage": "0.0.0.0:7442", "ledger": "0.0.0.0:7443",
    }  # fmt: skip
    assert exposing.public({**environ, "WAYBILL_BIND": "[::]:9000"})["ledger"] == "[::]:9002"
    assert exposing.public({}) == {}
    refused = [
        ({"WAYBILL_BIND": ANYWHERE}, "WAYBILL_TLS_KEY_FILE"),
        ({"WAYBILL_BIND": ANYWHERE, "WAYBILL_PRIVATE_NETWORK": "1"}, "WAYBILL_AUTH=jwt"),
        ({**environ, "WAYBILL_BIND": "127.0.0.1:7401"}, "loopback"),
        ({**environ, "WAYBILL_BIND": "0.0.0.0:http"}, "host:port"),
        ({**environ, "WAYBILL_TLS_CERT_FILE": environ["WAYBILL_TLS_KEY_FILE"]}, "no certificate"),
    ]
    for one, told in refused:
        with pytest.raises(Precondition, match=told) as caught:
            exposing.public(one)
        assert caught.value.reason == "BIND_REFUSED"


def test_a_real_backend_asks_for_the_stacks_token_and_a_simulated_or_local_one_does_not() -> None:
    asks = exposing.asks_for_token
    for name in ("EMBEDDER_BACKEND", "PARSER_BACKEND", "STORAGE_BACKEND"):
        assert asks({name: "vendor"}, "local")
        assert not asks({name: "vendor"}, "simulator")
        assert not asks({name: "local"}, "local")
        assert not asks({name: ""}, "local")
        assert not asks({name: "vendor", "WAYBILL_AUTH": "jwt"}, "local")
    assert not asks({}, "local")
    assert not asks({}, "simulator")
    for mode in ("real", "hybrid"):
        assert asks({}, mode)
        assert asks({"EMBEDDER_BACKEND": "local"}, mode)


@dataclasses.dataclass(frozen=True)
class Bench:
    """A ledger by TLS beyond loopback, and in clear on it."""

    issuer: Issuer
    certificate: Made
    plain: str
    secure: str
    seen: list[identity.Caller]

    def client(self, address: str, ca: Path | None = None, **more: Any) -> Client:
        """A client whose ledger is at an address."""
        names = ("orchestrator", "storage", "parser", "embedder", "ledger")
        return connect(dict.fromkeys(names, address), ca=ca, environ={}, deadline_seconds=20.0, **more)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    seen: list[identity.Caller] = []

    async def handle() -> None:
        seen.append(identity.caller())

    certificate = made(tmp_path)
    rpcs = [(add_LedgerServiceServicer_to_server, Ledger(handle))]
    with Issuer().served() as issuer:
        auth = AuthConfig(tokens=issuer.config, service_secret=SECRET)
        async with listening(auth, certificate, rpcs) as (plain, secure):
            yield Bench(issuer, certificate, plain, secure, seen)


@asynccontextmanager
async def listening(auth: AuthConfig, certificate: Made, rpcs: Any) -> AsyncIterator[tuple[str, str]]:
    """The addresses of one server: in clear on loopback, and by TLS beyond."""
    beyond, here = (str(port) for port in free_ports(2))
    bind = f"127.0.0.1:{here},{BEYOND}:{beyond}"
    config = dataclasses.replace(server_config("ledger", auth), bind=bind, certificate=certificate)
    async with serving(config, Recorder().telemetry("ledger"), Service(rpcs)) as plain:
        yield plain, f"https://{BEYOND}:{beyond}"


async def test_a_call_comes_by_tls_with_a_token_and_through_clear_loopback_alike(bench: Bench) -> None:
    token = bench.issuer.token("acme", "alice")
    for address, ca in ((bench.secure, bench.certificate.ca_file), (bench.plain, None)):
        with bench.client(address, ca, token=token) as client:
            await once(client)
    assert [(who.tenant, who.subject, who.credential_id) for who in bench.seen] == [
        ("acme", "alice", "key-1")
    ] * 2


async def once(client: Client) -> None:
    """A call of the blocking client beside a running loop."""
    await asyncio.to_thread(client.ledger.ListEntries, ListEntriesRequest())


async def test_a_service_reaches_another_by_tls_and_shows_its_secret(bench: Bench) -> None:
    auth = AuthConfig(service_secret=SECRET, ca_file=bench.certificate.ca_file)
    who = dataclasses.replace(someone("acme"), subject="alice", credential_id="key-9")
    async with channel.connect(bench.secure, Recorder().telemetry("t").tracer, auth) as opened_channel:
        with identity.acting_as(who):
            await LedgerServiceStub(opened_channel).ListEntries(ListEntriesRequest())
    assert bench.seen == [who]


def test_the_services_secret_never_goes_to_another_machine_in_clear() -> None:
    tracer, auth = Recorder().telemetry("t").tracer, AuthConfig(service_secret=SECRET)
    with pytest.raises(ConfigError, match="in clear") as caught:
        channel.connect("192.0.2.1:7405", tracer, auth)
    assert SECRET not in str(caught.value)
    with pytest.raises(ConfigError, match="in clear"):
        Telemetry.to_collectors("t", ["192.0.2.1:4317"], ours="192.0.2.1:4317", auth=auth)
    # What is not ours gets none.
    Telemetry.to_collectors("t", ["192.0.2.1:4317"], auth=auth).shutdown()


async def test_a_token_never_goes_to_another_machine_in_clear(bench: Bench) -> None:
    with (
        bench.client("192.0.2.1:7405", token="secret-token") as client,
        pytest.raises(Credential) as caught,
    ):
        client.ledger.ListEntries(ListEntriesRequest())
    assert caught.value.reason == "TOKEN_IN_CLEAR"
    assert "secret-token" not in caught.value.message


async def test_what_keeps_tls_from_standing_is_said(bench: Bench, tmp_path: Path) -> None:
    port = tls.target(bench.secure).rpartition(":")[2]
    other = made(tmp_path / "other")
    cases = [
        (bench.client(f"{BEYOND}:{port}"), f"Write its address as https://{BEYOND}:{port}"),
        (bench.client(f"https://{bench.plain}", other.ca_file), "does not speak TLS"),
        (bench.client(bench.secure, other.ca_file), "is not trusted here"),
    ]
    for client, text in cases:
        error = await reached(client)
        assert (type(error), error.reason) == (Unavailable, "TLS_MISMATCH")
        assert text in error.message


async def reached(client: Client) -> ServiceError:
    with client, pytest.raises(ServiceError) as caught:
        await asyncio.to_thread(client.wait_until_reachable, "ledger", 1.0)
    return caught.value


async def test_a_ca_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="WAYBILL_TLS_CA_FILE"):
        connect("https://localhost:1", ca=tmp_path / "missing.pem", environ={})


async def checked(address: str, ca: Path) -> health_pb2.HealthCheckResponse:
    """Health by a connection of its own."""
    trusted = tls.channel_credentials(ca)
    async with grpc.aio.secure_channel(tls.target(address), trusted) as opened_channel:
        stub = health_pb2_grpc.HealthStub(opened_channel)
        return await stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_SECONDS)


async def test_a_new_certificate_takes_the_place_of_the_old_one_without_a_restart(
    bench: Bench, tmp_path: Path
) -> None:
    old = tmp_path / "old.crt"
    shutil.copy(bench.certificate.ca_file, old)
    await checked(bench.secure, old)
    fresh = made(tmp_path / "fresh")
    # Between the two files nothing fits: the server goes on with what it had.
    shutil.copy(fresh.cert_file, bench.certificate.cert_file)
    await checked(bench.secure, old)
    shutil.copy(fresh.key_file, bench.certificate.key_file)
    await checked(bench.secure, fresh.ca_file)
    with pytest.raises(grpc.aio.AioRpcError):
        await checked(bench.secure, old)


async def test_nothing_is_reflected_beyond_loopback(bench: Bench) -> None:
    async with grpc.aio.insecure_channel(bench.plain) as opened_channel:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        call = reflection_pb2_grpc.ServerReflectionStub(opened_channel).ServerReflectionInfo(iter([request]))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
