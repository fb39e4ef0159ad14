"""Names of metadata, baggage, span attributes and spans: declared here, used everywhere.

OpenTelemetry's own names where it has one (RPC semantic conventions 1.39, gen_ai); its Python
constants for gen_ai are deprecated, so the strings stand here.
"""

# gRPC metadata
TENANT_HEADER = "x-waybill-tenant"
SERVICE_HEADER = "x-waybill-service-secret"
CORRELATION_HEADER = "x-correlation-id"
BAGGAGE_HEADER = "baggage"
TRACEPARENT_HEADER = "traceparent"

# Attributes of our own, also the keys of W3C baggage
TENANT = "waybill.tenant"
RUN_ID = "waybill.run.id"
CORRELATION_ID = "waybill.correlation.id"
STEP_SPAN_ID = "waybill.step.span_id"
# In baggage alone, and believed only beside a service's secret
SUBJECT = "waybill.subject"
CREDENTIAL_ID = "waybill.credential.id"
ENTRY_ID = "waybill.ledger.entry_id"
COST_NANO_USD = "waybill.cost.nano_usd"
COST_KIND = "waybill.cost.kind"
# On spans of runs and steps: sums of what is below them. Their COST_NANO_USD is real money alone
COST_SIMULATED_NANO_USD = "waybill.cost.simulated_nano_usd"
DOCUMENT_KEY = "waybill.document.key"
COLLECTION = "waybill.collection"
RUN_STATE = "waybill.run.state"
# Who does the work, and why: see the contract's BackendChoice
BACKEND = "waybill.backend"
BACKEND_REASON = "waybill.backend.reason"
# Its process died, and the span is put together from what else is known
INTERRUPTED = "waybill.interrupted"
SPEND_KEY = "waybill.spend_key"
ATTEMPT = "waybill.attempt"

# RPC
RPC_SYSTEM = "rpc.system.name"
RPC_METHOD = "rpc.method"
RPC_STATUS_CODE = "rpc.response.status_code"
ERROR_TYPE = "error.type"

# Vendor calls
GEN_AI_OPERATION = "gen_ai.operation.name"
GEN_AI_PROVIDER = "gen_ai.provider.name"
GEN_AI_MODEL = "gen_ai.request.model"
GEN_AI_INPUT_TOKENS = "gen_ai.usage.input_tokens"
PAGES = "waybill.pages"

# ErrorInfo's metadata: whose error it is (VENDOR also on spans), and that a refusal is paid for all the same
VENDOR = "vendor"
CHARGED = "charged"
# The same, of a purchase that a budget refused: "<budget id>:<how much of its unit was wanted>"
BLOCKED_ON = "blocked_on"

# Repeats of a vendor call: an event on the span that asked for it
RETRY_EVENT = "waybill.retry"
RETRY_WAIT = "waybill.retry.wait_seconds"

# The vendor of what engines on this machine do; its prices are 0.
LOCAL = "local"

# Metrics: whether a vendor is left alone because it is down, 1 or 0, by VENDOR
BREAKER_OPEN = "waybill.breaker.open"

# Metrics: how often the parser itself failed on a document since it was started
PARSER_CRASHES = "waybill.parser.crashes"

# Metrics: how many thresholds of budgets a ledger has seen reached since it was started
BUDGET_ALERTS = "waybill.budget.alerts"
# Counter of alerts that are sent no more, since their webhook's receiver never took them
BUDGET_ALERTS_GIVEN_UP = "waybill.budget.alerts.given_up"
