"""What an agent is doing, in words that a person can read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import urlsplit

MAX_CHARS: Final = 80
BASH_SECONDS: Final = 120.0
"""How long a command may take that says nothing about it ("Bash tool", timeout)."""
TOOL_SECONDS: Final = 600.0
AGENT_SECONDS: Final = 1_800.0
MARGIN_SECONDS: Final = 30.0


def doing(name: str, arguments: Mapping[str, Any]) -> str | None:
    """What a call of a tool is; None for our own, whose effect people see anyway."""
    if name.startswith("mcp__roost__"):
        return None
    match name:
        case "Bash":
            return _words("Running", arguments.get("description") or arguments.get("command"))
        case "Read":
            return _words("Reading", _base(arguments.get("file_path")))
        case "Write" | "Edit" | "NotebookEdit":
            path = arguments.get("file_path") or arguments.get("notebook_path")
            return _words("Writing", _base(path))
        case "Glob" | "Grep":
            return _words("Searching for", arguments.get("pattern"))
        case "WebSearch":
            return _words("Searching the web for", arguments.get("query"))
        case "WebFetch":
            return _words("Reading", urlsplit(str(arguments.get("url") or "")).netloc)
        case "Agent" | "Task":
            return _words("A helper works on", arguments.get("description"))
        case "Skill":
            return _words("Using the skill", arguments.get("skill"))
        case _:
            server, _, tool = name.removeprefix("mcp__").partition("__")
            return _words("Using", f"{tool} of {server}" if tool else name)


def seconds(name: str, arguments: Mapping[str, Any]) -> float:
    """How long a call may take without a sign of life."""
    if name == "Bash":
        given = arguments.get("timeout")
        asked = float(given) / 1000 if isinstance(given, int | float) and given > 0 else BASH_SECONDS
        return min(asked, TOOL_SECONDS) + MARGIN_SECONDS
    return AGENT_SECONDS if name in ("Agent", "Task") else TOOL_SECONDS


def _base(path: Any) -> str:
    return PurePath(str(path or "")).name


def _words(verb: str, what: Any) -> str:
    line = " ".join(str(what or "").split())
    return f"{verb} {line if len(line) <= MAX_CHARS else line[: MAX_CHARS - 1] + '…'}".strip()
