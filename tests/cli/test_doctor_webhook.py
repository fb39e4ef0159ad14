"""`waybill doctor` and LlamaCloud's webhook: the parser's own listener, and what may stand before it."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from services.parser.backends.llamaparse.config import Webhooks
from services.parser.backends.llamaparse.webhooks import listening
from tests.cli.test_doctor import vendor
from waybill.cli.checks import webhook
from waybill.cli.checks.finding import Finding, State
from waybill.stack import ports

SECRET = "planted-webhook-secret-0001"


def of_webhook(url: str, *, runs: bool = True, **settings: str) -> dict[str, Finding]:
    base = {
        "WAYBILL_MODE": "simulator", "LLAMA_CLOUD_WEBHOOK_URL": url, "LLAMA_CLOUD_WEBHOOK_SECRET": SECRET,
    }  # fmt: skip
    return {one.check: one for one in webhook.findings({**base, **settings}, runs=runs)}


async def hasten(entry_id: UUID, job_id: str) -> bool:
    raise AssertionError("the doctor brings no parse forward")


@pytest.fixture
def bind() -> str:
    return f"127.0.0.1:{ports.free({'webhook': 0})['webhook']}"


async def told_of(url: str, bind: str) -> dict[str, Finding]:
    """What the doctor finds while the parser listens at `bind`."""
    async with listening(Webhooks(url, bind, (SECRET,)), hasten):
        return await asyncio.to_thread(of_webhook, url, LLAMA_CLOUD_WEBHOOK_BIND=bind)


async def test_a_listener_that_its_address_leads_to_is_well(bind: str) -> None:
    found = await told_of(f"http://{bind}/hooks", bind)
    assert [one.state for one in found.values()] == [State.OK, State.OK]


async def test_an_address_that_leads_nowhere_is_told(bind: str) -> None:
    found = await told_of("http://127.0.0.1:1/hooks", bind)
    assert found["llamaparse webhook here"].state is State.OK
    public = found["llamaparse webhook"]
    assert (public.state, "nothing listens there" in public.detail) == (State.FAILED, True)
    assert "curl -i http://127.0.0.1:1/hooks" in public.mend


@pytest.mark.parametrize(
    ("status", "location", "words"),
    [
        (404, "", "to http://127.0.0.1:"),
        (400, "", "the header Host"),
        (301, "https://other.example/hooks", "export LLAMA_CLOUD_WEBHOOK_URL=https://other.example/hooks"),
    ],
)
async def test_what_a_proxy_does_wrong_is_told_with_what_mends_it(
    bind: str, status: int, location: str, words: str
) -> None:
    with vendor(status, **({"location": location} if location else {})) as url:
        public = (await told_of(url, bind))["llamaparse webhook"]
    assert (public.state, words in public.mend) == (State.FAILED, True)


def test_nobody_at_the_listeners_place_is_told_and_another_program_there_too(bind: str) -> None:
    url = "https://hooks.example.com/parses"
    found = of_webhook(url, LLAMA_CLOUD_WEBHOOK_BIND=bind)
    assert list(found) == ["llamaparse webhook here"]  # its address is not asked: nothing could come through
    assert "waybill logs parser" in found["llamaparse webhook here"].mend
    with vendor(200) as other:
        there = other.removeprefix("http://").removesuffix("/v1")
        taken = of_webhook(url, LLAMA_CLOUD_WEBHOOK_BIND=there)["llamaparse webhook here"]
    assert (taken.state, "LLAMA_CLOUD_WEBHOOK_BIND=" in taken.mend) == (State.FAILED, True)


def test_a_real_vendor_is_not_sent_to_this_machine() -> None:
    found = of_webhook("http://localhost:7411", WAYBILL_MODE="real")["llamaparse webhook"]
    assert (found.state, "no public host" in found.detail) == (State.FAILED, True)


def test_an_address_without_a_secret_is_told_and_none_is_asked_while_nothing_runs() -> None:
    url = "https://hooks.example.com/parses"
    unsigned = of_webhook(url, LLAMA_CLOUD_WEBHOOK_SECRET="")["llamaparse webhook"]
    assert (unsigned.state, "LLAMA_CLOUD_WEBHOOK_SECRET=" in unsigned.mend) == (State.FAILED, True)
    assert of_webhook(url, runs=False)["llamaparse webhook"].state is State.SKIPPED
    assert of_webhook("")["llamaparse webhook"].state is State.SKIPPED
    assert not of_webhook(url, WAYBILL_MODE="local")
