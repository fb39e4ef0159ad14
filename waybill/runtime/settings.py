"""What a setting is, and those that every process reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A variable of the environment that changes what Waybill does.

    Attributes:
        name: The variable.
        group: A heading of docs/configuration.md.
        meaning: A sentence or two for people, in Markdown.
        default: What holds where it is not set; None: nothing does, and a process that needs it says so.
        otherwise: For people, what holds where it is not set and `default` does not say.
        least: Of a number.
        most: Of a number.
        choices: Of a closed set of words.
        secret: Whether it is masked wherever it is shown.
    """

    name: str
    group: str
    meaning: str
    default: str | None = None
    otherwise: str = ""
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False


_STACK, _SERVICE, _TELEMETRY = "The stack", "Every service", "Telemetry"

MODE = Setting(
    name="WAYBILL_MODE",
    group=_STACK,
    meaning="Who does the work: `local`, this machine; `real`, the vendors and nobody else; `hybrid`, the "
    "vendors, and while one is down what can be done without it, flagged. `simulator` is `real` with "
    "simulators of the vendors, which the stack starts. `waybill up --mode` sets it, and `make up MODE=…`.",
    default="local",
    choices=("local", "real", "hybrid", "simulator"),
)
ENV = Setting(
    name="WAYBILL_ENV",
    group=_STACK,
    meaning="In `production` a service refuses local backends, simulators and fault points.",
    default="development",
)
BIND = Setting(
    name="WAYBILL_BIND",
    group=_SERVICE,
    meaning="host:port to listen on, several by commas. One beyond loopback is by TLS, and needs the two "
    "files of a certificate and WAYBILL_AUTH=jwt. `waybill up` takes a host, with a port or without: there "
    "orchestrator, storage and ledger are reached from elsewhere, by TLS at that port and the next two.",
    otherwise="127.0.0.1 and the service's port, 7401 to 7405; for `waybill up` none, and port 7441",
)
PRIVATE_NETWORK = Setting(
    name="WAYBILL_PRIVATE_NETWORK",
    group=_SERVICE,
    meaning="1: WAYBILL_BIND may be any address, because whoever reaches it may see every tenant. "
    "For a closed network such as that of docker-compose.yml.",
    default="0",
    choices=("0", "1"),
)
TLS_CERT_FILE = Setting(
    name="WAYBILL_TLS_CERT_FILE",
    group=_SERVICE,
    meaning="PEM of the certificate that is shown beyond loopback. It is read again when it changes.",
    default="",
)
TLS_KEY_FILE = Setting(
    name="WAYBILL_TLS_KEY_FILE",
    group=_SERVICE,
    meaning="PEM of its private key, without a passphrase.",
    default="",
)
TLS_CA_FILE = Setting(
    name="WAYBILL_TLS_CA_FILE",
    group=_SERVICE,
    meaning="PEM of the authorities that are trusted for https:// addresses, by the command line, "
    "`connect()` and the services.",
    default="",
    otherwise="those that gRPC brings",
)
MIGRATIONS = Setting(
    name="WAYBILL_MIGRATIONS",
    group=_SERVICE,
    meaning="Folder of the SQL files that `waybill migrate` applies. "
    "A service does not start on a database that lacks one of them.",
    otherwise="those of this release",
)
KEEP_DAYS = Setting(
    name="WAYBILL_KEEP_DAYS",
    group=_SERVICE,
    meaning="Retention: days after its end for which a run keeps its spans, steps and batch jobs. "
    "0 keeps everything. Bills stay.",
    default="90",
    least=0,
    most=36_500,
)
STOP_ON_EOF = Setting(
    name="WAYBILL_STOP_ON_EOF",
    group=_SERVICE,
    meaning="1: the service drains and ends when its standard input is closed. The supervisor sets it.",
    default="0",
)
FAULTS = Setting(
    name="WAYBILL_FAULTS",
    group="For tests",
    meaning="Folder in which tests arm faults. Refused in production.",
    default="",
)
OTLP_ADDRESS = Setting(
    name="WAYBILL_OTLP_ADDRESS",
    group=_TELEMETRY,
    meaning="host:port, or https://host:port, that spans go to for `waybill trace`: the orchestrator's. "
    "`waybill up` sets it.",
    default="",
    otherwise="spans stay where they are made",
)
OTEL_ENDPOINT = Setting(
    name="OTEL_EXPORTER_OTLP_ENDPOINT",
    group=_TELEMETRY,
    meaning="http://host:port of a collector or viewer that gets spans and metrics too, by OTLP/gRPC.",
    default="",
    otherwise="no other gets them",
)
OTEL_METRICS_ENDPOINT = Setting(
    name="OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    group=_TELEMETRY,
    meaning="The same for metrics alone.",
    default="",
    otherwise="that of OTEL_EXPORTER_OTLP_ENDPOINT",
)
OTEL_METRICS_EXPORTER = Setting(
    name="OTEL_METRICS_EXPORTER",
    group=_TELEMETRY,
    meaning="`none` keeps metrics from a collector that takes spans alone.",
    default="otlp",
)
