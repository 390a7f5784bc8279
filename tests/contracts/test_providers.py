"""Every provider against the contract, what only the mock promises, and the table that opens them."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from agent import formatter, providers
from agent.protocol.messages import (
    Attachment,
    ChatIn,
    ContentIn,
    InKind,
    MessageIn,
    Note,
    Route,
    SystemIn,
    TaskIn,
    WebhookIn,
)
from agent.providers.base import (
    Activity,
    Delta,
    Error,
    Event,
    Init,
    Progress,
    Prompt,
    ProviderError,
    ProviderOptions,
    QueryInput,
    Result,
    Tool,
)
from agent.providers.mock import MockProvider, ScriptedFailure, UnknownContinuation
from tests.contracts.provider_contract import SECONDS, Make, ProviderContract, read, read_until, results
from tests.fakes.providers import FakeTool, ThirdPartyProvider


def scripted(*rules: dict[str, Any], tools: list[Tool] | None = None) -> MockProvider:
    return MockProvider(ProviderOptions(tools=tools or [], extra={"script": list(rules)}))


def steps(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"steps": list(steps)}


async def ask(provider: MockProvider, prompt: str | Prompt) -> list[Event]:
    opening = Prompt(prompt) if isinstance(prompt, str) else prompt
    query = provider.query(QueryInput(opening, None, Path("/")))
    query.end()
    return await read(query)


async def answer(provider: MockProvider, prompt: str | Prompt) -> str | None:
    (result,) = results(await ask(provider, prompt))
    return result.text


class TestMockProvider(ProviderContract):
    @pytest.fixture
    def answering(self) -> Make:
        return lambda: MockProvider(ProviderOptions())

    @pytest.fixture
    def endless(self) -> Make:
        silence = {
            "match": "^long$",
            "steps": [{"do": "delta", "text": "Well"}, {"do": "stall", "seconds": 3600}],
        }
        return lambda: scripted(silence)

    @pytest.fixture(params=["raise", "error"])
    def failing(self, request: pytest.FixtureRequest) -> Make:
        return lambda: scripted(steps({"do": request.param, "message": "no network"}))

    def same_conversation(self, first: str, second: str) -> bool:
        *conversation, turns = first.split("-")
        return second == "-".join([*conversation, str(int(turns) + 1)])


def batch(*contents: tuple[InKind, ContentIn]) -> Prompt:
    rows = [
        MessageIn(
            id=f"m{seq}",
            seq=seq,
            event_id=f"e{seq}",
            kind=kind,
            created_at=0,
            trigger=not (isinstance(content, ChatIn) and content.sender == "Bystander"),
            route=Route(channel="c", platform_id="p"),
            content=content,
        )
        for seq, (kind, content) in enumerate(contents, 1)
    ]
    return formatter.prompt(rows, files=Path)


async def test_the_echo_repeats_what_the_formatter_wrote() -> None:
    notes = Attachment(name="notes.txt", size=12, path="notes.txt")
    prompt = batch(
        ("chat", ChatIn(sender="Bystander", text="not for you")),
        ("chat", ChatIn(sender="Ada", text="a < b\n& {text}")),
        ("chat", ChatIn(sender="Ada", text="see", attachments=[notes])),
        ("chat", ChatIn(sender="Ada", text="", attachments=[notes])),
        ("task", TaskIn(prompt="water")),
        ("webhook", WebhookIn(source="ci", payload=[1])),
        ("system", SystemIn(system=Note(text="psst"))),
    )
    assert (await answer(MockProvider(ProviderOptions()), prompt) or "").split("\n") == [
        "You said: a < b",
        "& {text}",
        "You said: see",
        "I received notes.txt (12 bytes).",
        "I received notes.txt (12 bytes).",
        "The task is due: water",
        "ci sent: [1]",
        "I take note: psst",
    ]


async def test_the_echo_of_a_command() -> None:
    prompt = batch(("chat", ChatIn(sender="Ada", text="/compact <now>", native=True)))
    assert await answer(MockProvider(ProviderOptions()), prompt) == "I received the command /compact <now>"
    assert MockProvider(ProviderOptions()).supports_native_slash_commands is False


@pytest.mark.parametrize("text", ["plain", "<messages>", "<other/>", "<!DOCTYPE x>", "\ud800"])
async def test_the_echo_of_any_other_text(text: str) -> None:
    assert await answer(MockProvider(ProviderOptions()), text) == f"You said: {text}"


async def test_the_first_rule_that_fits_is_played() -> None:
    provider = scripted(
        {"match": "deploy (now|later)", "steps": [{"do": "result", "text": "deploying"}]},
        {"match": "deploy", "steps": [{"do": "result", "text": "when?"}]},
    )
    assert await answer(provider, "please deploy now") == "deploying"
    assert await answer(provider, "deploy") == "when?"
    assert await answer(provider, "hello") == "You said: hello"


async def test_a_match_looks_at_the_plain_text() -> None:
    provider = scripted({"match": "^a < b$", "steps": [{"do": "result", "text": "{text}!"}]})
    assert await answer(provider, batch(("chat", ChatIn(sender="Ada", text="a < b")))) == "a < b!"


async def test_every_step_comes_with_activity() -> None:
    events = await ask(
        scripted(
            steps(
                {"do": "progress", "message": "reading {text}"},
                {"do": "activity"},
                {"do": "delta", "text": "So: "},
                {"do": "stall", "seconds": 0},
                {"do": "delta", "text": "yes"},
            )
        ),
        "x",
    )
    assert [type(event) for event in events] == [
        Init,
        Activity,
        Progress,
        Activity,
        Activity,
        Delta,
        Activity,
        Activity,
        Delta,
        Activity,
        Result,
    ]
    assert Progress("reading x") in events
    assert results(events)[0].text == "So: yes"


async def test_a_result_may_have_no_text_and_only_the_first_uses_the_prompt_up() -> None:
    provider = scripted(steps({"do": "result", "text": None}, {"do": "result", "text": "more"}))
    assert [(each.text, each.answered) for each in results(await ask(provider, "x"))] == [
        (None, 1),
        ("more", 0),
    ]


async def test_a_tool_is_called_and_its_answer_used() -> None:
    tool = FakeTool(answer="{text} and {tool}")
    provider = scripted(
        steps(
            {"do": "tool", "name": "look_up", "arguments": {"what": "<{text}>", "limit": 3}},
            {"do": "result", "text": "{tool}; {text}"},
        ),
        tools=[tool],
    )
    assert await answer(provider, "x") == "{text} and {tool}; x"
    assert tool.calls == [{"what": "<x>", "limit": 3}]


async def test_a_tool_that_is_not_there_is_answered() -> None:
    provider = scripted(steps({"do": "tool", "name": "fly"}, {"do": "result", "text": "{tool}"}))
    assert await answer(provider, "x") == "There is no tool fly."


async def test_a_tool_that_breaks_breaks_the_query() -> None:
    tool = FakeTool(breaks=RuntimeError("disk full"))
    with pytest.raises(RuntimeError, match="disk full"):
        await ask(scripted(steps({"do": "tool", "name": "look_up"}), tools=[tool]), "x")


async def test_abort_before_the_answer_is_heard() -> None:
    query = scripted(steps({"do": "delta", "text": "all but"})).query(
        QueryInput(Prompt("x"), None, Path("/"))
    )
    await read_until(query, Delta)
    await query.abort()
    assert await read(query) == []


async def test_abort_cancels_a_tool() -> None:
    tool = FakeTool(answer=None)
    provider = scripted(steps({"do": "tool", "name": "look_up"}), tools=[tool])
    query = provider.query(QueryInput(Prompt("x"), None, Path("/")))
    reader = asyncio.create_task(read(query))
    async with asyncio.timeout(SECONDS):
        await tool.called.wait()
    await query.abort()
    assert results(await reader) == []
    assert tool.cancelled


async def test_an_error_takes_along_the_prompts_given_so_far() -> None:
    failing = {
        "match": "bad",
        "steps": [{"do": "error", "message": "busy", "retryable": True, "classification": "overloaded"}],
    }
    query = scripted(failing).query(QueryInput(Prompt("bad"), None, Path("/")))
    query.push(Prompt("with it"))
    events = await read_until(query, Error)
    assert events[-1] == Error("busy", retryable=True, classification="overloaded")
    query.push(Prompt("afterwards"))
    query.end()
    assert [each.text for each in results(await read(query))] == ["You said: afterwards"]


async def test_an_error_after_the_end_ends_the_events() -> None:
    events = await ask(scripted(steps({"do": "error", "message": "busy"})), "x")
    assert isinstance(events[-1], Error)


async def test_a_scripted_exception_ends_the_query() -> None:
    query = scripted(steps({"do": "raise", "message": "boom"})).query(
        QueryInput(Prompt("x"), None, Path("/"))
    )
    with pytest.raises(ScriptedFailure, match="boom"):
        await read(query)
    with pytest.raises(ProviderError):
        query.push(Prompt("too late"))


def test_an_invalid_session_can_be_scripted() -> None:
    provider = MockProvider(ProviderOptions())
    assert provider.is_session_invalid(Error("gone", classification="invalid_session"))
    assert not provider.is_session_invalid(Error("busy", classification="overloaded"))
    with pytest.raises(UnknownContinuation, match="'claude-1'"):
        provider.query(QueryInput(Prompt("x"), "claude-1", Path("/")))


async def test_print_writes_to_the_real_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    await ask(scripted(steps({"do": "print", "text": "noise: {text}"})), "x")
    assert capfd.readouterr().out == "noise: x\n"


PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from agent.providers.base import Prompt, ProviderOptions, QueryInput
from agent.providers.mock import MockProvider

async def main():
    options = ProviderOptions(extra={"script": [{"steps": [json.loads(sys.argv[1])]}]})
    async for _ in MockProvider(options).query(QueryInput(Prompt("x"), None, Path("/"))).events:
        pass

try:
    asyncio.run(main())
finally:
    print("cleaned up")
"""


@pytest.mark.parametrize(
    ("step", "code"), [('{"do": "crash", "code": 7}', 7), ('{"do": "kill"}', -signal.SIGKILL)]
)
async def test_a_process_dies_without_cleaning_up(step: str, code: int) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        step,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    async with asyncio.timeout(SECONDS):
        output, _ = await process.communicate()
    assert process.returncode == code
    assert output == b""


@pytest.mark.parametrize(
    ("extra", "hint"),
    [
        ({"script": [steps(), steps({"do": "dance"})]}, "rule 2 steps.0"),
        ({"script": [steps({"do": "delta"})]}, "rule 1 steps.0.delta.text: Field required"),
        ({"script": [{"match": "(", "steps": []}]}, "rule 1 match: "),
        ({"script": [{"steps": [], "when": "x"}]}, "rule 1 when: "),
        ({"script": "x"}, "script: "),
        ({"skript": []}, "skript: "),
    ],
)
def test_a_bad_script_is_refused_naming_the_rule(extra: dict[str, Any], hint: str) -> None:
    with pytest.raises(ProviderError) as caught:
        MockProvider(ProviderOptions(extra=extra))
    assert hint in str(caught.value)


@pytest.mark.parametrize(("chosen", "used"), [(None, "configured"), ("large", "large")])
async def test_the_model_of_a_query_goes_before_the_configured_one(chosen: str | None, used: str) -> None:
    provider = MockProvider(ProviderOptions(model="configured"))
    query = provider.query(QueryInput(Prompt("hello"), None, Path("/"), model=chosen))
    query.end()
    (result,) = results(await read(query))
    assert result.usage.model == used


def test_the_table_opens_the_mock() -> None:
    assert isinstance(providers.create("mock", ProviderOptions()), MockProvider)


def test_a_third_party_is_opened_by_its_address() -> None:
    options = ProviderOptions(model="m")
    provider = providers.create("tests.fakes.providers:ThirdPartyProvider", options)
    assert isinstance(provider, ThirdPartyProvider)
    assert provider.options is options


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gpt", "There is no provider 'gpt'; known: claude, mock, or package.module:Class."),
        ("", "There is no provider ''; known: claude, mock"),
        (".relative:Class", "There is no provider"),
        ("no.such.module:Class", "cannot be imported: No module named 'no'"),
        ("tests.fakes.providers:Missing", "tests.fakes.providers has no class Missing"),
        ("tests.fakes.providers:__doc__", "has no class __doc__"),
    ],
)
def test_a_provider_that_cannot_be_opened(name: str, text: str) -> None:
    with pytest.raises(ProviderError) as caught:
        providers.create(name, ProviderOptions())
    assert text in str(caught.value)
