"""The same job by LlamaIndex: its ingestion pipeline, into its own table of pgvector.

    python -m bench.frameworks.llamaindex DATABASE_URL FOLDER BASE_URL KEY     (a pass for each input line)

Eight requests are under way at a time. Its splitter cuts 512 tokens, as ours.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from llama_index.core import Document
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.vector_stores.postgres import PGVectorStore

from bench.answers import Done, serve
from bench.frameworks import DIMENSION, IN_FLIGHT, MODEL, TOKENS


def main() -> None:
    """See above."""
    url, folder, base_url, key = sys.argv[1:]
    documents = [Document(text=file.read_text(), id_=file.name) for file in sorted(Path(folder).iterdir())]
    store = PGVectorStore.from_params(
        connection_string=url.replace("postgresql://", "postgresql+psycopg2://", 1),
        async_connection_string=url.partition("?")[0].replace("postgresql://", "postgresql+asyncpg://", 1),
        table_name="bench",
        embed_dim=DIMENSION,
        use_halfvec=True,
    )
    embedding = OpenAIEmbedding(model=MODEL, api_base=base_url, api_key=key, num_workers=IN_FLIGHT)
    splitter = SentenceSplitter(chunk_size=TOKENS, chunk_overlap=0)
    pipeline = IngestionPipeline(transformations=[splitter, embedding], vector_store=store)
    with asyncio.Runner() as runner:
        serve(lambda: Done(len(runner.run(pipeline.arun(documents=documents)))))


if __name__ == "__main__":
    main()
