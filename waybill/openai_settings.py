"""The settings of OpenAI, declared as all others are; `waybill.settings` lists them."""

from __future__ import annotations

from waybill.limits import REQUEST_TOKENS
from waybill.runtime.settings import Setting
from waybill.vendors.registry import OPENAI

_GROUP = "OpenAI"

OPENAI_API_KEY = Setting(
    name="OPENAI_API_KEY",
    group=_GROUP,
    meaning="The key. Needed by the `openai` backend, here or in OPENAI_API_KEY_FILE.",
    secret=True,
)
OPENAI_API_KEY_NEXT = Setting(
    name="OPENAI_API_KEY_NEXT",
    group=_GROUP,
    meaning="A second key, used when the first is refused: set it while you rotate keys.",
    default="",
    secret=True,
)
OPENAI_API_KEY_FILE = Setting(
    name="OPENAI_API_KEY_FILE",
    group=_GROUP,
    meaning="A file with a key a line, read again when it changes.",
    default="",
)
OPENAI_BASE_URL = Setting(
    name="OPENAI_BASE_URL",
    group=_GROUP,
    meaning="Address of the API, or of a server compatible with it, with its /v1. "
    "`waybill up --mode simulator` sets it.",
    default=OPENAI.base_url,
)
OPENAI_MODEL = Setting(
    name="OPENAI_MODEL",
    group=_GROUP,
    meaning="Embedding model, as the vendor spells it.",
    default=OPENAI.default_subject,
)
OPENAI_DIMENSIONS = Setting(
    name="OPENAI_DIMENSIONS",
    group=_GROUP,
    meaning="Dimension: numbers in each vector; 0 is the model's own. Needed where OpenAI has no such model.",
    default="0",
    least=0,
)
OPENAI_ORGANIZATION = Setting(
    name="OPENAI_ORGANIZATION", group=_GROUP, meaning="Sent along with each request.", default=""
)
OPENAI_PROJECT = Setting(
    name="OPENAI_PROJECT", group=_GROUP, meaning="Sent along with each request.", default=""
)
OPENAI_REQUEST_TOKENS = Setting(
    name="OPENAI_REQUEST_TOKENS",
    group=_GROUP,
    meaning="Tokens that a request is packed to. Raise it only where requests per minute are what binds. "
    "OpenAI's own limit is 300,000, by its own count.",
    default=str(REQUEST_TOKENS),
    least=1,
    most=290_000,
)
OPENAI_CONCURRENCY = Setting(
    name="OPENAI_CONCURRENCY",
    group=_GROUP,
    meaning="Concurrency: requests of runs at a time. Searches have as many places of their own.",
    default="8",
    least=1,
)
OPENAI_ATTEMPT_SECONDS = Setting(
    name="OPENAI_ATTEMPT_SECONDS",
    group=_GROUP,
    meaning="The longest that one request may take.",
    default="20",
    least=1,
)
