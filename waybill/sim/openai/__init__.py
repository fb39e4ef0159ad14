"""OpenAI's embeddings, models, files and batches on a loopback port, with its limits, prices and faults."""
