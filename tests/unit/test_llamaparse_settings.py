"""What the environment must say for LlamaParse."""

from __future__ import annotations

import pytest

from services.parser.backends.llamaparse.config import LlamaParseConfig
from waybill.runtime.config import Settings


@pytest.mark.parametrize(
    ("url", "in_clear"),
    [
        ("http://llama.example", True),
        ("http://127.0.0.1:8080", False),
        ("http://[::1]:8080", False),
        ("https://llama.example", False),
    ],
)
def test_a_key_goes_in_clear_to_this_machine_alone(url: str, in_clear: bool) -> None:
    settings = Settings({"LLAMA_CLOUD_API_KEY": "llx-planted", "LLAMA_CLOUD_BASE_URL": url})
    LlamaParseConfig.read(settings)
    assert any("would get the key in clear" in fault for fault in settings.faults) is in_clear


@pytest.mark.parametrize(
    ("region", "url", "allowed"),
    [
        ("na", "https://s3.amazonaws.com/bucket/a?b", True),
        ("na", "https://bucket.s3.amazonaws.com/a", True),
        ("na", "https://bucket.s3.us-east-1.amazonaws.com/a", True),
        ("na", "https://bucket.s3.eu-central-1.amazonaws.com/a", False),
        ("eu", "https://s3.eu-central-1.amazonaws.com/bucket/a", True),
        ("eu", "https://bucket.s3.amazonaws.com/a", False),
        ("na", "https://a.execute-api.us-east-1.amazonaws.com/a", False),
        ("na", "https://bucket.s3-website-us-east-1.amazonaws.com/a", False),
        ("na", "https://s3.amazonaws.com.example.com/a", False),
        ("na", "https://bucket.s3.amazonaws.com@example.com/a", False),
        ("na", "https://x@bucket.s3.amazonaws.com/a", False),
        ("na", "http://bucket.s3.amazonaws.com/a", False),
        ("na", "https://api.cloud.llamaindex.ai/a", True),
        ("na", "http://169.254.169.254/latest", False),
    ],
)
def test_results_are_fetched_from_s3_of_the_region_and_from_nowhere_else(
    region: str, url: str, allowed: bool
) -> None:
    settings = Settings({"LLAMA_CLOUD_API_KEY": "llx-planted", "LLAMA_CLOUD_REGION": region})
    assert LlamaParseConfig.read(settings).may_lead_to(url) is allowed


def test_hosts_that_are_named_take_the_place_of_s3() -> None:
    settings = Settings({"LLAMA_CLOUD_API_KEY": "k", "LLAMA_CLOUD_DOWNLOAD_HOSTS": "a.example, .b.example"})
    config = LlamaParseConfig.read(settings)
    urls = ("https://a.example/1", "https://c.b.example/1", "https://s3.amazonaws.com/1")
    assert [config.may_lead_to(url) for url in urls] == [True, True, False]
