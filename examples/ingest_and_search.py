"""Calls the services from Python stubs. With a stack up: python ingest_and_search.py FILE "a question"."""

from __future__ import annotations

import sys
from pathlib import Path

from waybill.client import connect
from waybill.orchestrator.v1.orchestrator_service_pb2 import SearchRequest, WatchRunRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import ServiceError


def main(file: Path, question: str) -> None:
    """Ingests a file, follows its run to the end, and asks a question."""
    with connect() as client:
        run = client.ingest(file, document_key=file.name)
        for update in client.orchestrator.WatchRun(WatchRunRequest(run_id=run.run_id)):
            run = update.run
            print(Run.State.Name(run.state), run.step, f"{run.embedded_chunks}/{run.chunks} chunks")
        if run.reason:
            print(f"{run.reason}: {run.message}")
        print(f"{run.cost_nano_usd} nano-USD, and {run.simulated_nano_usd} simulated")
        found = client.orchestrator.Search(SearchRequest(query=question, limit=3))
        for rank, hit in enumerate(found.hits, start=1):
            # As a literal: a document's text may hold what a terminal would obey.
            print(f"{rank}. {hit.document_key}, page {hit.chunk.page}: {hit.chunk.heading!r}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    except (ServiceError, OSError) as error:
        sys.exit(str(error))
