"""Who may import whom. Every file is held to the rule of the folder that it lies in, a new one unnamed."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("bot", "adapters", "agent", "container", "tests")
PLATFORM_LIBRARIES = {
    "terminal": {"prompt_toolkit", "rich"},
    "discord": {"discord", "aiohttp", "yarl"},
    "slack": {"slack_bolt", "slack_sdk", "aiohttp", "yarl"},
}
SHARED = (
    "adapters.base",
    "adapters.checkup",
    "adapters.connecting",
    "adapters.offers",
    "adapters.queues",
    "adapters.lines",
    "adapters.naming",
    "adapters.tables",
    "adapters.text",
)
"""What all platforms build on."""
TABLES = {
    "adapters/__init__.py",
    "container/__init__.py",
    "agent/providers/__init__.py",
    "bot/vault/__init__.py",
}
"""Files that open something of ours by its name and so may import it late."""


@dataclass(frozen=True)
class Rule:
    """What a file may import: modules of ours with all below them, and libraries."""

    ours: set[str]
    libraries: set[str]


@dataclass(frozen=True)
class Import:
    names: tuple[str, ...]
    """What was named, the most exact first: `from a import b` is a.b or else something in a."""
    line: int
    late: bool

    @property
    def top(self) -> str:
        return self.names[0].split(".")[0]


def host_libraries() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = project["dependencies"] + project["optional-dependencies"]["host"]
    return {name.split(">")[0].split("=")[0].split("[")[0].replace("-", "_") for name in declared} | {
        "pydantic_core"
    }


def rule_for(path: Path) -> Rule:
    """The rule for a file, named from the root."""
    match path.with_suffix("").parts:
        case ("agent", "protocol", *_):
            return Rule({"agent.protocol"}, {"pydantic"})
        case ("agent", "providers", "claude", *_):
            # Nothing of the SDK leaks out of here.
            return Rule({"agent"}, {"pydantic", "claude_agent_sdk"})
        case ("agent", *_):
            return Rule({"agent"}, {"pydantic"})
        case ("adapters", platform, _, *_):
            own = {"agent.protocol", *SHARED, f"adapters.{platform}"}
            return Rule(own, {"pydantic"} | PLATFORM_LIBRARIES.get(platform, set()))
        case ("adapters", "__init__"):
            # The table of the platforms.
            return Rule({"agent.protocol", "adapters"}, set())
        case ("adapters", *_):
            return Rule({"agent.protocol", *SHARED}, {"pydantic", "markdown_it"})
        case ("container", *_):
            # requests' errors come through docker's own client.
            return Rule({"container"}, {"pydantic", "docker", "requests"})
        case ("bot", *_):
            return Rule({"bot", "adapters", "container", "agent.protocol"}, host_libraries())
        case _:
            raise AssertionError(f"{path} lies in no folder that has a rule")


def imports(tree: ast.Module, path: Path) -> Iterator[Import]:
    late = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                for alias in node.names:
                    yield Import((alias.name,), node.lineno, node in late)
            case ast.ImportFrom():
                parents = path.parts[: len(path.parts) - node.level] if node.level else ()
                module = ".".join((*parents, *([node.module] if node.module else [])))
                for alias in node.names:
                    yield Import((f"{module}.{alias.name}", module), node.lineno, node in late)
            case ast.Call(
                func=ast.Attribute(attr="import_module" | "__import__")
                | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield Import((name,), node.lineno, node in late)
            case _:
                pass


def within(name: str, allowed: set[str]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in allowed)


def violations(root: Path) -> list[str]:
    """Each broken rule in the tree below `root` as `file:line: what`."""
    found = []
    for file in sorted(file for folder in OURS[:-1] for file in (root / folder).rglob("*.py")):
        path = file.relative_to(root)
        rule = rule_for(path)
        tree = ast.parse(file.read_text())
        for each in imports(tree, path):
            if each.top in OURS:
                if not any(within(name, rule.ours) for name in each.names):
                    found.append(f"{path}:{each.line}: may not import {each.names[0]}")
                elif each.late and str(path) not in TABLES:
                    found.append(f"{path}:{each.line}: imports {each.names[0]} in a function")
            elif each.top not in rule.libraries | sys.stdlib_module_names:
                found.append(f"{path}:{each.line}: may not use the library {each.top}")
        found += [f"{path}:{node.lineno}: global" for node in ast.walk(tree) if isinstance(node, ast.Global)]
    return found


def test_the_rules_hold() -> None:
    assert violations(ROOT) == []


def test_there_is_something_to_hold_them_to() -> None:
    assert all(any((ROOT / folder).rglob("*.py")) for folder in OURS)
    assert (ROOT / "agent" / "__init__.py").read_text() == ""
    assert all((ROOT / table).exists() for table in TABLES)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("agent/protocol/new.py", "import agent.loop", "may not import agent.loop"),
        ("agent/protocol/new.py", "from .. import loop", "may not import agent.loop"),
        ("agent/protocol/new.py", "import structlog", "may not use the library structlog"),
        ("agent/new.py", "from bot.errors import RoostError", "may not import bot.errors.RoostError"),
        ("agent/new.py", "def f():\n    import container.base", "may not import container.base"),
        ("agent/new.py", "def f():\n    from agent import loop", "imports agent.loop in a function"),
        ("agent/new.py", "f = lambda: __import__('adapters.base')", "may not import adapters.base"),
        ("adapters/slack/new.py", "from adapters.terminal import x", "may not import adapters.terminal.x"),
        ("adapters/slack/new.py", "import prompt_toolkit", "may not use the library prompt_toolkit"),
        ("adapters/base.py", "import adapters.slack", "may not import adapters.slack"),
        ("container/new.py", "from agent.protocol import clock", "may not import agent.protocol.clock"),
        ("bot/new.py", "from agent import loop", "may not import agent.loop"),
        ("bot/new.py", "import agent", "may not import agent"),
        ("bot/new.py", "if True:\n    import agent.providers.mock", "may not import agent.providers.mock"),
        (
            "bot/new.py",
            "import importlib\nimportlib.import_module('agent.loop')",
            "may not import agent.loop",
        ),
        ("bot/new.py", "import tests.fakes", "may not import tests.fakes"),
        ("bot/db/new.py", "import requests", "may not use the library requests"),
        ("bot/new.py", "def f():\n    global x\n    x = 1", "global"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, file: str, text: str, said: str) -> None:
    planted = tmp_path / file
    planted.parent.mkdir(parents=True)
    planted.write_text(text)
    (line,) = violations(tmp_path)
    assert line.startswith(f"{file}:") and line.endswith(said)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("agent/protocol/new.py", "import os\nfrom pydantic import BaseModel\nfrom . import clock"),
        ("agent/new.py", "from agent.protocol import clock\nfrom agent import loop"),
        ("agent/providers/__init__.py", "def f():\n    from agent.providers import mock"),
        ("adapters/terminal/new.py", "import prompt_toolkit\nfrom adapters.terminal import x"),
        ("container/new.py", "from container.base import Spec"),
        (
            "bot/new.py",
            "from agent import protocol\nfrom agent.protocol import clock\nimport typer, bot.errors",
        ),
        ("bot/new.py", "def f():\n    import json, pydantic_settings"),
    ],
)
def test_what_is_allowed_passes(tmp_path: Path, file: str, text: str) -> None:
    allowed = tmp_path / file
    allowed.parent.mkdir(parents=True)
    allowed.write_text(text)
    assert violations(tmp_path) == []
