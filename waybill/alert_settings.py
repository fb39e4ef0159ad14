"""Settings of the webhook that is told of budgets' alerts."""

from __future__ import annotations

from waybill.runtime.settings import Setting

_GROUP = "Money"

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
