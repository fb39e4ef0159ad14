"""OpenAI's errors as it writes them."""

from __future__ import annotations

from collections.abc import Mapping

from waybill.sim import replies
from waybill.sim.openai import settings

INVALID = "invalid_request_error"


class Refused(replies.Refused):
    """A request that OpenAI answers with an error."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = INVALID,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
        super().__init__(replies.json_reply(self.body, status, headers))


def no_such_model(name: str) -> Refused:
    """404."""
    message = f"The model `{name}` does not exist or you do not have access to it."
    return Refused(404, message, code="model_not_found")


def input_too_long(tokens: int) -> Refused:
    """400: one input."""
    return Refused(
        400,
        f"This model's maximum context length is {settings.MOST_INPUT_TOKENS} tokens, however you "
        f"requested {tokens} tokens ({tokens} in your prompt; 0 for the completion). "
        "Please reduce your prompt; or completion length.",
    )


def request_too_long(tokens: int) -> Refused:
    """400: all inputs together."""
    kind = "max_tokens_per_request"
    most = settings.MOST_REQUEST_TOKENS
    return Refused(400, f"Requested {tokens} tokens, max {most} tokens per request", kind, kind)


def bad_key(key: str) -> Refused:
    """401; OpenAI shows the key's last four characters."""
    if not key:
        return Refused(401, "You didn't provide an API key. Send it as `Authorization: Bearer YOUR_KEY`.")
    masked = f"{key[:3]}{'*' * 8}{key[-4:]}" if len(key) > 12 else "*" * 8
    return Refused(401, f"Incorrect API key provided: {masked}.", code="invalid_api_key")
