"""Settings of what is spent: prices, limits, doubts, and the webhook that is told of budgets' alerts."""

from __future__ import annotations

from waybill.runtime.settings import Setting

_GROUP = "Money"

RETRY_PERCENT = Setting(
    name="WAYBILL_RETRY_PERCENT",
    group=_GROUP,
    meaning="A run's retry budget: of what the run may spend (by its plan or `--max-usd`, else what its "
    "first attempts hold), so much in buying again what may be charged already. More is "
    "RETRY_BUDGET_EXCEEDED.",
    default="10",
    least=0,
    most=100_000,
)
RETRY_LEAST_NANO_USD = Setting(
    name="WAYBILL_RETRY_LEAST_NANO_USD",
    group=_GROUP,
    meaning="So much of it in any case, in nano-USD: one lost answer of a small run is all of it.",
    default="50000000",
    least=0,
)
PRICES_FILE = Setting(
    name="WAYBILL_PRICES_FILE",
    group=_GROUP,
    meaning="A table of your own prices, made like `services/ledger/prices.toml`: what you have negotiated "
    "goes before the vendors' lists. Read at start; what was bought before keeps its price.",
    default="",
)
DOUBT_WRITE_OFF_AFTER = Setting(
    name="WAYBILL_DOUBT_WRITE_OFF_AFTER",
    group=_GROUP,
    meaning="Days after which a doubt is written off that no vendor can be asked about: it then counts "
    "against no budget, and stays a possible charge in bills and reports. 0 keeps it in doubt.",
    default="0",
    least=0,
    most=3_650,
)
OVER_BUDGET = Setting(
    name="WAYBILL_OVER_BUDGET",
    group=_GROUP,
    meaning="In hybrid mode, what becomes of a document whose parse or vectors a budget refuses: it waits "
    "(`wait`), or is read on this machine, or published without vectors, flagged (`local`).",
    default="wait",
    choices=("wait", "local"),
)
ALERT_WEBHOOK_URL = Setting(
    name="WAYBILL_ALERT_WEBHOOK_URL",
    group=_GROUP,
    meaning="https:// address that each alert of a budget is sent to, once a window and threshold, signed as "
    "Standard Webhooks has it ([cli.md](cli.md)). No address that its name leads to may be private; one on "
    "this machine, http:// too, is taken but in production.",
    default="",
    otherwise="alerts are told in the log, in metrics and by `waybill budget show`",
)
ALERT_WEBHOOK_SECRET = Setting(
    name="WAYBILL_ALERT_WEBHOOK_SECRET",
    group=_GROUP,
    meaning="What alerts are signed with: `whsec_` and base64 of 24 bytes or more, or as many characters of "
    "any text. Needed where there is an address, here or in WAYBILL_ALERT_WEBHOOK_SECRET_FILE.",
    default="",
    secret=True,
)
ALERT_WEBHOOK_SECRET_PREVIOUS = Setting(
    name="WAYBILL_ALERT_WEBHOOK_SECRET_PREVIOUS",
    group=_GROUP,
    meaning="The secret before, while you change it: alerts are signed with both.",
    default="",
    secret=True,
)
ALERT_WEBHOOK_SECRET_FILE = Setting(
    name="WAYBILL_ALERT_WEBHOOK_SECRET_FILE",
    group=_GROUP,
    meaning="A file with a secret a line, the current one first, read again when it changes.",
    default="",
)
