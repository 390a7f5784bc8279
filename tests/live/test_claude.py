"""The Claude provider with the real CLI: what is asked of the model's API, and what comes of its answers."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from agent.protocol.messages import Attachment
from agent.providers.base import (
    Activity,
    Delta,
    Error,
    Event,
    Init,
    Limits,
    Progress,
    Prompt,
    ProviderOptions,
    QueryInput,
    Result,
    SystemContext,
    ToolBegun,
    ToolEnded,
    Waiting,
)
from agent.providers.claude import ClaudeProvider
from agent.providers.claude.errors import BAD_KEY, NO_CLI, NO_KEY, UnknownConversation
from tests.contracts.provider_contract import read, read_until, results, written
from tests.contracts.test_claude_provider import GONE, KEY, options
from tests.fakes.messages_api import Break, Call, MessagesApi, Refuse, Rule, Say, Stall

pytestmark = pytest.mark.claude

PNG: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@dataclass
class Offered:
    """A tool of the host's, with a schema."""

    name: str
    parameters: dict[str, Any]
    answer: str
    calls: list[dict[str, Any]] = field(default_factory=list)
    description: str = "For a test."

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        self.calls.append(dict(arguments))
        return self.answer


@dataclass
class Bench:
    """A provider on a workspace of its own, and the API that it talks to."""

    root: Path
    api: MessagesApi
    made: list[ClaudeProvider] = field(default_factory=list)

    @property
    def work(self) -> Path:
        work = self.root / "work"
        work.mkdir(exist_ok=True)
        return work

    def provider(self, **more: Any) -> ClaudeProvider:
        base = options(self.api, self.root / "home", archive=self.work / "conversations")
        fields = {name: getattr(base, name) for name in base.__dataclass_fields__}
        env = {**base.env, **more.pop("env", {})}
        self.made.append(ClaudeProvider(ProviderOptions(**{**fields, **more, "env": env})))
        return self.made[-1]

    def opening(self, prompt: str | Prompt, continuation: str | None = None, **more: Any) -> QueryInput:
        given = Prompt(prompt) if isinstance(prompt, str) else prompt
        return QueryInput(given, continuation, self.work, **more)

    async def ask(
        self, provider: ClaudeProvider, prompt: str | Prompt, continuation: str | None = None, **more: Any
    ) -> list[Event]:
        query = provider.query(self.opening(prompt, continuation, **more))
        query.end()
        return await read(query)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with MessagesApi() as api:
        bench = Bench(tmp_path, api)
        yield bench
        for provider in bench.made:
            await provider.aclose()


def kinds(events: Sequence[Event]) -> set[type[Event]]:
    return {type(event) for event in events}


def answer(events: Sequence[Event]) -> str | None:
    (result,) = results(list(events))
    return result.text


def failure(events: Sequence[Event]) -> Error:
    (error,) = [event for event in events if isinstance(event, Error)]
    return error


def continuation(events: Sequence[Event]) -> str:
    return next(event.continuation for event in events if isinstance(event, Init))


# ---------------------------------------------------------------- one client, many turns


async def test_a_warm_turn_starts_no_process(bench: Bench) -> None:
    provider = bench.provider()
    first = await bench.ask(provider, "hello")
    pids = children()
    second = await bench.ask(provider, "again", continuation(first))
    assert (answer(second), children()) == ("You said: again", pids)
    assert len(pids) == 1
    await provider.aclose()
    assert not children()


async def test_the_memory_goes_on_with_another_client(bench: Bench) -> None:
    token = continuation(await bench.ask(bench.provider(), "the word is plum"))
    events = await bench.ask(bench.provider(), "which word?", token)
    assert continuation(events) == token
    assert "plum" in json.dumps(bench.api.asked("which word?")[0].body["messages"])


async def test_a_continuation_without_a_transcript_is_an_invalid_session(bench: Bench) -> None:
    provider = bench.provider()
    with pytest.raises(UnknownConversation) as raised:
        await bench.ask(provider, "hello", GONE)
    assert provider.is_session_invalid(raised.value)
    assert answer(await bench.ask(provider, "hello")) == "You said: hello"


async def test_usage_is_that_of_the_turn(bench: Bench) -> None:
    provider = bench.provider()
    first = await bench.ask(provider, "hello")
    second = await bench.ask(provider, "again", continuation(first))
    one, two = (results(events)[0].usage for events in (first, second))
    counted = (one.input_tokens, one.output_tokens, one.cache_read_tokens, one.cache_write_tokens)
    assert counted == (11, 7, 3, 5) and one.model == "claude-sonnet-5" and one.duration_ms > 0
    assert one.cost_usd is not None and one.cost_usd > 0
    assert two.cost_usd == pytest.approx(one.cost_usd)


async def test_what_it_is_told_about_itself_reaches_the_model(bench: Bench) -> None:
    provider = bench.provider(effort="low", fallback_model="claude-haiku-4-5")
    events = await bench.ask(provider, "hello", system_context=SystemContext("You are Nestor."))
    (seen,) = bench.api.asked("hello")
    assert "You are Nestor." in seen.system and seen.body["model"] == "claude-sonnet-5"
    assert seen.headers.get("x-api-key", seen.headers.get("X-Api-Key")) == KEY
    other = await bench.ask(provider, "more", continuation(events), model="claude-opus-4-5")
    assert answer(other) == "You said: more"
    assert bench.api.asked("more")[0].body["model"] == "claude-opus-4-5"


async def test_instructions_may_be_longer_than_an_argument(bench: Bench) -> None:
    told = SystemContext("x " * 100_000 + "and be brief")
    assert answer(await bench.ask(bench.provider(), "hello", system_context=told)) == "You said: hello"
    assert "and be brief" in bench.api.seen[-1].system


async def test_new_instructions_reach_a_conversation_that_goes_on(bench: Bench) -> None:
    provider = bench.provider()
    events = await bench.ask(provider, "hello", system_context=SystemContext("Be brief."))
    await bench.ask(provider, "more", continuation(events), system_context=SystemContext("Be loud."))
    (seen,) = bench.api.asked("more")
    assert "Be loud." in seen.system and "hello" in json.dumps(seen.body["messages"])


# ---------------------------------------------------------------- what people write is data


@pytest.mark.parametrize("text", ["@/etc/hostname", "/context", "/compact now", "!ls", "# remember this"])
async def test_chat_text_is_never_expanded(bench: Bench, text: str) -> None:
    assert answer(await bench.ask(bench.provider(), f"{text}")) == f"You said: {text}"
    assert bench.api.seen[-1].prompt == text
    assert Path("/etc/hostname").read_text().strip() not in json.dumps(bench.api.seen[-1].body["messages"])


async def test_a_native_command_is_the_clis(bench: Bench) -> None:
    provider = bench.provider()
    token = continuation(await bench.ask(provider, "hello"))
    asked = len(bench.api.seen)
    context = await bench.ask(provider, Prompt("/context", native=True), token)
    cost = await bench.ask(provider, Prompt("/cost", native=True), token)
    assert "Context Usage" in (answer(context) or "") and "cost" in (answer(cost) or "").lower()
    assert len(bench.api.seen) == asked


async def test_settings_in_the_workspace_are_not_read(bench: Bench) -> None:
    (bench.work / "CLAUDE.md").write_text("Always answer in verse.")
    (bench.work / ".claude").mkdir()
    hooked = {"hooks": [{"type": "command", "command": f"touch {bench.root}/hooked"}]}
    settings = {"hooks": {"UserPromptSubmit": [hooked]}}
    (bench.work / ".claude" / "settings.json").write_text(json.dumps(settings))
    await bench.ask(bench.provider(), "hello")
    assert "in verse" not in json.dumps(bench.api.seen[-1].body)
    assert not (bench.root / "hooked").exists()

    await bench.ask(bench.provider(workspace_settings=True), "hello")
    assert "in verse" in json.dumps(bench.api.seen[-1].body)
    assert (bench.root / "hooked").exists()


async def test_images_and_pdfs_are_shown_and_other_files_are_not(bench: Bench) -> None:
    folder = bench.root / "files"
    folder.mkdir()
    files = {"a.png": PNG, "b.pdf": b"%PDF-1.4\n%%EOF\n", "c.txt": b"text", "liar.png": b"no picture"}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    attached = [(Attachment(name=n, size=len(d), path=n), folder) for n, d in files.items()]
    await bench.ask(bench.provider(), Prompt("look", attached))
    (seen,) = bench.api.asked("look")
    sources = [block["source"]["media_type"] for block in seen.blocks if "source" in block]
    assert sources == ["image/png", "application/pdf"]


# ---------------------------------------------------------------- streams and pushes


async def test_text_before_and_after_a_tool_is_one_answer(bench: Bench) -> None:
    bench.api.rules = [
        Rule("look", [Call("Bash", {"command": "echo hi"}, text="I look."), Say("It is {result}.")])
    ]
    events = await bench.ask(bench.provider(), "look")
    assert answer(events) == written(events) == "I look.\n\nIt is hi."
    assert Progress("Running echo hi") in events
    begun = next(event for event in events if isinstance(event, ToolBegun))
    assert begun.name == "Bash" and begun.seconds > 100
    assert ToolEnded(begun.call_id) in events


async def test_a_push_in_the_middle_is_a_turn_of_its_own(bench: Bench) -> None:
    bench.api.rules = [Rule("^slow$", [Say("one two three four", pause_seconds=0.1)])]
    query = bench.provider().query(bench.opening("slow"))
    before = await read_until(query, Delta)
    query.push(Prompt("second"))
    query.end()
    found = results(before + await read(query))
    assert [(each.text, each.answered) for each in found] == [
        ("one two three four", 1),
        ("You said: second", 1),
    ]


async def test_a_push_while_a_tool_works_is_answered_with_it(bench: Bench) -> None:
    bench.api.rules = [
        Rule("^work$", [Call("Bash", {"command": "sleep 0.7"}), Say("done")]),
    ]
    query = bench.provider().query(bench.opening("work"))
    await read_until(query, ToolBegun)
    query.push(Prompt("hurry"))
    query.end()
    found = results(await read(query))
    assert sum(each.answered or 0 for each in found) == 2
    assert "hurry" in json.dumps(bench.api.seen[-1].body["messages"])


async def test_an_interrupt_leaves_the_client_usable(bench: Bench) -> None:
    bench.api.rules = [Rule("^slow$", [Say("word " * 100, pause_seconds=0.1)])]
    provider = bench.provider()
    query = provider.query(bench.opening("slow"))
    seen = await read_until(query, Delta)
    pids = children()
    await query.abort()
    assert results(await read(query)) == []
    assert answer(await bench.ask(provider, "hello", continuation(seen))) == "You said: hello"
    assert children() == pids


async def test_a_broken_stream_is_asked_again(bench: Bench) -> None:
    # Where enough of it has arrived the CLI asks for the rest, and else for all of it; nobody can tell beforehand.
    bench.api.rules = [Rule("^broken$", [Break(times=1), Say("whole")]), Rule("", [Say("whole")])]
    events = await bench.ask(bench.provider(env={"CLAUDE_CODE_MAX_RETRIES": "2"}), "broken")
    assert (answer(events) or "").endswith("whole") and len(bench.api.seen) == 2


async def test_a_long_answer_and_an_empty_one(bench: Bench) -> None:
    bench.api.rules = [Rule("^long$", [Say("x" * 100_000)]), Rule("^empty$", [Say("")])]
    provider = bench.provider()
    events = await bench.ask(provider, "long")
    assert len(answer(events) or "") == 100_000
    assert answer(await bench.ask(provider, "empty", continuation(events))) == ""


# ---------------------------------------------------------------- tools


async def test_our_tools_are_offered_and_called(bench: Bench) -> None:
    bench.api.rules = [
        Rule("note", [Call("mcp__roost__note", {"text": "milk"}), Say("{result}")]),
    ]
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    tool = Offered("note", schema, "noted")
    events = await bench.ask(bench.provider(tools=[tool]), "note milk")
    assert (answer(events), tool.calls) == ("noted", [{"text": "milk"}])
    assert "mcp__roost__note" in bench.api.seen[0].tools


async def test_wrong_arguments_are_answered_and_not_fatal(bench: Bench) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    bench.api.rules = [Rule("count", [Call("mcp__roost__count", {"n": "many"}), Say("it said: {result}")])]
    events = await bench.ask(bench.provider(tools=[Offered("count", schema, "fine")]), "count")
    assert "not of type 'integer'" in (answer(events) or "")


async def test_a_huge_result_of_a_tool_does_not_break_the_line(bench: Bench) -> None:
    bench.api.rules = [Rule("huge", [Call("mcp__roost__huge", {}), Say("survived")])]
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    events = await bench.ask(bench.provider(tools=[Offered("huge", schema, "x" * 10_000_000)]), "huge")
    assert answer(events) == "survived"


async def test_tools_that_are_not_allowed_are_not_offered(bench: Bench) -> None:
    await bench.ask(bench.provider(disallowed_tools=["WebSearch"]), "one")
    await bench.ask(bench.provider(allowed_tools=["Read"]), "two")
    offered = [bench.api.asked(word)[0].tools for word in ("one", "two")]
    assert "WebSearch" not in offered[0] and "Bash" in offered[0] and "AskUserQuestion" not in offered[0]
    assert offered[1] == ["Read"]


async def test_a_helper_is_told_of_and_its_words_are_not_the_answer(bench: Bench) -> None:
    helper = {"description": "Look it up", "prompt": "the subtask", "subagent_type": "general-purpose"}
    bench.api.rules = [Rule("^delegate$", [Call("Agent", helper), Say("It said: {result}")])]
    events = await bench.ask(bench.provider(), "delegate")
    assert Progress("A helper works on Look it up") in events
    assert written(events) == answer(events)
    assert (answer(events) or "").startswith("It said: ") and bench.api.asked("the subtask")


async def test_a_server_of_the_agents_own_is_used(bench: Bench) -> None:
    program = Path(__file__).parents[1] / "fakes" / "programs" / "mcp_echo.py"
    server = {"type": "stdio", "command": sys.executable, "args": [str(program)]}
    bench.api.rules = [Rule("^say", [Call("mcp__mine__echo", {"text": "hoo"}), Say("{result}")])]
    events = await bench.ask(bench.provider(mcp_servers={"mine": server}), "say")
    assert answer(events) == "echo: hoo"
    assert Progress("Using echo of mine") in events


# ---------------------------------------------------------------- memory


async def test_compaction_archives_first_and_keeps_the_rules(bench: Bench) -> None:
    provider = bench.provider()
    first = await bench.ask(
        provider, '<messages><message id="2" from="Ada">Plums, please</message></messages>'
    )
    events = await bench.ask(provider, Prompt("/compact", native=True), continuation(first))
    assert answer(events)
    (kept,) = (bench.work / "conversations").iterdir()
    assert kept.name.endswith("-plums-please.md")
    assert "**Ada**: Plums, please" in kept.read_text() and "**Assistant**: You said" in kept.read_text()
    assert "<internal> is shown to nobody" in json.dumps(bench.api.seen[-1].body["messages"])
    assert answer(await bench.ask(provider, "and now?", continuation(first))) == "You said: and now?"


# ---------------------------------------------------------------- limits


async def test_a_turn_has_so_many_steps_and_no_more(bench: Bench) -> None:
    bench.api.rules = [Rule("^loop$", [Call("Bash", {"command": "true"}, text="again")])]
    error = failure(await bench.ask(bench.provider(limits=Limits(max_turns=2)), "loop"))
    assert error.classification == "budget" and error.message.startswith("again") and not error.retryable


async def test_a_turn_has_a_budget_and_the_next_one_has_it_again(bench: Bench) -> None:
    bench.api.rules = [Rule("^loop$", [Call("Bash", {"command": "true"})])]
    provider = bench.provider(limits=Limits(max_budget_usd=0.00025))
    events = await bench.ask(provider, "loop")
    assert failure(events).classification == "budget"
    token = continuation(events)
    for text in ("one", "two", "three", "four"):
        assert answer(await bench.ask(provider, text, token)) == f"You said: {text}"


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("refusal", "classification", "retryable"),
    [
        (Refuse(429, "rate_limit_error"), "quota", True),
        (Refuse(529, "overloaded_error"), "overloaded", True),
        (Refuse(500, "api_error"), "overloaded", True),
        (Refuse(400, "invalid_request_error", "messages: too odd"), "unknown", False),
    ],
)
async def test_what_the_api_refuses_is_told_apart(
    bench: Bench, refusal: Refuse, classification: str, retryable: bool
) -> None:
    bench.api.rules = [Rule("^try$", [refusal])]
    provider = bench.provider()
    error = failure(await bench.ask(provider, "try"))
    assert (error.classification, error.retryable, error.report) == (classification, retryable, None)
    bench.api.rules = []
    assert answer(await bench.ask(provider, "hello")) == "You said: hello"


async def test_a_key_that_is_not_accepted_is_an_admins_business(bench: Bench) -> None:
    bench.api.keys = ["another"]
    error = failure(await bench.ask(bench.provider(env={"CLAUDE_CODE_MAX_RETRIES": "10"}), "hello"))
    assert (error.message, error.classification, error.retryable) == (BAD_KEY, "auth", False)
    assert error.report and "Traceback" not in error.message
    assert len(bench.api.seen) == 1


async def test_a_missing_key_is_told_without_asking(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    error = failure(await bench.ask(bench.provider(env={"ANTHROPIC_API_KEY": ""}), "hello"))
    assert (error.message, error.classification) == (NO_KEY, "auth") and error.report
    assert not bench.api.seen


async def test_it_waits_as_it_is_told(bench: Bench) -> None:
    bench.api.rules = [Rule("^busy$", [Refuse(429, "rate_limit_error", retry_after=1, times=1), Say("now")])]
    events = await bench.ask(bench.provider(env={"CLAUDE_CODE_MAX_RETRIES": "3"}), "busy")
    (waiting,) = [event for event in events if isinstance(event, Waiting)]
    assert 0.9 < waiting.seconds < 3 and "quota" in waiting.reason
    assert answer(events) == "now"


async def test_nobody_at_the_other_end(bench: Bench) -> None:
    provider = bench.provider(model_url="http://127.0.0.1:9")
    error = failure(await bench.ask(provider, "hello"))
    assert (error.classification, error.retryable) == ("network", True)


async def test_no_cli(bench: Bench) -> None:
    error = failure(await bench.ask(bench.provider(extra={"cli_path": "/nonexistent/claude"}), "hello"))
    assert error.message == NO_CLI and error.report


@pytest.mark.parametrize("script", ["exit 3", "echo garbage; echo more; exit 1", "echo oops >&2; kill -9 $$"])
async def test_a_cli_that_dies(bench: Bench, script: str) -> None:
    error = failure(await bench.ask(bench.provider(extra={"cli_path": program(bench, script)}), "hello"))
    assert error.retryable and "unexpectedly" in error.message


async def test_a_cli_that_hangs_at_its_start(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.providers.claude.client.START_SECONDS", 0.5)
    path = program(bench, "exec sleep 100")
    error = failure(await bench.ask(bench.provider(extra={"cli_path": path}), "hello"))
    assert error.retryable and "in time" in error.message
    assert not children()


async def test_a_cli_that_is_killed_in_a_turn(bench: Bench) -> None:
    bench.api.rules = [Rule("^long$", [Stall(60)])]
    provider = bench.provider()
    token = continuation(await bench.ask(provider, "first"))
    query = provider.query(bench.opening("long", token))
    await read_until(query, Delta)
    for pid in children():
        os.kill(pid, 9)
    assert failure(await read(query)).retryable
    assert answer(await bench.ask(provider, "hello", token)) == "You said: hello"
    assert "first" in json.dumps(bench.api.seen[-1].body["messages"])


async def test_signs_of_life_come_with_everything(bench: Bench) -> None:
    events = await bench.ask(bench.provider(), "hello there")
    assert sum(isinstance(event, Activity) for event in events) > 5
    assert Result in kinds(events)


def children() -> set[int]:
    """The processes of the CLI that this process has started."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return {int(pid) for pid in file.read().split()}


def program(bench: Bench, script: str) -> str:
    path = bench.root / "claude"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)
