"""Facts of the contract that more than one part keeps to."""

# Of a call that names none.
DEFAULT_COLLECTION = "default"

# Texts of one call, and of one vendor request.
CALL_TEXTS = 2_048
# Tokens of one text.
TEXT_TOKENS = 8_191
# Tokens that one vendor request is packed to. Larger ones save little CPU and bill more again after a crash
# (facts: 32k bills 1.11 ×, the vendor's ceiling 1.83 ×).
REQUEST_TOKENS = 32_000
# Texts of one batch job.
BATCH_JOB_TEXTS = 50_000
