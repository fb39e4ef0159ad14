"""LlamaCloud's files and parse jobs on loopback ports, with its plans, credits, webhooks and faults.

The contract is that of the official SDK `llama-cloud` 2.19.0; what no source settles is in `Assumptions`.
"""
