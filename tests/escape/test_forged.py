"""Attack 16: rows that speak for another session, another channel or another message, from a real container."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from container.base import Spec
from container.docker import DockerBackend
from tests.escape.wall import PROBES, sweep
from tests.fakes.platform import FakePlatform
from tests.service.conftest import House

pytestmark = pytest.mark.docker

HOSTILE = "hostile"
VICTIM = "victim"


class Swapping(DockerBackend):
    """Starts a forger for the session of the place HOSTILE, and the image's own runner for all others."""

    def __init__(self, namespace: str, image: str, house: House, forge: Callable[[], Any]) -> None:
        super().__init__(namespace, os.environ)
        self._image = image
        self._house = house
        self._forge = forge

    async def start(self, spec: Spec) -> None:
        spec = replace(spec, image=self._image)
        if self._house.query("SELECT 1 FROM sessions WHERE platform_id = ?", HOSTILE) and spec.name.endswith(
            self._house.session_id(HOSTILE)
        ):
            work = next(mount.source for mount in spec.mounts if mount.target == Path("/workspace"))
            shutil.copytree(PROBES, work / "probes", dirs_exist_ok=True)
            command = ["python3", "-B", "-m", "probes.forger", json.dumps(self._forge())]
            spec = replace(spec, command=command)
        await super().start(spec)


async def test_a_row_speaks_for_its_own_session_alone(tmp_path: Path, image: str, namespace: str) -> None:
    house, elsewhere = House(tmp_path), FakePlatform("elsewhere")
    service = f"{namespace}-forged"

    def message_of_the_victim() -> str:
        found = house.query("SELECT id FROM inbox WHERE session = ?", house.session_id(VICTIM))
        return str(found[0]["id"])

    def forge() -> dict[str, Any]:
        theirs = message_of_the_victim()
        rows = [
            {"text": "into their conversation", "platform_id": VICTIM},
            {"text": "as an answer to them", "platform_id": VICTIM, "in_reply_to": theirs},
            {"text": "into another channel", "channel": "elsewhere", "platform_id": VICTIM},
            {"text": "into a channel that there is not", "channel": "nowhere"},
            {"text": "into a thread of their own", "thread_id": "t1"},
            {"text": "at home, to their message", "in_reply_to": theirs},
            {"text": "honest"},
        ]
        return {"rows": rows, "acks": [theirs, "of nobody"]}

    try:
        async with (
            aclosing(Swapping(service, image, house, forge)) as backend,
            house.open(elsewhere, backend=backend) as p,
        ):
            await p.say("hello", place=VICTIM)
            assert await p.replies(1, place=VICTIM) == ["You said: hello"]
            theirs, ours = "event-of-the-victim", "event-of-the-forger"
            await p.say("are you there?", place=VICTIM, event_id=theirs)
            await p.say("forge!", place=HOSTILE, event_id=ours)
            said = await p.replies(2, place=HOSTILE)
            assert said == ["at home, to their message", "honest"]
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
    finally:
        sweep(service)
