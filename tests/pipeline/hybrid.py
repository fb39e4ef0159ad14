"""A stack in hybrid mode over simulators outside of it, which keep their books while nobody reaches them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.pipeline.workbench import FAULTS, Workbench, started
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    GetRunRequest,
    ListChunksRequest,
    SearchRequest,
    SearchResponse,
)
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.sim.llamacloud.settings import JobTimes, LlamaCloudSettings
from waybill.sim.llamacloud.simulator import simulator as llamacloud
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import simulator as openai
from waybill.sim.remote import Remote
from waybill.sim.supabase.settings import SupabaseSettings
from waybill.sim.supabase.simulator import simulator as supabase
from waybill.sim.threaded import threaded
from waybill.stack.home import Home
from waybill.vendors.registry import LLAMAPARSE, OPENAI, SUPABASE

# A document is several requests, so that a cut finds one half done.
REQUEST_TOKENS = "400"
# No vendor here is silent, so nothing waits so long: less would cut off attempts of a slow machine.
ATTEMPT_SECONDS = "15"
QUICK_SECONDS = 0.05
# What is put off for many seconds comes now.
HASTE = (
    "update waybill_parser.jobs set look_at = now() where look_at > now() and leased_until is null;"
    "update waybill_runs.waits set look_at = now() where look_at > now()"
)
QUESTION = "pump runs dry at noon"


@dataclass
class Hybrid:
    """A tenant of the stack, and the vendors, of which each can be cut off; `luck` is the seed's."""

    bench: Workbench
    vendors: Mapping[str, Remote]
    luck: random.Random

    def cut_off(self, vendor: str) -> None:
        """Resets every connection to a vendor, and refuses new ones."""
        self.vendors[vendor].change("/outage")

    def back(self, vendor: str) -> None:
        """It takes connections again."""
        self.vendors[vendor].change("/outage", end=True)

    def reached(self, vendor: str, operation: str, since: int, count: int) -> bool:
        """Whether a vendor has got so many requests of a kind."""
        lines = self.vendors[vendor].journal[since:]
        return sum(line.operation == operation for line in lines) >= count

    def run(self, run_id: str) -> Run:
        """A run as it stands."""
        return self.bench.client.orchestrator.GetRun(GetRunRequest(run_id=run_id)).run

    def healed(self, runs: Sequence[str]) -> bool:
        """Whether nothing is lacking any more."""
        return all(self.run(run_id).state == Run.STATE_READY for run_id in runs)

    def entries(self, runs: Sequence[str]) -> list[Entry]:
        """All that was tried for these runs."""
        return [entry for run_id in runs for entry in self.bench.entries(run_id)]

    def chunks(self, run: Run) -> Sequence[str]:
        """The ids of a document's published chunks."""
        request = ListChunksRequest(document_key=run.document_key, page_size=500)
        return [one.chunk_id for one in self.bench.client.orchestrator.ListChunks(request).chunks]

    def search(self) -> SearchResponse:
        """What a question finds."""
        return self.bench.client.orchestrator.Search(SearchRequest(query=QUESTION, limit=20))


@contextmanager
def simulators() -> Iterator[Mapping[str, Remote]]:
    """The three vendors, by name."""
    jobs = JobTimes(queued_seconds=0.4, page_seconds=0.1, billed_seconds=0.3)
    with ExitStack() as running:
        yield {
            OPENAI.name: running.enter_context(
                threaded(openai(OpenAISettings(latency_seconds=QUICK_SECONDS)), OPENAI.simulator_key)
            ),
            LLAMAPARSE.name: running.enter_context(
                threaded(
                    llamacloud(LlamaCloudSettings(latency_seconds=QUICK_SECONDS, jobs=jobs)),
                    LLAMAPARSE.simulator_key,
                )
            ),
            SUPABASE.name: running.enter_context(
                threaded(supabase(SupabaseSettings(latency_seconds=0.0)), SUPABASE.simulator_key)
            ),
        }


@contextmanager
def hybrid_stack(home: Home, vendors: Mapping[str, Remote], **environment: str) -> Iterator[Home]:
    """A stack with fault points that has these vendors, and does without them while they are away."""
    settings = {
        f"{vendor.settings}{name}": text
        for vendor in (OPENAI, LLAMAPARSE, SUPABASE)
        for name, text in (
            (vendor.address, vendors[vendor.name].base_url),
            (vendor.key, vendor.simulator_key),
        )
    }
    (home.folder / FAULTS).mkdir(parents=True)
    with started(
        home,
        "hybrid",
        WAYBILL_FAULTS=str(home.folder / FAULTS),
        OPENAI_REQUEST_TOKENS=REQUEST_TOKENS,
        OPENAI_ATTEMPT_SECONDS=ATTEMPT_SECONDS,
        LLAMA_CLOUD_ATTEMPT_SECONDS=ATTEMPT_SECONDS,
        **settings,
        **environment,
    ):
        yield home
