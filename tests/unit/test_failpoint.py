"""The failpoints: each stands in the code exactly once, and kills exactly there."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from agent.protocol import failpoint

ROOT = Path(__file__).parents[2]
PASSES = """
from agent.protocol import failpoint
for place in ("inbox-committed", "awake-set", "awake-set"):
    failpoint.hit(place)
    print(place, flush=True)
"""


def hits(folder: str) -> Counter[str]:
    """The names of the points below a folder; a point that is named in any other way has the name "?"."""
    found: Counter[str] = Counter()
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="failpoint"), attr="hit"), args=[name]):
                    text = name.value if isinstance(name, ast.Constant) else "?"
                    found[str(text)] += 1
    return found


def test_every_point_stands_in_the_code_once_and_on_its_side() -> None:
    agent, host = hits("agent"), hits("bot")
    # The host's end of the mailbox lies in agent/protocol, with everything else that crosses the wall.
    assert set(host) <= failpoint.HOST
    assert hits("adapters/discord") == Counter(failpoint.DISCORD)
    assert hits("adapters/slack") == Counter(failpoint.SLACK)
    assert agent + host == Counter(failpoint.HOST | failpoint.AGENT)
    assert hits("adapters") == Counter(failpoint.DISCORD) + Counter(failpoint.SLACK)
    assert {name for name in agent if name.startswith("agent-")} == failpoint.AGENT


def passes(value: str | None) -> tuple[int, list[str], str]:
    env = {"PATH": os.environ["PATH"]} | ({} if value is None else {failpoint.VARIABLE: value})
    ran = subprocess.run(
        [sys.executable, "-c", PASSES], cwd=ROOT, env=env, capture_output=True, text=True, timeout=30
    )
    return ran.returncode, ran.stdout.splitlines(), ran.stderr


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("inbox-committed", []),
        ("awake-set", ["inbox-committed"]),
        ("awake-set:2", ["inbox-committed", "awake-set"]),
    ],
)
def test_a_process_is_killed_at_its_point(value: str, printed: list[str]) -> None:
    status, lines, said = passes(value)
    assert (status, lines) == (-signal.SIGKILL, printed)
    assert said == f"ROOST_FAILPOINT: killed at {value}\n"


@pytest.mark.parametrize("value", [None, "awake-set:3", "asleep-set", "no-such-point", ""])
def test_it_goes_on_where_its_point_is_not_passed(value: str | None) -> None:
    assert passes(value) == (0, ["inbox-committed", "awake-set", "awake-set"], "")


def test_an_unset_variable_costs_the_call_of_an_empty_function() -> None:
    code = failpoint.hit.__code__
    assert code.co_names == () and code.co_consts[1:] in ((), (None,))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("nowhere", "ROOST_FAILPOINT: there is no failpoint 'nowhere'."),
        ("", "ROOST_FAILPOINT: there is no failpoint ''."),
        ("awake-set:0", "ROOST_FAILPOINT: write awake-set or awake-set:3, a whole number from 1."),
        ("awake-set:x", "ROOST_FAILPOINT: write awake-set or awake-set:3, a whole number from 1."),
    ],
)
def test_a_mistake_ends_the_command_line_with_one_sentence(value: str, said: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", "from bot.cli import main; main()", "run"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], failpoint.VARIABLE: value},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", f"roost: {said}\n")
