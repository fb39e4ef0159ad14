"""Every setting of Waybill: the one list that services, `waybill config` and docs/configuration.md share.

A module-level `Setting` is in the list by being there. After a change: `make configuration`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence

from waybill import (
    llamaparse_settings,
    money_settings,
    objects_settings,
    openai_settings,
    supabase_settings,
)
from waybill.runtime import auth_settings
from waybill.runtime import settings as every_process
from waybill.runtime.config import Settings
from waybill.runtime.identity import DEFAULT_TENANT
from waybill.runtime.settings import Setting

PREFIX = "WAYBILL_"
MASK = "***"
FIXED_PORTS: Mapping[str, int] = {
    "orchestrator": 7401,
    "storage": 7402,
    "parser": 7403,
    "embedder": 7404,
    "ledger": 7405,
}
DATABASE_SERVICES = ("storage", "parser", "ledger", "orchestrator")
ROLES = tuple(f"waybill_{service}{kind}" for service in DATABASE_SERVICES for kind in ("", "_owner"))
_STACK, _WHERE, _DATABASE = "The stack", "Where services are", "The database"
_RUNS, _CHUNKS, _PARSER, _EMBEDDER = "Runs", "Chunks", "Parser", "Embedder"

HOME = Setting(
    name="WAYBILL_HOME",
    group=_STACK,
    meaning="The state folder: data, secrets, logs, and where the running stack listens.",
    otherwise="the nearest `.waybill/` upward, else the checkout's, else `./.waybill`",
)


def _address(service: str) -> Setting:
    return Setting(
        name=f"WAYBILL_{service.upper()}_ADDRESS",
        group=_WHERE,
        meaning=f"host:port of the {service}, or https://host:port, for the command line, `connect()` and "
        "the other services. `waybill up` sets it for its own.",
        default=f"127.0.0.1:{FIXED_PORTS[service]}",
        otherwise="where the running stack has it",
    )


ADDRESSES: Mapping[str, Setting] = {service: _address(service) for service in FIXED_PORTS}
TOKEN = Setting(
    name="WAYBILL_TOKEN",
    group=_WHERE,
    meaning="What the command line and `connect()` send as `authorization: Bearer …`; `--token` comes first.",
    default="",
    otherwise="the stack's own token, where this machine's stack asks for one",
    secret=True,
)
TOKEN_FILE = Setting(
    name="WAYBILL_TOKEN_FILE",
    group=_WHERE,
    meaning="A file with that token, read for each call, so that a fresh one can take its place.",
    default="",
)
DATABASE_URL = Setting(
    name="WAYBILL_DATABASE_URL",
    group=_DATABASE,
    meaning="postgresql:// URL of a service's login role, which sees one tenant at a time. "
    "`waybill up` sets it.",
    otherwise="made by `waybill up`",
    secret=True,
)
OWNER_DATABASE_URL = Setting(
    name="WAYBILL_OWNER_DATABASE_URL",
    group=_DATABASE,
    meaning="The same for the role that sees every tenant. `waybill up` sets it.",
    otherwise="made by `waybill up`",
    secret=True,
)
DATABASE_ADMIN_URL = Setting(
    name="WAYBILL_DATABASE_ADMIN_URL",
    group=_DATABASE,
    meaning="postgresql:// URL of a Postgres of yours, such as Supabase's, that the stack then uses in place "
    "of its own: a role that may create roles, on a direct connection or by a session pooler. "
    "`waybill migrate` connects there too.",
    otherwise="a Postgres that the stack starts; for `waybill migrate` the running stack's",
    secret=True,
)


def password_variable(role: str) -> str:
    """The variable that carries a role's password to the migrate job."""
    return f"WAYBILL_PASSWORD_{role.upper()}"


def _password(role: str, meaning: str) -> Setting:
    name = password_variable(role)
    return Setting(name=name, group=_DATABASE, meaning=meaning, default="", secret=True)


PASSWORDS: Mapping[str, Setting] = {
    role: _password(role, f"What `waybill migrate` makes the password of {role}.") for role in ROLES
}
OPERATOR_TENANT = Setting(
    name="WAYBILL_OPERATOR_TENANT",
    group="Money",
    meaning="Callers of this tenant are the operator: they also see and set the budgets over all tenants, "
    "and switch the mode. Without authentication that is a label and no protection: callers name their "
    "tenant themselves.",
    default=DEFAULT_TENANT,
)
ADMIN_PASSWORD = _password("admin", "Of the administrator, in docker-compose.yml.")


EXECUTOR_ID = Setting(
    name="WAYBILL_EXECUTOR_ID",
    group=_RUNS,
    meaning="Name of an orchestrator's process, kept over restarts: it takes its own runs up again. "
    "Each of several orchestrators needs its own.",
    default="orchestrator-1",
)
RUNS_IN_FLIGHT = Setting(
    name="WAYBILL_RUNS_IN_FLIGHT",
    group=_RUNS,
    meaning="Concurrency: documents worked on at a time.",
    default="16",
    least=1,
)
TENANT_RUNS_IN_FLIGHT = Setting(
    name="WAYBILL_TENANT_RUNS_IN_FLIGHT",
    group=_RUNS,
    meaning="The same for one tenant.",
    default="12",
    least=1,
)
TENANT_UNFINISHED_RUNS = Setting(
    name="WAYBILL_TENANT_UNFINISHED_RUNS",
    group=_RUNS,
    meaning="Limit: a tenant's runs that are queued or worked on. More are refused with QUEUE_FULL.",
    default="5000",
    least=1,
)
CHUNK_TOKENS = Setting(
    name="WAYBILL_CHUNK_TOKENS",
    group=_CHUNKS,
    meaning="Chunk size: most tokens of a chunk, its heading path included. "
    "A document that is ingested again after a change is cut anew.",
    default="512",
    least=64,
    most=512,
)
CHUNK_OVERLAP_TOKENS = Setting(
    name="WAYBILL_CHUNK_OVERLAP_TOKENS",
    group=_CHUNKS,
    meaning="Chunk overlap: most tokens of a chunk's end that the next one begins with, "
    "at most a quarter of the size.",
    default="0",
    least=0,
)
PARSER_CHILDREN = Setting(
    name="WAYBILL_PARSER_CHILDREN",
    group=_PARSER,
    meaning="Concurrency: documents parsed at a time.",
    otherwise="one a core",
    least=1,
)
PARSER_OCR_LANGUAGES = Setting(
    name="WAYBILL_PARSER_OCR_LANGUAGES",
    group=_PARSER,
    meaning="Languages in which Tesseract reads scans, such as `deu+eng`; `none`: scans are not read.",
    default="",
    otherwise="all that are installed",
)
PARSER_BACKEND = Setting(
    name="PARSER_BACKEND",
    group=_PARSER,
    meaning="What reads documents. `llamaparse` costs real money, but for simulator mode.",
    otherwise="`local`; `llamaparse` in simulator mode",
    choices=("local", "llamaparse"),
)
EMBEDDER_BACKEND = Setting(
    name="EMBEDDER_BACKEND",
    group=_EMBEDDER,
    meaning="What makes vectors. `openai` costs real money, but for simulator mode.",
    otherwise="`local`; `openai` in simulator mode",
    choices=("local", "openai"),
)
EMBEDDER_LOCAL_MODEL = Setting(
    name="EMBEDDER_LOCAL_MODEL",
    group=_EMBEDDER,
    meaning="Model of the local backend: `sentences`, or the full path of a folder with an ONNX model and "
    "its tokenizer.json.",
    default="",
    otherwise="word vectors",
)
EMBEDDER_ALSO = Setting(
    name="EMBEDDER_ALSO",
    group=_EMBEDDER,
    meaning="`openai`: OpenAI's models are served beside a local EMBEDDER_BACKEND's: set it while `waybill "
    "migrate-space` takes collections from one to the other. The local ones are served beside `openai` "
    "without it, but in production.",
    default="none",
    choices=("none", "openai"),
)
KILL_SEEDS = Setting(
    name="WAYBILL_KILL_SEEDS",
    group="For tests",
    meaning="How many seeds each test over simulated vendors takes, instead of 10; or which: 60:120.",
    default="",
)
LIVE_OPENAI_API_KEY = Setting(
    name="WAYBILL_LIVE_OPENAI_API_KEY",
    group="For tests",
    meaning="A key for tests that spend real money; without it they are skipped.",
    default="",
    secret=True,
)

LIVE_LLAMA_CLOUD_API_KEY = Setting(
    name="WAYBILL_LIVE_LLAMA_CLOUD_API_KEY",
    group="For tests",
    meaning="A key for the test that parses one page for real money; without it that is skipped.",
    default="",
    secret=True,
)

_LAST_GROUPS = ("Telemetry", "For tests")


def _all() -> Iterator[Setting]:
    """Group by group, in the order in which the groups are begun."""
    values = (
        *vars(every_process).values(),
        *vars(auth_settings).values(),
        *vars(objects_settings).values(),
        *ADDRESSES.values(),
        *globals().values(),
        *vars(money_settings).values(),
        *PASSWORDS.values(),
        *vars(openai_settings).values(),
        *vars(llamaparse_settings).values(),
        *vars(supabase_settings).values(),
    )
    declared = [one for one in values if isinstance(one, Setting)]
    first = dict.fromkeys(one.group for one in declared if one.group not in _LAST_GROUPS)
    for group in (*first, *_LAST_GROUPS):
        yield from (one for one in declared if one.group == group)


SETTINGS: Mapping[str, Setting] = {one.name: one for one in _all()}


def read(environ: Mapping[str, str]) -> Settings:
    """The environment, with a fault for each variable of ours that nothing reads."""
    settings = Settings(environ)
    for fault in unknown(environ):
        settings.fault(fault)
    return settings


def shown(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings that are set, by name, as they may be shown: without secrets and passwords in URLs."""
    return {
        name: _masked(one, environ[name]) for name, one in SETTINGS.items() if environ.get(name, "") != ""
    }


def _masked(setting: Setting, value: str) -> str:
    scheme, is_url, rest = value.partition("://")
    if setting.secret and (not is_url or "password=" in rest):
        return MASK
    credentials, at, place = rest.rpartition("@")  # the last one: a password may hold others
    user, colon, _ = credentials.partition(":")
    return f"{scheme}://{f'{user}:' if colon else ''}{MASK}@{place}" if at else value


def invalid(environ: Mapping[str, str]) -> Sequence[str]:
    """A sentence for each value that its setting does not allow."""
    settings = Settings(environ)
    for one in SETTINGS.values():
        if environ.get(one.name, "") == "":
            continue
        if one.choices:
            settings.choice(one)
        elif (one.least, one.most) != (None, None):
            settings.integer(one)
    return settings.faults


def unknown(environ: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each WAYBILL_ variable that is no setting, with the name that may be meant."""
    known = {name.removeprefix(PREFIX): name for name in SETTINGS}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in SETTINGS:
            near = difflib.get_close_matches(name.removeprefix(PREFIX), known, 1)
            meant = f"the nearest is {known[near[0]]}" if near else "docs/configuration.md lists all"
            yield f"{name} is no setting of Waybill; {meant}"
