from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

from adapters.base import Manners
from agent.protocol.messages import Route
from bot.config import Config, load
from bot.engage import Wiring
from bot.wirings import Wirings


def wirings(*listed: dict[str, Any]) -> Wirings:
    return Wirings.configured(Config.model_validate({"agents": {"ann": {}, "bob": {}}, "wirings": listed}))


def at(channel: str, place: str, thread: str | None = None) -> Route:
    return Route(channel=channel, platform_id=place, thread_id=thread)


def test_without_any_the_first_agent_serves_everybody() -> None:
    assert wirings().of(at("discord", "1")) == Wiring("ann", wired=False)
    assert wirings({"channel": "discord"}).of(at("discord", "1")) == Wiring("ann"), (
        "the defaults are the same"
    )


def test_the_most_exact_one_decides() -> None:
    found = wirings(
        {"channel": "discord", "place": "1", "agent": "bob"},
        {"channel": "discord", "engage": "all"},
        {"channel": "slack", "place": "2", "strangers": "answer"},
    )
    assert found.of(at("discord", "1")) == Wiring("bob")
    assert found.of(at("discord", "1", "thread")) == Wiring("bob"), "a thread is in its place"
    assert found.of(at("discord", "2")) == Wiring("ann", "all")
    assert found.of(at("slack", "2")) == Wiring("ann", strangers="answer")
    assert found.of(at("slack", "1")) == Wiring("ann", wired=False), "an id is one platform's own"
    assert found.of(at("terminal", "2")) == Wiring("ann", wired=False)


def test_all_of_it_is_taken_over() -> None:
    named = {
        "channel": "discord",
        "agent": "bob",
        "engage": "mention",
        "strangers": "refuse",
        "bots": True,
        "bot_messages": 2,
        "threads": False,
        "streaming": False,
        "mentions": True,
        "previews": True,
    }
    manners = Manners(threads=False, streaming=False, mentions=True, previews=True)
    assert wirings(named).of(at("discord", "1")) == Wiring("bob", "mention", "refuse", True, 2, manners)


def test_the_example_of_the_documents_does_what_they_say(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "channels.md").read_text()
    (example,) = re.findall(r"\n\n(    \[agents\..+?)\n\n(?! )", text, re.DOTALL)
    file = tmp_path / "config.toml"
    file.write_text(textwrap.dedent(example))
    found = Wirings.configured(load(file, {}))
    assert found.of(at("discord", "any")) == Wiring("helper")
    assert found.of(at("discord", "1146523344556677001")) == Wiring("reviewer", "all", bots=True)
    assert found.of(at("discord", "1146523344556677002")) == Wiring("helper", strangers="answer")
    assert found.of(at("terminal", "local")) == Wiring("helper", wired=False)
