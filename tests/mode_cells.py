"""The table of modes: who does the work, and why, by service, mode, vendor's state and production."""

from __future__ import annotations

from waybill.common.v1.backend_pb2 import Mode

DOWN, BAD_KEY, OVER_BUDGET = "VENDOR_UNREACHABLE", "VENDOR_KEY_REFUSED", "BUDGET_EXCEEDED"
STATES = ("", DOWN, BAD_KEY, OVER_BUDGET)
LOCAL, REAL, HYBRID = "MODE_LOCAL", "MODE_REAL", "MODE_HYBRID"
MODES = {LOCAL: Mode.MODE_LOCAL, REAL: Mode.MODE_REAL, HYBRID: Mode.MODE_HYBRID}
# (backend, reason) while the vendor serves, is down, refuses the key, and where a budget refuses it.
TABLE = {
    ("parser", LOCAL): [("local", LOCAL)] * 4,
    ("embedder", LOCAL): [("local", LOCAL)] * 4,
    ("storage", LOCAL): [("local", LOCAL)] * 4,
    ("parser", REAL): [("llamaparse", REAL)] * 4,
    ("embedder", REAL): [("openai", REAL)] * 4,
    ("storage", REAL): [("supabase", REAL)] * 4,
    ("parser", HYBRID): [
        ("llamaparse", HYBRID), ("local", DOWN), ("local", BAD_KEY), ("llamaparse", HYBRID),
    ],
    ("embedder", HYBRID): [("openai", HYBRID), ("", DOWN), ("", BAD_KEY), ("openai", HYBRID)],
    ("storage", HYBRID): [("supabase", HYBRID)] * 4,
}  # fmt: skip
CELLS = [
    (service, mode, state, *cell)
    for (service, mode), row in TABLE.items()
    for state, cell in zip(STATES, row, strict=True)
]
# What production says of a service that starts in a mode; None: it starts.
REFUSED = {
    ("parser", "local"): "PARSER_BACKEND is 'local'",
    ("embedder", "local"): "EMBEDDER_BACKEND is 'local'",
    ("storage", "local"): "STORAGE_BACKEND is 'local'",
    ("parser", "real"): None,
    ("embedder", "real"): None,
    ("storage", "real"): None,
    ("parser", "hybrid"): "WAYBILL_MODE is 'hybrid' and PARSER_BACKEND is not set",
    ("embedder", "hybrid"): None,
    ("storage", "hybrid"): None,
    ("parser", "simulator"): "WAYBILL_MODE is 'simulator'",
    ("embedder", "simulator"): "WAYBILL_MODE is 'simulator'",
    ("storage", "simulator"): "WAYBILL_MODE is 'simulator'",
}
