"""The same job by LangChain: split, embed, and write to its own tables of pgvector.

    python -m bench.frameworks.langchain DATABASE_URL FOLDER BASE_URL KEY     (a pass for each input line)

Documents go eight at a time, in threads. Its splitter cuts 512 tokens, as ours.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import llama_index.core
from langchain_core.documents import Document
from langchain_openai import OpenAIEmbeddings
from langchain_postgres import PGVector
from langchain_text_splitters import RecursiveCharacterTextSplitter

from bench.answers import Done, serve
from bench.frameworks import DIMENSION, IN_FLIGHT, MODEL, TOKENS


def main() -> None:
    """See above."""
    url, folder, base_url, key = sys.argv[1:]
    files = sorted(Path(folder).iterdir())
    # LlamaIndex brings the vocabulary that tiktoken would fetch.
    vocabularies = Path(llama_index.core.__file__).parent / "_static" / "tiktoken_cache"
    os.environ["TIKTOKEN_CACHE_DIR"] = str(vocabularies)
    splitter = RecursiveCharacterTextSplitter.from_tiktoken_encoder(
        "cl100k_base", chunk_size=TOKENS, chunk_overlap=0
    )
    # With the check it would load a vocabulary by network; all chunks are short.
    embeddings = OpenAIEmbeddings(
        model=MODEL, base_url=base_url, api_key=key, check_embedding_ctx_length=False
    )
    store = PGVector(
        embeddings,
        connection=url.replace("postgresql://", "postgresql+psycopg://", 1),
        embedding_length=DIMENSION,
        engine_args={"pool_size": IN_FLIGHT},
        create_extension=False,
    )

    def put(file: Path) -> int:
        chunks = splitter.split_documents([Document(file.read_text(), metadata={"file": file.name})])
        store.add_documents(chunks)
        return len(chunks)

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        serve(lambda: Done(sum(pool.map(put, files))))


if __name__ == "__main__":
    main()
