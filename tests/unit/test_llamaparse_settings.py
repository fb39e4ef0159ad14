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
