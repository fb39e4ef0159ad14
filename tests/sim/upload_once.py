"""`python -m tests.sim.upload_once URL KEY PATH`: what an upload by the SDK adds to a process's memory."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from llama_cloud import LlamaCloud

from tests.memory import peak_bytes


def main(url: str, key: str, path: str) -> None:
    with LlamaCloud(api_key=key, base_url=url, max_retries=0, timeout=60) as client:
        client.projects.list()
        before = peak_bytes(os.getpid())
        with Path(path).open("rb") as file:
            name = client.files.create(file=("big.txt", file, "text/plain"), purpose="parse").id
        print(peak_bytes(os.getpid()) - before, name)


main(*sys.argv[1:])
