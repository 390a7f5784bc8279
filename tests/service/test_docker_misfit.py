"""An image that says it fits and does not: whoever asks is told what an admin has to do, at once and once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

import pytest

from bot.turns import MISFIT
from tests.fakes import engine
from tests.service.conftest import House

BACKENDS = ("docker",)

NAME: Final = "roost-misfit"


@pytest.fixture
def misfit(house: House) -> Iterator[None]:
    """The common image with a setting of which its runner knows nothing, as one of another version has them."""
    common = engine.common_image()
    tag = common.partition(":")[2]
    with engine.client() as client:
        made = client.create_container(common)["Id"]
        client.commit(made, NAME, tag, changes="ENV AGENT_NEWER=1")
        client.remove_container(made)
        house.image_name = NAME
        yield
        house.kill_runners()
        client.remove_image(f"{NAME}:{tag}")


@pytest.mark.usefixtures("misfit")
async def test_who_asks_is_told_to_have_it_made_anew(house: House) -> None:
    async with house.open() as p:
        await p.say("hello")
        assert await p.replies(1) == [MISFIT]
        await p.say("hello?")
        assert await p.replies(2) == [MISFIT, MISFIT]
        log = house.data / "logs" / f"{house.session_id()}.log"
        await house.until(log.exists)
        assert "AGENT_NEWER" in await asyncio.to_thread(log.read_text)
    assert house.states() == {"failed": 2}
    assert {row["tries"] for row in house.query("SELECT tries FROM inbox")} == {0}
