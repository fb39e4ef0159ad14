"""The settings of LlamaParse, declared as all others are; `waybill.settings` lists them."""

from __future__ import annotations

from waybill.runtime.settings import Setting
from waybill.vendors.registry import LLAMAPARSE

_GROUP = "LlamaParse"

LLAMA_CLOUD_API_KEY = Setting(
    name="LLAMA_CLOUD_API_KEY",
    group=_GROUP,
    meaning="The key. Needed by the `llamaparse` backend, here or in LLAMA_CLOUD_API_KEY_FILE.",
    secret=True,
)
LLAMA_CLOUD_API_KEY_NEXT = Setting(
    name="LLAMA_CLOUD_API_KEY_NEXT",
    group=_GROUP,
    meaning="A second key, used when the first is refused: set it while you rotate keys.",
    default="",
    secret=True,
)
LLAMA_CLOUD_API_KEY_FILE = Setting(
    name="LLAMA_CLOUD_API_KEY_FILE",
    group=_GROUP,
    meaning="A file with a key a line, read again when it changes.",
    default="",
)
LLAMA_CLOUD_REGION = Setting(
    name="LLAMA_CLOUD_REGION",
    group=_GROUP,
    meaning="Where your account is: `na` or `eu`. A key of one region is unknown in the other.",
    default="na",
    choices=("na", "eu"),
)
LLAMA_CLOUD_BASE_URL = Setting(
    name="LLAMA_CLOUD_BASE_URL",
    group=_GROUP,
    meaning="Address of the API, with https://. `waybill up --mode simulator` sets it.",
    otherwise=f"the region's: {LLAMAPARSE.base_url} for `na`",
)
LLAMA_CLOUD_ORGANIZATION = Setting(
    name="LLAMA_CLOUD_ORGANIZATION",
    group=_GROUP,
    meaning="Id of the organisation, sent along with each request.",
    default="",
)
LLAMA_CLOUD_PROJECT = Setting(
    name="LLAMA_CLOUD_PROJECT",
    group=_GROUP,
    meaning="Id of the project, sent along with each request.",
    default="",
)
LLAMA_CLOUD_TIER = Setting(
    name="LLAMA_CLOUD_TIER",
    group=_GROUP,
    meaning="Quality, and price: 1, 3, 10 or 45 credits a page, in this order. `fast` gives text alone.",
    default=LLAMAPARSE.default_subject,
    choices=("fast", "cost_effective", "agentic", "agentic_plus"),
)
LLAMA_CLOUD_VERSION = Setting(
    name="LLAMA_CLOUD_VERSION",
    group=_GROUP,
    meaning="Dated version of the tier. It is kept with each result; with another one a known file is parsed "
    "anew.",
    otherwise="the newest that this release knows",
)
LLAMA_CLOUD_REQUESTS_PER_MINUTE = Setting(
    name="LLAMA_CLOUD_REQUESTS_PER_MINUTE",
    group=_GROUP,
    meaning="Requests that your plan allows, which LlamaCloud does not tell; 20 is the free one's. 0: no "
    "limit, as in simulator mode.",
    default="20",
    least=0,
)
LLAMA_CLOUD_ATTEMPT_SECONDS = Setting(
    name="LLAMA_CLOUD_ATTEMPT_SECONDS",
    group=_GROUP,
    meaning="The longest that one request may take; one that carries a document or a result may take longer.",
    default="30",
    least=1,
)
LLAMA_CLOUD_FAILED_JOBS_CHARGED = Setting(
    name="LLAMA_CLOUD_FAILED_JOBS_CHARGED",
    group=_GROUP,
    meaning="1: a parse that fails is kept as possibly owed until LlamaCloud tells its credits; 0: it costs "
    "nothing unless they are told.",
    default="0",
    choices=("0", "1"),
)
LLAMA_CLOUD_DOWNLOAD_HOSTS = Setting(
    name="LLAMA_CLOUD_DOWNLOAD_HOSTS",
    group=_GROUP,
    meaning="Hosts, comma-separated, from which results may be fetched besides the API's own; one that "
    "begins with a dot is any host below it. None of them gets the key.",
    default="",
    otherwise="S3 in the region's data centre: `us-east-1` for `na`, `eu-central-1` for `eu`",
)
LLAMA_CLOUD_WEBHOOK_URL = Setting(
    name="LLAMA_CLOUD_WEBHOOK_URL",
    group=_GROUP,
    meaning="Public https address at which LlamaCloud reaches the parser's listener. It shortens the wait "
    "for a parse; nothing depends on it.",
    default="",
    otherwise="no listener",
)
LLAMA_CLOUD_WEBHOOK_BIND = Setting(
    name="LLAMA_CLOUD_WEBHOOK_BIND",
    group=_GROUP,
    meaning="host:port where the listener listens, behind whatever ends TLS for it.",
    default="127.0.0.1:7411",
)
LLAMA_CLOUD_WEBHOOK_SECRET = Setting(
    name="LLAMA_CLOUD_WEBHOOK_SECRET",
    group=_GROUP,
    meaning="What events are signed with. Needed where there is an address.",
    default="",
    secret=True,
)
LLAMA_CLOUD_WEBHOOK_SECRET_PREVIOUS = Setting(
    name="LLAMA_CLOUD_WEBHOOK_SECRET_PREVIOUS",
    group=_GROUP,
    meaning="The secret before, while you change it.",
    default="",
    secret=True,
)
