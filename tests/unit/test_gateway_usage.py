"""What an answer has cost, however its bytes are cut and whatever else stands in it; and which models may be asked."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.providers.claude import errors
from bot.config_tables import AgentConfig
from bot.gateway.caller import Rights
from bot.gateway.prices import KNOWN, Price, Prices
from bot.gateway.refusals import Refusal
from bot.gateway.request import (
    FAST_COSTS,
    MAX_DIGITS,
    MAX_MODELS,
    TOKENS_A_SECOND,
    check_body,
    models_of,
    passed_on,
)
from bot.gateway.spend import ENDS
from bot.gateway.usage import MAX_JSON_BYTES, MAX_LINE_BYTES, Meter, Usage

SSE = "text/event-stream; charset=utf-8"
TOKENS = st.integers(0, 10_000_000)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def event(kind: str, **data: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


def start(**usage: Any) -> bytes:
    return event("message_start", message={"usage": usage})


def delta(text: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def measured(*chunks: bytes, content_type: str = SSE, request_bytes: int = 4_000) -> Usage:
    meter = Meter(content_type, request_bytes=request_bytes)
    for chunk in chunks:
        meter.feed(chunk)
    return meter.finish()


@given(TOKENS, TOKENS, TOKENS, TOKENS, TOKENS, st.lists(st.integers(1, 60), max_size=30), st.text())
def test_a_stream_is_understood_however_it_is_cut(
    read: int, written: int, kept: int, hour: int, had: int, cuts: list[int], text: str
) -> None:
    usage = {
        "input_tokens": read,
        "output_tokens": 1,
        "cache_creation_input_tokens": kept + hour,
        "cache_creation": {"ephemeral_1h_input_tokens": hour},
        "cache_read_input_tokens": had,
    }
    stream = start(**usage) + delta(text) + event("ping") + b": note\r\n\xff\xfe\n"
    stream += event("message_delta", delta={}, usage={"output_tokens": written}) + event("message_stop")
    chunks = []
    for cut in cuts:
        chunks.append(stream[:cut])
        stream = stream[cut:]
    assert measured(*chunks, stream) == Usage(read, max(1, written), kept, hour, had)


@given(TOKENS, TOKENS)
def test_a_plain_answer_is_understood(read: int, written: int) -> None:
    body = {"type": "message", "usage": {"input_tokens": read, "output_tokens": written}}
    data = json.dumps(body, indent=1).encode()
    assert measured(data[:20], data[20:], content_type="application/json") == Usage(read, written)


@given(st.lists(st.binary(max_size=200), max_size=10), st.sampled_from([SSE, "application/json", "", "x"]))
def test_junk_costs_something_and_breaks_nothing(chunks: list[bytes], content_type: str) -> None:
    usage = measured(*chunks, content_type=content_type)
    assert usage.input_tokens >= 1_000


@given(JSON)
def test_a_usage_of_any_shape_is_no_less_than_nothing(found: Any) -> None:
    for shape in (found, {"input_tokens": found, "cache_creation": found, "iterations": found}):
        usage = Usage.parse(shape)
        assert (
            min(usage.input_tokens, usage.output_tokens, usage.cache_write_5m_tokens, usage.web_searches) >= 0
        )


def test_an_answer_that_was_cut_off_costs_what_was_seen_of_it() -> None:
    usage = measured(start(input_tokens=10, output_tokens=1), delta("x" * 3_000))
    assert usage.input_tokens == 10
    assert 900 <= usage.output_tokens <= 1_200
    # Whatever the model wrote about, only the server's own events say what it cost.
    said = delta(json.dumps({"type": "message_delta", "usage": {"output_tokens": 0}}))
    assert measured(start(input_tokens=10), said * 100).output_tokens >= 100


def test_what_cannot_be_read_costs_what_went_by() -> None:
    meter = Meter(SSE, request_bytes=4_000, readable=False)
    meter.feed(bytes(3_000))
    assert meter.finish() == Usage(1_000, 1_001)


def test_no_answer_fills_the_memory() -> None:
    meter = Meter(SSE, request_bytes=0)
    for _ in range(30):
        meter.feed(b"x" * (MAX_LINE_BYTES // 4))
    assert len(meter._rest) <= MAX_LINE_BYTES
    meter.feed(b"\n" + start(input_tokens=7) + event("message_delta", usage={"output_tokens": 5}))
    assert meter.finish() == Usage(7, 5)
    plain = Meter("application/json", request_bytes=0)
    for _ in range(20):
        plain.feed(bytes(MAX_JSON_BYTES // 4))
    assert len(plain._rest) <= 2 * MAX_JSON_BYTES


def test_rounds_of_the_server_are_added_up() -> None:
    rounds = [{"input_tokens": 100, "output_tokens": 5}, {"input_tokens": 200, "output_tokens": 6}]
    assert Usage.parse({"input_tokens": 200, "output_tokens": 6, "iterations": rounds}) == Usage(300, 11)


# ---------------------------------------------------------------- prices


def test_prices_are_found_by_the_longest_beginning() -> None:
    prices = Prices({"claude-sonnet": Price.of(7, 8), "house-": Price.of(1, 2)})
    assert prices.of("claude-sonnet-5") == Price.of(7, 8)
    assert prices.of("claude-opus-4-5") == KNOWN["claude-opus"]
    assert prices.of("claude-opus-4-1-20250805") == KNOWN["claude-opus-4-1"]
    assert prices.of("house-model") == Price.of(1, 2)
    unknown = prices.of("somebody-elses")
    assert all(unknown.output >= each.output and unknown.input >= each.input for each in KNOWN.values())


def test_a_sum_is_rounded_up() -> None:
    assert Price.of(3, 15).micros(Usage(1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000)) == 28_050_000
    assert Price.of(3, 15).micros(Usage(cache_read_tokens=1)) == 1
    assert Price.of(3, 15).micros(Usage(web_searches=2)) == 20_000


# ---------------------------------------------------------------- what may be asked


@pytest.mark.parametrize(
    ("named", "model", "fallback", "expected"),
    [
        (["x-*"], "claude-opus-5", None, ["x-*"]),
        ([], None, None, ["*"]),
        ([], "claude-opus-5", None, ["claude-opus-5", "claude-haiku-*"]),
        (
            [],
            "sonnet[1m]",
            "opusplan",
            ["claude-sonnet-*", "claude-opus-*", "claude-sonnet-*", "claude-haiku-*"],
        ),
    ],
)
def test_models_of_an_agent(
    named: list[str], model: str | None, fallback: str | None, expected: list[str]
) -> None:
    assert models_of(named, model=model, fallback=fallback) == expected


@given(st.dictionaries(st.text(min_size=1), JSON))
def test_any_body_is_taken_or_refused(body: dict[str, Any]) -> None:
    for shape in (
        body,
        {"model": "m", **body},
        {"model": "m", "messages": [body], "tools": [body], "system": [body]},
    ):
        try:
            check_body(json.dumps(shape).encode(), ["m"], server_tools=False)
        except Refusal as refusal:
            assert refusal.status in (400, 404)


def test_tools_of_the_client_are_no_way_out() -> None:
    tools = [{"name": "a"}, {"type": "custom"}, {"type": "bash_20250124"}, {"type": "memory_20250818"}]
    assert check_body(
        json.dumps({"model": "m", "tools": tools}).encode(), ["m"], server_tools=False
    ).models == ("m",)
    for tool in (
        {"type": "web_search_20260209"},
        {"type": "code_execution_20250825"},
        {"type": 5},
        "x",
        {"type": ""},
    ):
        with pytest.raises(Refusal):
            check_body(json.dumps({"model": "m", "tools": [tool]}).encode(), ["m"], server_tools=False)


def test_a_model_behind_the_model_has_to_be_allowed_too() -> None:
    schema = {"name": "a", "input_schema": {"properties": {"model": {"type": "string", "enum": ["x"]}}}}
    body: dict[str, Any] = {
        "model": "m",
        "messages": [{"role": "user", "content": [{"model": "x"}]}],
        "tools": [schema],
    }
    assert check_body(json.dumps(body).encode(), ["m"], server_tools=False).models == ("m",)
    for more in ({"fallbacks": [{"model": "x"}]}, {"tools": [{"type": "advisor_20260301", "model": "x"}]}):
        with pytest.raises(Refusal, match="The model x is not"):
            check_body(json.dumps({**body, **more}).encode(), ["m"], server_tools=False)
        assert check_body(json.dumps({**body, **more}).encode(), ["m", "x"], server_tools=False).models == (
            "m",
            "x",
        )


def test_what_nobody_has_read_is_guessed_by_its_time() -> None:
    streamed = check_body(b'{"model":"m","max_tokens":1000,"stream":true}', ["m"], server_tools=False)
    assert [streamed.unseen_tokens(seconds) for seconds in (0, 1, 60)] == [0, TOKENS_A_SECOND, 1000]
    whole = check_body(b'{"model":"m","max_tokens":1000}', ["m"], server_tools=False)
    assert whole.unseen_tokens(0) == 1000
    meter = Meter(SSE, request_bytes=0)
    meter.feed(start(input_tokens=1) + delta("x" * 3_000))
    assert meter.finish(5_000).output_tokens == 5_000
    assert meter.finish(10).output_tokens >= 1_000


def test_a_faster_mode_is_a_dearer_one() -> None:
    """An agent chooses it by itself, and would else have six times its budget."""
    found = [
        check_body(json.dumps({"model": "m", **more}).encode(), ["m"], server_tools=False).dearer
        for more in ({}, {"speed": None}, {"speed": "standard"}, {"speed": "fast"}, {"speed": ["fast"]})
    ]
    assert found == [1, 1, 1, FAST_COSTS, FAST_COSTS]


def test_a_body_names_few_models() -> None:
    """Each has a price, which is looked up while everybody waits."""
    named = [{"model": f"m{n}"} for n in range(MAX_MODELS)]
    assert len(check_body(body_of(named[1:]), ["m*"], server_tools=False).models) == MAX_MODELS
    assert check_body(body_of([{"model": "m0"}] * 1000), ["m*"], server_tools=False).models == ("m", "m0")
    with pytest.raises(Refusal, match="malformed"):
        check_body(body_of(named), ["m*"], server_tools=False)


def test_models_deep_down_are_found_as_fast_as_others() -> None:
    depth, number = 400, 30_000
    nested = b"[" * depth + b",".join([b'{"model":"m0"}'] * number) + b"]" * depth
    began = time.perf_counter()
    assert check_body(b'{"model":"m","x":%b}' % nested, ["m*"], server_tools=False).models == ("m", "m0")
    assert time.perf_counter() - began < 0.5


def test_a_number_of_thousands_of_digits_is_not_read() -> None:
    assert check_body(body_of(10 ** (MAX_DIGITS - 1)), ["m"], server_tools=False).models == ("m",)
    numbers = b'{"model":"m","more":[%b]}' % b",".join([b"9" * 4000] * 5000)
    began = time.perf_counter()
    with pytest.raises(Refusal, match="malformed"):
        check_body(numbers, ["m"], server_tools=False)
    assert time.perf_counter() - began < 0.3


def body_of(more: Any) -> bytes:
    """A body with something in it that no API knows."""
    return json.dumps({"model": "m", "more": more}).encode()


@pytest.mark.parametrize("body", [b'{"a":[' + b"{}," * 400_000 + b"{}]}", b"[" + b"1," * 2_500_000 + b"1]"])
def test_a_body_of_a_million_parts_is_not_even_read(body: bytes) -> None:
    began = time.perf_counter()
    with pytest.raises(Refusal, match="too many parts"):
        check_body(body, ["*"], server_tools=True)
    assert time.perf_counter() - began < 0.5


def test_of_the_clients_headers_only_harmless_ones_are_passed_on() -> None:
    sent = dict.fromkeys(("accept", "anthropic-version", "x-stainless-os", "x-api-key", "cookie", "via"), "v")
    assert passed_on({**sent, "anthropic-beta": "a\x00b"}).keys() == {
        "accept",
        "anthropic-version",
        "x-stainless-os",
    }


def test_only_a_server_that_an_operator_has_named_may_be_anywhere() -> None:
    assert not Rights.of(AgentConfig(), all_usd=None).trusted
    assert (
        Rights.of(AgentConfig(model_url="http://10.0.0.1/base/"), all_usd=None).url == "http://10.0.0.1/base"
    )
    assert Rights.of(AgentConfig(model_url="http://10.0.0.1"), all_usd=None).trusted


def test_the_runner_knows_the_sentence_about_a_budget() -> None:
    said = f"API Error: 402 The budget of today for this agent is used up ($1,000.00); {ENDS}."
    found = errors.of_failure(402, "billing_error", said)
    assert (
        found.message.startswith("(I stopped here: the budget of today") and found.classification == "budget"
    )
    assert found.message.endswith("UTC.)") and found.report is None
