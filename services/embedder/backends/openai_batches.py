"""OpenAI's Batch API: files of JSON lines, and batches of them (OpenAI's API reference, "Batch")."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, BinaryIO, Final

import httpx2
import openai
import orjson

from services.embedder.backends.openai import request_body
from services.embedder.backends.openai_answers import parsed, read_vectors
from services.embedder.backends.openai_client import OpenAIClient
from services.embedder.backends.openai_errors import not_an_answer, of_batch, of_tier, plain_word
from services.embedder.backends.port import Embedded, LineAnswer, Stage, VendorBatch
from services.embedder.config import OpenAIConfig
from waybill.runtime.errors import ServiceError
from waybill.vendors.http import within

ENDPOINT: Final = "/v1/embeddings"
# Of one attempt to send or to read a whole file.
FILE_SECONDS = 300.0
PAGE = 100
_STAGES = {
    "validating": Stage.RUNNING,
    "in_progress": Stage.RUNNING,
    "finalizing": Stage.RUNNING,
    "cancelling": Stage.CANCELLING,
    "completed": Stage.ENDED,
    "failed": Stage.ENDED,
    "expired": Stage.ENDED,
    "cancelled": Stage.ENDED,
}
_CUT_OFF = ("failed", "expired", "cancelled")


class OpenAIBatches:
    """The batch tier of one model; see the port.

    Args:
        config: Which model.
        client: Open.
    """

    def __init__(self, config: OpenAIConfig, client: OpenAIClient) -> None:
        self._config = config
        self._client = client

    def request_line(self, custom_id: str, texts: Sequence[str]) -> bytes:
        """See the port."""
        body = request_body(self._config, texts)
        line = {"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": body}
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)

    def read(self, line: bytes) -> LineAnswer:
        """See the port."""
        answer = parsed(line)
        custom_id, response = answer.get("custom_id"), answer.get("response")
        if not isinstance(custom_id, str):
            raise not_an_answer("has a line without its custom_id")
        if not isinstance(response, dict):
            return LineAnswer(custom_id, code=plain_word(answer.get("error")))
        body, status = response.get("body"), response.get("status_code")
        if status == 200:
            return LineAnswer(custom_id, body if isinstance(body, dict) else {})
        error = body.get("error") if isinstance(body, dict) else None
        return LineAnswer(custom_id, code=plain_word(error) or f"status_{status}")

    def embedded(self, answer: LineAnswer, texts: int) -> Embedded:
        """See the port."""
        return read_vectors(answer.body or {}, texts, self._config.dimension, self._config.model)

    async def upload(self, lines: BinaryIO) -> str:
        """See the port."""
        # The length that is announced is the file's on the disk.
        lines.flush()
        async with self._client.attempt(FILE_SECONDS, of_tier) as headers:
            response = await self._client.sdk.files.with_raw_response.create(
                file=("waybill.jsonl", lines, "application/jsonl"),
                purpose="batch",
                extra_headers=headers,
                # The vendor answers an upload once it has dealt with it.
                timeout=within(FILE_SECONDS),
            )
        return _word(parsed(response.content), "id")

    async def create(self, input_file: str, metadata: Mapping[str, str]) -> VendorBatch:
        """See the port."""
        async with self._client.attempt(refused=of_tier) as headers:
            response = await self._client.sdk.batches.with_raw_response.create(
                input_file_id=input_file,
                endpoint=ENDPOINT,
                completion_window="24h",
                metadata=dict(metadata),
                extra_headers=headers,
            )
        return _batch(parsed(response.content))

    async def get(self, batch_id: str) -> VendorBatch:
        """See the port."""
        async with self._client.attempt(refused=of_batch) as headers:
            response = await self._client.sdk.batches.with_raw_response.retrieve(
                batch_id, extra_headers=headers
            )
        return _batch(parsed(response.content))

    async def newest(self) -> AsyncIterator[VendorBatch]:
        """See the port."""
        after = ""
        while page := await self._page(after):
            for batch in page:
                yield batch
            after = page[-1].id

    async def cancel(self, batch_id: str) -> VendorBatch:
        """See the port."""
        ended = False

        def refused(response: httpx2.Response) -> ServiceError:
            nonlocal ended
            ended = response.status_code == 409
            return of_batch(response)

        try:
            async with self._client.attempt(refused=refused) as headers:
                response = await self._client.sdk.batches.with_raw_response.cancel(
                    batch_id, extra_headers=headers
                )
        except ServiceError:
            if ended:
                return await self.get(batch_id)
            raise
        return _batch(parsed(response.content))

    async def download(self, file: str, into: BinaryIO) -> None:
        """See the port."""
        into.seek(0)
        into.truncate()
        content = self._client.sdk.files.with_streaming_response.content
        async with (
            self._client.attempt(FILE_SECONDS, of_batch) as headers,
            content(file, extra_headers=headers) as response,
        ):
            async for part in response.iter_bytes():
                into.write(part)
        into.seek(0)

    async def delete(self, file: str) -> None:
        """See the port."""
        async with self._client.attempt(refused=of_batch) as headers:
            await self._client.sdk.files.with_raw_response.delete(file, extra_headers=headers)

    async def _page(self, after: str) -> Sequence[VendorBatch]:
        async with self._client.attempt(refused=of_tier) as headers:
            response = await self._client.sdk.batches.with_raw_response.list(
                limit=PAGE, after=after or openai.omit, extra_headers=headers
            )
        data = parsed(response.content).get("data")
        if not isinstance(data, list):
            raise not_an_answer("is no list of batches")
        return [_batch(one) for one in data]


def _batch(answer: Any) -> VendorBatch:
    """A batch object.

    Raises:
        VendorContract: VENDOR_ANSWER_INVALID.
    """
    status, batch_id = _word(answer, "status"), _word(answer, "id")
    created_at = answer.get("created_at")
    if not isinstance(created_at, int):
        raise not_an_answer("has a batch without its time")
    completed = _object(answer, "request_counts").get("completed")
    problems = _object(answer, "errors").get("data") or []
    files = {name: answer.get(f"{name}_file_id") or "" for name in ("input", "output", "error")}
    return VendorBatch(
        id=batch_id,
        # A state that is new to us is not an end.
        stage=_STAGES.get(status, Stage.RUNNING),
        status=status,
        created_at=created_at,
        metadata=_object(answer, "metadata"),
        untouched=status in _CUT_OFF and completed == 0 and not files["output"] and not files["error"],
        input_file=files["input"],
        output_file=files["output"],
        error_file=files["error"],
        code=next((plain_word(problem) for problem in problems), ""),
    )


def _object(answer: dict[str, Any], name: str) -> dict[str, Any]:
    found = answer.get(name)
    return found if isinstance(found, dict) else {}


def _word(answer: Any, name: str) -> str:
    word = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(word, str) or not word:
        raise not_an_answer(f"has no {name}")
    return word
