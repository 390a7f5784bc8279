"""From a provider's options to those of the SDK: what the Claude CLI is started with, and what it is kept from."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from claude_agent_sdk import ClaudeAgentOptions, HookMatcher, SdkMcpTool, create_sdk_mcp_server
from claude_agent_sdk.types import HookEvent, SystemPromptPreset

from agent.providers.base import ProviderOptions, Tool

SERVER: Final = "roost"
"""The name of the MCP server that offers our tools: the model knows send_message as mcp__roost__send_message."""
KEYS: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
"""The variables in which the CLI looks for a key; one of them has to be there."""
MAX_LINE_BYTES: Final = 64 * 1024 * 1024
"""One message of the CLI is one line, and a tool's result may be long."""

_QUIET: Final[Mapping[str, str]] = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_AUTOUPDATER": "1",
    # Otherwise the model does not see our tools before it has searched for them.
    "ENABLE_TOOL_SEARCH": "false",
    # A question may wait for a person for an hour; its own deadline is ours.
    "MCP_TOOL_TIMEOUT": "4000000",
}
_OURS_INSTEAD: Final = (
    "AskUserQuestion",
    "CronCreate",
    "CronDelete",
    "CronList",
    "EnterPlanMode",
    "EnterWorktree",
    "ExitPlanMode",
    "ExitWorktree",
    "ListAgents",
    "Monitor",
    "PushNotification",
    "RemoteTrigger",
    "ReportFindings",
    "ScheduleWakeup",
    "SendMessage",
    "Workflow",
)
"""Tools of the CLI that speak to its own interface, where nobody sits, or do what our tools do for people."""
_NO_ATTRIBUTION: Final = json.dumps({"attribution": {"commit": "", "pr": ""}})


def sdk_options(
    options: ProviderOptions,
    *,
    cwd: Path,
    instructions: str | None,
    model: str | None,
    resume: str | None,
    hooks: dict[HookEvent, list[HookMatcher]],
    stderr: Callable[[str], None],
) -> ClaudeAgentOptions:
    """What a client is made with."""
    # What an agent is told may change in the middle of a conversation; a snapshot would keep the old words.
    prompt = SystemPromptPreset(type="preset", preset="claude_code", snapshot=False)
    told: dict[str, str | None] = {}
    if instructions:
        # One argument of a program has to be shorter than 128 KiB, and anybody may see it.
        told["append-system-prompt-file"] = str(_file(options.home or cwd, instructions))
    return ClaudeAgentOptions(
        system_prompt=prompt,
        cwd=cwd,
        model=model or options.model,
        fallback_model=options.fallback_model,
        effort=options.effort,  # type: ignore[arg-type]  # the CLI says which ones it knows
        max_turns=options.limits.max_turns,
        max_budget_usd=options.limits.max_budget_usd,
        tools=list(options.allowed_tools) or None,
        disallowed_tools=[*_OURS_INSTEAD, *_skills(options), *options.disallowed_tools],
        add_dirs=list(options.additional_directories),
        mcp_servers={**options.mcp_servers, SERVER: create_sdk_mcp_server(SERVER, tools=_tools(options))},
        strict_mcp_config=not options.workspace_settings,
        setting_sources=["project", "local"] if options.workspace_settings else [],
        skills=[] if _skills(options) else None,
        settings=_NO_ATTRIBUTION,
        # The container is what an agent may not get out of; nobody sits there to be asked.
        permission_mode="bypassPermissions",
        include_partial_messages=True,
        max_buffer_size=MAX_LINE_BYTES,
        resume=resume,
        hooks=hooks,
        stderr=stderr,
        env=_environment(options),
        cli_path=options.extra.get("cli_path"),
        extra_args=told,
    )


def _file(home: Path, instructions: str) -> Path:
    """Where they lie for the CLI; a file of an earlier client is replaced whole."""
    folder = home / ".roost"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "instructions.md"
    fresh = folder / f"instructions-{uuid.uuid4().hex}"
    fresh.write_text(instructions, encoding="utf-8")
    fresh.replace(path)
    return path


def has_key(options: ProviderOptions) -> bool:
    """Whether there is anything to show to the model's server."""
    return any(options.env.get(name) or os.environ.get(name) for name in KEYS)


def _skills(options: ProviderOptions) -> list[str]:
    """The tool that is not needed: the CLI's own skills are for programmers at a terminal, and an agent's stand in
    its instructions. The workspace may bring others."""
    return [] if options.workspace_settings else ["Skill"]


def _environment(options: ProviderOptions) -> dict[str, str]:
    env = {**_QUIET, **options.env}
    if options.home is not None:
        env["HOME"] = str(options.home)
    if options.model_url is not None:
        env["ANTHROPIC_BASE_URL"] = options.model_url
    if options.auto_compact_window is not None:
        env["CLAUDE_CODE_AUTO_COMPACT_WINDOW"] = str(options.auto_compact_window)
    if os.geteuid() == 0:
        # The CLI refuses to work unasked for root, unless it is told that root is nobody here.
        env["IS_SANDBOX"] = "1"
    # What the runner itself was told is no business of what the agent runs.
    env.update({name: "" for name in os.environ if name.startswith("AGENT_")})
    return env


def _tools(options: ProviderOptions) -> list[SdkMcpTool[Any]]:
    return [SdkMcpTool(t.name, t.description, t.parameters, _handler(t)) for t in options.tools]


def _handler(tool: Tool) -> Callable[[dict[str, Any]], Any]:
    async def run(arguments: dict[str, Any]) -> dict[str, Any]:
        return {"content": [{"type": "text", "text": await tool(arguments)}]}

    return run
