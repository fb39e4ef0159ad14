"""An attempt at any vendor: HTTP's errors become ours, and say whether the vendor can have acted."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from waybill.refusals import refused_for_nothing
from waybill.runtime import deadline
from waybill.runtime.errors import Credential, Precondition, ServiceError
from waybill.vendors.attempt import Attempts
from waybill.vendors.failures import KEY_REFUSED
from waybill.vendors.http import TooLarge
from waybill.vendors.keys import Keys
from waybill.vendors.registry import OPENAI


def refused(response: httpx2.Response) -> ServiceError:
    """The table of a vendor that says 400 to a bad key."""
    kind = Credential if response.status_code == 400 else Precondition
    return kind(KEY_REFUSED if response.status_code == 400 else "OTHER", "m", {"vendor": OPENAI.name})


def attempts(*keys: str, seconds: float = 5.0) -> Attempts:
    return Attempts(OPENAI, Keys(keys or ["one"]), seconds, refused)


@pytest.mark.parametrize(
    ("error", "reason", "for_nothing"),
    [
        (httpx2.ConnectError(""), "VENDOR_UNREACHABLE", True),
        (httpx2.ConnectTimeout(""), "VENDOR_UNREACHABLE", True),
        (httpx2.ReadTimeout(""), "VENDOR_TIMEOUT", False),
        (httpx2.ReadError(""), "VENDOR_CONNECTION_LOST", False),
        (TooLarge("it is too large"), "VENDOR_ANSWER_INVALID", False),
    ],
)
async def test_only_a_connection_that_was_never_made_leaves_no_doubt(
    error: httpx2.RequestError, reason: str, for_nothing: bool
) -> None:
    with pytest.raises(ServiceError, match=reason) as caught:
        async with attempts().attempt():
            raise error
    assert refused_for_nothing(caught.value, OPENAI.name) is for_nothing


async def test_another_key_is_tried_at_once_where_the_vendors_table_says_that_one_is_refused() -> None:
    tries = attempts("one", "two")
    for retry_after in (0.0, None):
        with pytest.raises(Credential) as caught:
            async with tries.attempt():
                httpx2.Response(400, request=httpx2.Request("GET", "http://v/")).raise_for_status()
        assert caught.value.retry_after_seconds == retry_after
    async with attempts("one", "two").attempt() as headers:
        assert headers == {"Authorization": "Bearer one"}


async def test_the_whole_attempt_has_no_more_time_than_its_caller() -> None:
    deadline.start(0.41)
    with pytest.raises(ServiceError, match="VENDOR_TIMEOUT"):
        async with attempts(seconds=60).attempt():
            await asyncio.Event().wait()
