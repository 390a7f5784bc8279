"""Without a bell host and agent find each other all the same, only later."""

from __future__ import annotations

import pytest

from agent.protocol import bell
from tests.service.conftest import House


async def test_a_message_is_answered_where_no_socket_can_be_had(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cannot_listen(self: bell.BellHost) -> None:
        """As on a mount that holds no sockets: nobody can connect."""

    monkeypatch.setattr(bell.BellHost, "listen", cannot_listen)
    async with house.open() as p:
        await p.say("one")
        assert await p.replies(1) == ["You said: one"]
        await p.say("two")
        assert await p.replies(2) == ["You said: one", "You said: two"]
        runner = next(iter(house.app.containers))
        assert not runner.bell.connected
