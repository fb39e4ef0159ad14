"""The parts that every simulator is built on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sim.raw import SMALL, connected
from tests.waiting import until
from waybill.sim.clock import Clock
from waybill.sim.faults import Fault, Faults
from waybill.sim.invoice import Invoice
from waybill.sim.keys import Keys
from waybill.sim.limits import Limits, RateLimiter
from waybill.sim.openai.api import duration
from waybill.sim.openai.simulator import OpenAISimulator
from waybill.sim.wire import Stored


def faults(texts: str, seed: int = 7) -> Faults:
    made = Faults(seed, {"O01": "embeddings", "O03": "embeddings"}, "embeddings", lambda: None)
    made.add(texts)
    return made


def names(made: Faults, calls: list[str], operation: str = "embeddings") -> list[str]:
    drawn = [made.draw(operation, call)[1] for call in calls]
    return [fault.name if fault else "" for fault in drawn]


def test_the_nth_request_is_broken_once() -> None:
    assert names(faults("O03:n=2"), ["a", "b", "c", "d"]) == ["", "O03", "", ""]


def test_a_fault_heals_after_its_times_or_by_name() -> None:
    made = faults("O03:times=2,429")
    assert names(made, ["a", "b", "c"]) == ["O03", "O03", "429"]
    made.heal("429")
    assert names(made, ["d"]) == [""]


def test_a_fault_can_name_a_logical_call_and_its_attempt() -> None:
    made = faults("O03:call=ab:attempt=2")
    assert names(made, ["ab1", "cd", "ab1", "cd", "ab1"]) == ["", "", "O03", "", ""]


def test_a_seed_breaks_the_same_calls_in_whatever_order_they_come() -> None:
    calls = [str(number) for number in range(2000)]
    forward = dict(zip(calls, names(faults("429:0.1"), calls), strict=True))
    backward = dict(zip(calls[::-1], names(faults("429:0.1"), calls[::-1]), strict=True))
    other_seed = dict(zip(calls, names(faults("429:0.1", seed=8), calls), strict=True))
    assert forward == backward != other_seed
    assert 150 < sum(bool(name) for name in forward.values()) < 250


def test_a_status_leaves_other_operations_alone_unless_told() -> None:
    assert names(faults("429"), ["a"], "models.get") == [""]
    assert names(faults("429:op=models"), ["a"], "models.get") == ["429"]
    assert names(faults("429:op=*"), ["a"], "files.get") == ["429"]


@pytest.mark.parametrize("text", ["O99", "200", "O03:n=x", "O03:0.1x", "O03:when=later", ""])
def test_a_fault_that_cannot_be_read_arms_nothing(text: str) -> None:
    made = faults("O03")
    with pytest.raises(ValueError, match=r"."):
        made.add(f"429,{text}")
    assert made.texts() == ["O03"]


def test_a_fault_without_a_trigger_stands() -> None:
    assert Fault.parse("O07/120").standing
    assert not Fault.parse("O07/120:times=1").standing


def test_a_clock_that_stands_moves_by_what_is_added() -> None:
    clock = Clock(100)
    clock.advance(5)
    assert clock.now() == 105
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)


async def test_timers_come_in_the_order_of_their_times_and_find_the_clock_there() -> None:
    clock, came = Clock(100), list[tuple[str, float]]()

    def later() -> None:
        came.append(("later", clock.now()))
        clock.at(clock.now() + 1, lambda: came.append(("of later", clock.now())))

    clock.at(109, lambda: came.append(("last", clock.now())))
    clock.at(105, later)
    clock.at(105, lambda: came.append(("beside", clock.now())))
    clock.at(104, lambda: came.append(("never", clock.now()))).cancel()
    clock.at(111, lambda: came.append(("too late", clock.now())))
    clock.advance(10)
    assert came == [("later", 105), ("beside", 105), ("of later", 106), ("last", 109)]
    assert clock.now() == 110


async def test_a_timer_whose_time_has_passed_comes_by_itself_and_so_does_one_in_real_time() -> None:
    standing, real, came = Clock(100), Clock(), list[str]()
    standing.at(99, lambda: came.append("passed"))
    real.at(real.now() + 3600, lambda: came.append("in an hour"))
    real.at(real.now() + 0.02, lambda: came.append("soon"))
    assert came == []
    await until(lambda: len(came) == 2)
    real.advance(3600)
    real.at(real.now() + 0.02, lambda: came.append("never"))
    real.stop()
    assert came == ["passed", "soon", "in an hour"]


def test_a_bucket_refills_continuously_and_says_how_long_to_wait() -> None:
    clock = Clock(0)
    limiter = RateLimiter(Limits(requests_per_minute=600, tokens_per_minute=6000), clock)
    assert limiter.admit("a", 5000) is None
    refusal = limiter.admit("a", 2000)
    assert refusal is not None
    assert (refusal.kind, refusal.left, refusal.wait_seconds) == ("tokens", 1000, 10)
    clock.advance(10)
    assert limiter.admit("a", 2000) is None
    assert limiter.levels("a")["tokens"].full_in_seconds == 60


def test_a_refused_request_uses_up_requests_and_another_subject_has_its_own() -> None:
    limiter = RateLimiter(Limits(requests_per_minute=2, tokens_per_minute=10), Clock(0))
    assert [limiter.admit("a", tokens) is None for tokens in (5, 9, 5)] == [True, False, False]
    assert limiter.levels("a")["requests"].left == 0
    assert limiter.admit("b", 5) is None


def test_no_wait_is_promised_to_a_request_above_the_limit() -> None:
    refusal = RateLimiter(Limits(tokens_per_minute=10), Clock(0)).admit("a", 11)
    assert refusal is not None
    assert refusal.wait_seconds is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0ms"), (0.012, "12ms"), (1, "1s"), (1.5, "1.5s"), (360, "6m0s"), (61, "1m1s")]
)
def test_resets_are_written_as_openai_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_an_invoice_adds_whole_nano_dollars() -> None:
    invoice = Invoice({"small": 20, "large": 130})
    assert invoice.charge(0, "r1", "small", 3) == 60
    invoice.charge(0, "r2", "large", 2)
    assert (invoice.total_nano_usd, invoice.quantities()) == (320, {"small": 3, "large": 2})


def test_a_key_file_shuts_out_every_other_key(tmp_path: Path) -> None:
    own = "organization=org-1 project=proj-1 tokens_per_minute=9"
    (tmp_path / "keys").write_text(f"# ours\nsk-one {own}\n\nsk-two\n")
    keys = Keys("sk-", tmp_path / "keys")
    one = keys.find("sk-one")
    assert one is not None
    assert (one.organization, one.project, one.limits) == ("org-1", "proj-1", Limits(tokens_per_minute=9))
    assert keys.find("sk-two")
    assert not keys.find("sk-three")


def test_a_revoked_key_is_bad_until_it_is_added_again() -> None:
    keys = Keys("sk-")
    keys.revoke("sk-one")
    assert not keys.find("sk-one")
    keys.add("sk-one")
    assert keys.find("sk-one")
    assert not keys.find("pk-one")


async def test_a_reply_to_head_has_the_headers_of_get_and_no_body(sim: OpenAISimulator) -> None:
    async with connected(sim.base_url) as line:
        await line.send("HEAD", "/v1/models")
        head = await line.head()
        await line.send("GET", "/v1/models")
        got = await line.receive()
    assert (head.status, got.status) == (200, 200)
    assert head.headers["content-length"] == str(len(got.body))


async def test_an_encoded_path_names_the_same_thing(sim: OpenAISimulator) -> None:
    async with connected(sim.base_url) as line:
        await line.send("GET", "/v1/%6Dodels/" + SMALL.replace("-", "%2D"))
        assert (await line.receive()).status == 200
        await line.send("GET", "/v1/models%2F" + SMALL)
        assert (await line.receive()).status == 404


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("content-length", "1_0", 400),
        ("content-length", "+10", 400),
        ("transfer-encoding", "gzip, chunked", 501),
    ],
)
async def test_a_body_whose_end_cannot_be_told_is_refused_and_the_connection_ends(
    sim: OpenAISimulator, field: str, value: str, status: int
) -> None:
    head = f"POST /v1/embeddings HTTP/1.1\r\nhost: here\r\n{field}: {value}\r\n\r\n"
    async with connected(sim.base_url) as line:
        line.writer.write(head.encode() + b"0123456789")
        assert (await line.receive()).status == status
        assert await line.reader.read() == b""
    assert not sim.journal


def test_a_span_of_a_file_is_cut_as_bytes_are(tmp_path: Path) -> None:
    path, content = tmp_path / "content", bytes(range(100))
    path.write_bytes(content)
    whole = Stored(path, 0, 100)
    for span in (slice(10, 20), slice(None, 50), slice(90, 900), slice(-5, None), slice(50, 40)):
        assert bytes(whole[span]) == content[span]
        assert bytes(whole[20:80][span]) == content[20:80][span]
    assert [len(piece) for piece in whole.pieces(64)] == [64, 36]
