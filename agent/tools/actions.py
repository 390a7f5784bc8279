"""What only the host can do: asked for by a row, and answered by another one."""

from __future__ import annotations

from typing import Final

from agent.protocol.messages import Action, ActionOut
from agent.tools.base import Desk, Refused

ANSWER_MS: Final = 15_000
"""The host answers within a moment, unless the channel makes it wait or it is not there."""
LATER: Final = (
    "It is asked for, and there is no answer yet: what became of it will come as a system message."
    " Do not ask for it again."
)


async def act(desk: Desk, action: Action) -> str:
    """Asks for it, and waits for what the host says. Raises Refused where it says no."""
    message_id, deadline = desk.new_id(), desk.clock() + ANSWER_MS
    desk.send(ActionOut(do=action), kind="action", route=desk.origin, message_id=message_id)
    result = await desk.result(message_id, deadline)
    if result is None:
        return LATER
    if not result.ok:
        raise Refused(result.text)
    return result.text
