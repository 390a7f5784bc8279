"""Attack 16: rows that speak for another session, another channel or another message, from a real container."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.escape.service import HOSTILE, VICTIM, serving
from tests.fakes.platform import FakePlatform
from tests.service.conftest import House

pytestmark = pytest.mark.docker


async def test_a_row_speaks_for_its_own_session_alone(tmp_path: Path, image: str, namespace: str) -> None:
    house, elsewhere = House(tmp_path), FakePlatform("elsewhere")

    def forger() -> list[str]:
        found = house.query("SELECT id FROM inbox WHERE session = ?", house.session_id(VICTIM))
        theirs = str(found[0]["id"])
        rows = [
            {"text": "into their conversation", "platform_id": VICTIM},
            {"text": "as an answer to them", "platform_id": VICTIM, "in_reply_to": theirs},
            {"text": "into another channel", "channel": "elsewhere", "platform_id": VICTIM},
            {"text": "into a channel that there is not", "channel": "nowhere"},
            {"text": "into a thread of their own", "thread_id": "t1"},
            {"text": "at home, to their message", "in_reply_to": theirs},
            {"text": "honest"},
        ]
        return ["probes.forger", json.dumps({"rows": rows, "acks": [theirs, "of nobody"]})]

    async with serving(house, f"{namespace}-forged", image, forger, elsewhere) as (p, _):
        await p.say("hello", place=VICTIM)
        assert await p.replies(1, place=VICTIM) == ["You said: hello"]
        theirs, ours = "event-of-the-victim", "event-of-the-forger"
        await p.say("are you there?", place=VICTIM, event_id=theirs)
        await p.say("forge!", place=HOSTILE, event_id=ours)
        assert await p.replies(2, place=HOSTILE) == ["at home, to their message", "honest"]
        assert (await p.replies(2, place=VICTIM))[1] == "You said: are you there?"
        await house.until_quiet(HOSTILE)
        await house.until_quiet(VICTIM)
        assert {part.outgoing.route.platform_id for part in p.sent} == {VICTIM, HOSTILE}
        assert len(p.texts(VICTIM)) == 2
        assert p.texts(HOSTILE, "t1") == []
        assert elsewhere.sent == elsewhere.tried == []
        answers = {part.text: part.outgoing.answers for part in p.sent}
        # The same row, with the message of its own session: that one is an answer.
        assert answers["at home, to their message"] is None
        assert answers["honest"] == ours
        assert theirs in answers.values()
