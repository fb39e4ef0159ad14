"""LangChain and LlamaIndex doing the job of the bench, in an environment of their own (requirements.txt)."""

MODEL, DIMENSION = "text-embedding-3-small", 1536
TOKENS, IN_FLIGHT = 512, 8
