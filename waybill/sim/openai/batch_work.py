"""What a batch's file asks for, and the lines that answer it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from waybill.sim.faults import Fault
from waybill.sim.ids import Ids
from waybill.sim.openai import catalogue, embeddings
from waybill.sim.openai.errors import Refused

MOST_REQUESTS = 50_000
MOST_BATCH_INPUTS = 50_000
MOST_BYTES = 200_000_000
ENDPOINT = "/v1/embeddings"


@dataclass(frozen=True)
class Problem:
    """Why a batch's file was refused, and on which line."""

    code: str
    message: str
    line: int | None = None

    def body(self) -> dict[str, Any]:
        """OpenAI's JSON."""
        return {"code": self.code, "line": self.line, "message": self.message, "param": None}


def read(content: bytes) -> tuple[list[dict[str, Any]], list[Problem]]:
    """The requests of a file, and what is wrong with it; a file with a problem is not worked on."""
    lines = [line for line in content.splitlines() if line.strip()]
    if len(content) > MOST_BYTES or len(lines) > MOST_REQUESTS:
        return [], [Problem("file_too_large", f"At most {MOST_REQUESTS:,} requests and 200 MB.")]
    if not lines:
        return [], [Problem("empty_file", "The input file is empty.")]
    requests: list[dict[str, Any]] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        try:
            request = json.loads(line)
        except ValueError:
            problems.append(Problem("invalid_json_line", "This line is not parseable as valid JSON.", number))
            continue
        if problem := _problem(request, number, seen):
            problems.append(problem)
        else:
            seen.add(request["custom_id"])
            requests.append(request)
    inputs = sum(_inputs(request["body"]) for request in requests)
    if inputs > MOST_BATCH_INPUTS:
        text = f"{inputs} embedding inputs; at most {MOST_BATCH_INPUTS:,} a batch."
        problems.append(Problem("too_many_inputs", text))
    return requests, problems


def _problem(request: Any, number: int, seen: set[str]) -> Problem | None:
    if not isinstance(request, dict) or not isinstance(request.get("custom_id"), str):
        return Problem("missing_required_parameter", "Missing required parameter: 'custom_id'.", number)
    if request["custom_id"] in seen:
        return Problem("duplicate_custom_id", f"custom_id {request['custom_id']} is used twice.", number)
    if request.get("method") != "POST":
        return Problem("invalid_method", "The method must be POST.", number)
    if request.get("url") != ENDPOINT:
        return Problem("mismatched_url", "The URL does not match the batch's endpoint.", number)
    if not isinstance(request.get("body"), dict):
        return Problem("missing_required_parameter", "Missing required parameter: 'body'.", number)
    return None


def _inputs(body: dict[str, Any]) -> int:
    given = body.get("input")
    return len(given) if isinstance(given, list) and not all(isinstance(one, int) for one in given) else 1


@dataclass
class Result:
    """A batch's work: lines of its two files, and the tokens to bill by model."""

    good: list[dict[str, Any]]
    bad: list[dict[str, Any]]
    tokens: Counter[str]

    def output(self, seed: int, damage: str) -> bytes:
        """The output file. OpenAI keeps no order, so neither is one kept here."""
        lines = list(self.good)
        random.Random(seed).shuffle(lines)  # noqa: S311 - the same order each time
        match damage:
            case "missing":
                lines.pop()
            case "twice":
                lines.append(lines[0])
            case "reversed":
                lines = self.good[::-1]
        return jsonl(lines)


def work(
    requests: Sequence[dict[str, Any]], done: int, fault: Fault | None, left_code: str, ids: Ids
) -> Result:
    """Answers the first `done` requests; the rest get an error line with `left_code`.

    Args:
        fault: With O32 every third request fails, with a server error; a wrong answer of the
            catalogue stands in each line.
    """
    partly = fault is not None and fault.name == "O32"
    result = Result([], [], Counter())
    for place, request in enumerate(requests):
        line = {
            "id": ids.new("batch_req_"),
            "custom_id": request["custom_id"],
            "response": None,
            "error": None,
        }
        if place >= done:
            error = {"code": left_code, "message": "This request was not executed before the batch ended."}
            result.bad.append({**line, "error": error})
            continue
        try:
            if partly and place % 3 == 2:
                raise Refused(500, "The server had an error while processing your request.", "server_error")
            status, body = 200, _answer(request["body"], fault, result.tokens)
        except Refused as refused:
            status, body = refused.reply.status, refused.body
        response = {"status_code": status, "request_id": ids.new("req_"), "body": body}
        (result.good if status == 200 else result.bad).append({**line, "response": response})
    return result


def _answer(body: dict[str, Any], fault: Fault | None, billed: Counter[str]) -> dict[str, Any]:
    query = embeddings.parse(body)
    counts = query.count()
    query.check(counts)
    billed[f"{query.model.name} batch"] += sum(counts)
    answer = embeddings.answer(query, sum(counts))
    catalogue.corrupt(fault, answer)
    return answer.body(query.base64)


def jsonl(lines: Sequence[dict[str, Any]]) -> bytes:
    """JSON lines."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)
