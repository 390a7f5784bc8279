"""What `roost discord check` makes of what it finds: permissions, and a sentence for everything that can be wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.checkup import Named
from adapters.discord import advice, errors, layout, session
from adapters.discord.doctor import judged
from adapters.discord.facts import (
    Application,
    Channel,
    Facts,
    Greeting,
    Place,
    Server,
    Starts,
    application,
    channel,
    server,
)
from adapters.discord.permissions import (
    ADMINISTRATOR,
    ALL,
    ASKED,
    ATTACH,
    CREATE_THREADS,
    HISTORY,
    INVITE_PERMISSIONS,
    REACT,
    SEND,
    SEND_IN_THREADS,
    VIEW,
    Overwrite,
    in_channel,
    in_server,
    invite_link,
    missing,
)
from agent.protocol.messages import Route
from bot import checkups, discord_check, platforms, starting
from bot.config import Config
from bot.config_discord import DiscordConfig

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "discord.md"
ME, LAB, ROLE, OTHER = 9, 1, 2, 3
EVERYTHING = sum(each.bit for each in ASKED)
PAYLOAD = layout.payload([])


# ---------------------------------------------------------------- permissions


@pytest.mark.parametrize(
    ("roles", "held", "owner", "allowed"),
    [
        ({LAB: VIEW.bit}, [], False, VIEW.bit),
        ({LAB: VIEW.bit, ROLE: SEND.bit, OTHER: ATTACH.bit}, [ROLE], False, VIEW.bit | SEND.bit),
        ({LAB: 0, ROLE: ADMINISTRATOR}, [ROLE], False, ALL),
        ({LAB: 0}, [], True, ALL),
        ({LAB: VIEW.bit}, [404], False, VIEW.bit),
    ],
)
def test_in_a_server_roles_add_up(
    roles: Mapping[int, int], held: Sequence[int], owner: bool, allowed: int
) -> None:
    assert in_server(roles, held, server=LAB, owner=owner) == allowed


@pytest.mark.parametrize(
    ("base", "overwrites", "allowed"),
    [
        (VIEW.bit, [], VIEW.bit),
        (VIEW.bit | SEND.bit, [Overwrite(LAB, 0, SEND.bit)], VIEW.bit),
        # A role's word goes before everybody's, and the member's own before that.
        (VIEW.bit, [Overwrite(LAB, 0, SEND.bit), Overwrite(ROLE, SEND.bit, 0)], VIEW.bit | SEND.bit),
        (
            VIEW.bit,
            [Overwrite(ME, 0, SEND.bit), Overwrite(ROLE, SEND.bit, 0)],
            VIEW.bit,
        ),
        # Of two roles the one that allows decides.
        (VIEW.bit, [Overwrite(ROLE, SEND.bit, 0), Overwrite(4, 0, SEND.bit)], VIEW.bit | SEND.bit),
        # A role that the bot has not, and a channel that it does not see.
        (VIEW.bit, [Overwrite(OTHER, SEND.bit, 0)], VIEW.bit),
        (VIEW.bit | SEND.bit, [Overwrite(ROLE, 0, VIEW.bit)], 0),
        (ALL, [Overwrite(ME, 0, VIEW.bit)], ALL),
    ],
)
def test_a_channel_has_the_last_word(base: int, overwrites: Sequence[Overwrite], allowed: int) -> None:
    assert in_channel(base, overwrites, [ROLE, 4], server=LAB, member=ME) == allowed


def test_of_a_channel_that_is_not_seen_only_that_is_missing() -> None:
    assert missing(SEND.bit) == [VIEW]
    assert missing(EVERYTHING) == []
    assert missing(EVERYTHING & ~REACT.bit & ~SEND.bit) == [SEND, REACT]


def test_the_link_asks_for_exactly_these_and_the_documents_have_them() -> None:
    assert INVITE_PERMISSIONS == EVERYTHING
    assert f"permissions={INVITE_PERMISSIONS}" in invite_link(1)
    text = _flat(DOCUMENT.read_text())
    assert str(INVITE_PERMISSIONS) in text
    for each in ASKED:
        assert f"| {each.name} | {'yes' if each.needed else 'no'} | {each.reason} |" in text


# ---------------------------------------------------------------- the judgement


def a_channel(number: int = 50, *denied: int, **more: Any) -> Channel:
    overwrites = [Overwrite(ME, 0, sum(denied))] if denied else []
    return Channel(number, "general", more.pop("kind", 0), LAB, overwrites=overwrites, **more)


def a_server(*channels: Channel, roles: int = EVERYTHING, **more: Any) -> Server:
    return Server(LAB, "Lab", False, {LAB: 0, ROLE: roles}, [ROLE], more.get("silenced"), channels)


WELL = Facts(
    ME,
    "roost",
    Application(7, "roost", "ada", False, False, True, None),
    Starts(900, 1000, 3600.0),
    Greeting(),
    "wss://gateway.invalid",
    ["Lab"],
    [a_server(a_channel())],
    [],
    {None: PAYLOAD},
)
NAMED = Named("wirings[0].place", Route(channel="discord", platform_id="50"))
IN_THREAD = Named("there", Route(channel="discord", platform_id="50", thread_id="60"))
A_THREAD = Channel(60, "old", 11, LAB, parent=50)
AT = {"where": "wirings[0].place", "channel": "#general (50)", "id": 50, "parent": None}
OF_THREAD = {"where": "there", "channel": "#old (60)", "parent": 50}


def portal(**changes: Any) -> Facts:
    return replace(WELL, application=replace(WELL.application, **changes))


def naming(found: Any, named: Named = NAMED, around: Channel | None = None, **of_server: Any) -> Facts:
    return replace(WELL, places=[Place(named, found, around)], servers=[a_server(**of_server)])


def lacks(sentence: str, *names: str) -> str:
    return sentence.format(channel="#general (50)", server="Lab", permissions=" and ".join(names))


CASES: dict[str, tuple[Facts, tuple[str, str] | None]] = {
    "all is well": (WELL, None),
    "a public bot": (portal(public=True), ("warning", advice.PUBLIC)),
    "a code is wanted": (portal(code_grant=True), ("problem", advice.CODE_GRANT)),
    "an endpoint": (
        portal(endpoint="https://example.org"),
        ("problem", advice.ENDPOINT.format(url="https://example.org")),
    ),
    "no intent": (portal(reads_messages=False), ("problem", session.NO_INTENT)),
    "no intent, says the gateway": (
        replace(WELL, greeting=Greeting(code=4014)),
        ("problem", session.NO_INTENT),
    ),
    "a token of another kind": (
        replace(WELL, greeting=Greeting(code=4004)),
        ("problem", errors.UNAUTHORIZED),
    ),
    "turned away": (
        replace(WELL, greeting=Greeting(code=4011)),
        ("problem", advice.CLOSED.format(code=4011)),
    ),
    "no gateway": (
        replace(WELL, greeting=Greeting(reason="why")),
        ("problem", advice.NO_GATEWAY.format(url="wss://gateway.invalid", reason="why")),
    ),
    "few starts": (
        replace(WELL, starts=Starts(30, 1000, 7200.0)),
        ("warning", advice.FEW_STARTS.format(left=30, total=1000, hours=2)),
    ),
    "no start": (
        replace(WELL, starts=Starts(2, 1000, 60.0), greeting=None),
        ("problem", advice.NO_START.format(left=2, hours=1)),
    ),
    "no server": (replace(WELL, names=[], servers=[]), ("problem", advice.NO_SERVER)),
    "more servers": (
        replace(WELL, names=["Lab", "Den", "Bar"]),
        ("warning", advice.MORE_SERVERS.format(count="2 servers")),
    ),
    "timed out": (
        replace(WELL, servers=[a_server(a_channel(), silenced="2027")]),
        ("problem", advice.SILENCED.format(server="Lab", until="2027")),
    ),
    "nowhere": (
        replace(WELL, servers=[a_server(a_channel(), roles=VIEW.bit)]),
        (
            "problem",
            advice.NOWHERE.format(
                server="Lab", permissions=", ".join(each.name for each in ASKED if each.needed)
            ),
        ),
    ),
    "a quiet channel among others": (
        replace(WELL, servers=[a_server(a_channel(51), a_channel(50, SEND.bit))]),
        ("warning", lacks(advice.LACKS_NEEDED, "Send Messages")),
    ),
    "a private channel among others": (
        replace(WELL, servers=[a_server(a_channel(51), a_channel(50, VIEW.bit))]),
        None,
    ),
    "named and well": (naming(a_channel()), None),
    "named and quiet": (
        naming(a_channel(50, SEND.bit, HISTORY.bit)),
        ("problem", lacks(advice.LACKS_NEEDED, "Send Messages", "Read Message History")),
    ),
    "named and without reactions": (
        naming(a_channel(50, REACT.bit)),
        ("warning", lacks(advice.LACKS, "Add Reactions")),
    ),
    "no threads": (
        naming(a_channel(50, CREATE_THREADS.bit)),
        ("warning", lacks(advice.LACKS, "Create Public Threads")),
    ),
    "no threads, and none wanted": (
        naming(a_channel(50, CREATE_THREADS.bit), replace(NAMED, threads=False)),
        None,
    ),
    "a forum needs no channel to write in": (naming(a_channel(50, SEND.bit, kind=15)), None),
    "a forum needs threads": (
        naming(a_channel(50, SEND_IN_THREADS.bit, kind=15)),
        ("problem", lacks(advice.LACKS_NEEDED, "Send Messages in Threads")),
    ),
    "named and not seen": (naming(a_channel(50, VIEW.bit)), ("problem", advice.HIDDEN.format_map(AT))),
    "named and foreign": (naming("hidden"), ("problem", advice.HIDDEN.format_map(AT))),
    "named and in a server that is not told of": (
        replace(naming(a_channel()), servers=[]),
        ("problem", advice.HIDDEN.format_map(AT)),
    ),
    "a voice channel has no threads": (naming(a_channel(50, SEND_IN_THREADS.bit, kind=2)), None),
    "named and unknown": (naming("unknown"), ("problem", advice.UNKNOWN.format_map(AT))),
    "a direct conversation": (naming(Channel(50, "", 1, None)), None),
    "a category": (naming(a_channel(kind=4)), ("problem", advice.NO_MESSAGES.format_map(AT))),
    "a thread as place": (
        naming(replace(A_THREAD, id=50, parent=40)),
        (
            "problem",
            advice.IS_THREAD.format(where="wirings[0].place", channel="#old (50)", parent=40),
        ),
    ),
    "a thread": (naming(A_THREAD, IN_THREAD, a_channel()), None),
    "a thread of another channel": (
        naming(replace(A_THREAD, parent=70), IN_THREAD, a_channel(70)),
        ("problem", advice.OTHER_CHANNEL.format_map({**OF_THREAD, "parent": 70})),
    ),
    "a thread that is none": (
        naming(a_channel(60), IN_THREAD),
        ("problem", advice.NO_THREAD.format(where="there", channel="#general (60)")),
    ),
    "a locked thread": (
        naming(replace(A_THREAD, archived=True, locked=True), IN_THREAD, a_channel()),
        ("problem", advice.LOCKED.format_map(OF_THREAD)),
    ),
    "an archived thread": (
        naming(replace(A_THREAD, archived=True), IN_THREAD, a_channel()),
        ("warning", advice.ARCHIVED.format_map(OF_THREAD)),
    ),
    "no commands": (
        replace(WELL, registered={None: []}),
        ("warning", advice.NO_COMMANDS.format(where="for all servers")),
    ),
    "other commands": (
        replace(WELL, registered={5: PAYLOAD[1:]}),
        ("warning", advice.OTHER_COMMANDS.format(where="for the server 5")),
    ),
    "a development server that is none": (
        replace(WELL, registered={5: None}),
        ("problem", advice.NOT_IN_SERVER.format(id=5)),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_thing_that_is_wrong_is_said_once(case: str) -> None:
    facts, wanted = CASES[case]
    found = [(each.state, each.text) for each in judged(facts, PAYLOAD) if each.state != "ok"]
    assert found == ([] if wanted is None else [wanted])


def test_a_list_of_channels_has_an_end() -> None:
    channels = [a_channel(number, REACT.bit) for number in range(100, 130)]
    told = judged(replace(WELL, servers=[a_server(*channels)]), PAYLOAD)
    said = [each.text for each in told if each.about == "channel"]
    assert len(said) == 21 and said[-1] == advice.MORE_CHANNELS.format(count="10 more channels")


def test_a_list_of_servers_has_an_end() -> None:
    (said,) = [
        each.text
        for each in judged(replace(WELL, names=list("abcdefghijkl")), PAYLOAD)
        if each.about == "servers" and each.state == "ok"
    ]
    assert said == advice.SERVERS.format(count="12 servers", names="a, b, c, d, e, f, g, h, i, j and 2 more")


def test_every_sentence_of_the_advice_can_be_said() -> None:
    said = " ".join(each.text for facts, _ in CASES.values() for each in judged(facts, PAYLOAD))
    # These belong to what is not judged: a call that failed as a whole, and a list that is too long.
    apart = {"UNREACHABLE", "SLOW", "NOT_DISCORD", "REFUSED", "MORE_CHANNELS"}
    for name, sentence in _sentences(advice).items():
        pattern = ".+".join(map(re.escape, re.split(r"\{\w+\}", sentence)))
        assert name in apart or re.search(pattern, said), name


# ---------------------------------------------------------------- what is read


def test_what_discord_says_is_read() -> None:
    told = {"id": "7", "name": "roost", "flags": 1 << 18, "team": {"name": "The\nteam"}, "bot_public": True}
    assert application(told) == Application(7, "roost", "the team The team", True, False, True, None)
    assert not application({**told, "flags": 1 << 15}).reads_messages
    thread = {"id": "60", "type": 11, "name": "old", "guild_id": "1", "parent_id": "50"}
    assert channel({**thread, "thread_metadata": {"archived": True, "locked": False}}) == replace(
        A_THREAD, archived=True, overwrites=[]
    )


@pytest.mark.parametrize(
    ("until", "silenced"), [(None, None), ("2026-01-02", None), ("2026-01-04", "2026-01-04")]
)
def test_a_timeout_that_is_over_is_none(until: str | None, silenced: str | None) -> None:
    member = {"roles": ["2"], "communication_disabled_until": until}
    roles = [{"id": "2", "permissions": "1024"}]
    found = server({"id": "1", "name": "Lab"}, roles, member, [], now="2026-01-03")
    assert (found.silenced_until, found.roles, found.held) == (silenced, {2: 1024}, [2])


# ---------------------------------------------------------------- what the configuration names


def test_places_are_those_of_wirings_and_destinations_once_each() -> None:
    config = Config.model_validate(
        {
            "wirings": [
                {"channel": "discord", "place": "50", "threads": False},
                {"channel": "discord"},
                {"channel": "terminal", "place": "local"},
            ],
            "agents": {
                "assistant": {
                    "destinations": [
                        {"name": "same", "channel": "discord", "platform_id": "50"},
                        {"name": "news", "channel": "discord", "platform_id": "51", "thread_id": "52"},
                    ]
                }
            },
        }
    )
    assert [
        (each.where, each.route.thread_id, each.threads) for each in checkups.places(config, "discord")
    ] == [
        ("wirings[0].place", None, False),
        ("[agents.assistant] destinations[1]", "52", True),
    ]


# ---------------------------------------------------------------- the document


def _flat(text: str) -> str:
    return " ".join(text.split())


def _sentences(module: Any) -> dict[str, str]:
    return {name: text for name, text in vars(module).items() if name.isupper() and isinstance(text, str)}


def _as_documented(sentence: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: found[1].upper(), sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        *_sentences(advice).values(),
        errors.UNAUTHORIZED,
        session.NO_INTENT,
        discord_check.OFF,
        platforms.MISSING.format(table="discord", what="token", key="token", variable="{variable}"),
    ],
)
def test_the_document_has_every_sentence(sentence: str) -> None:
    assert _as_documented(sentence) in _flat(DOCUMENT.read_text())


def test_the_document_has_every_setting() -> None:
    text = DOCUMENT.read_text()
    for name, field in DiscordConfig.model_fields.items():
        assert re.search(rf"^\| `{name}` \| .* \| {re.escape(str(field.description))} \|$", text, re.M), name


def test_the_readme_has_the_line_that_a_start_prints() -> None:
    line = starting.UNOWNED.format(channel="discord", claim="/roost claim CODE")
    assert f"roost: {line}\n" in (ROOT / "README.md").read_text()
