"""Answering: buttons, menus and forms of questions become answers, and a question that is over has nothing to press."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from adapters.base import OVER, Answered, Question, Receipt, SendFailed
from adapters.slack.acts import Act, Acts, noted
from adapters.slack.errors import error_of
from adapters.slack.normalize import Message
from adapters.slack.question import (
    FORM_FIELD,
    Pressed,
    answered,
    entered,
    form,
    is_card,
    parse_action_id,
)
from adapters.slack.replying import NOT_FOR_YOU, said
from agent.protocol import failpoint

NOT_OPENED: Final = "Slack was too slow to open the form; press it once more."
LATE: Final = frozenset(
    {"expired_trigger_id", "exchanged_trigger_id", "invalid_trigger_id", "trigger_expired"}
)
"""Slack's documentation, views.open: a trigger is good for three seconds, and once."""

_log = logging.getLogger("roost.slack")


class Answering:
    """Of questions that any service of this data folder has asked."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts

    async def pressed(self, act: Act, action: Mapping[str, Any], message: Message) -> None:
        """`message` is what it stands in, as far as Slack tells: nothing of what one person alone sees. Raises
        ValueError, SendFailed."""
        found = parse_action_id(str(action.get("action_id", "")))
        if found is None:
            if action.get("url"):
                # A link, of which Slack tells as well.
                return
            raise ValueError("something that is none of ours was pressed")
        if is_card(found.question_id):
            await self._give(act, found, action, alone=not message)
            return
        if found.kind == "form":
            view = form(Question(found.question_id, "Answer", "", ()), private_metadata=noted(act))
            await self.open(act, view)
            return
        index = found.index if found.kind == "option" else _chosen(action)
        receipt = await self._receive(act, found, _label(action, index), index)
        failpoint.hit("answer-taken")
        if receipt.state in ("accepted", "duplicate"):
            await self._show(act, message, _label(action, index), by=f"<@{act.user}>")
            return
        await self._acts.replying.tell(act.spot, receipt.text or NOT_FOR_YOU)
        await self._close(act, message, receipt)

    async def _give(self, act: Act, found: Pressed, action: Mapping[str, Any], *, alone: bool) -> None:
        """A button of the service's own: what it says is for who has pressed it, and the service itself takes the
        buttons away from what everybody sees. Raises ValueError, SendFailed."""
        if found.kind == "form":
            raise ValueError("the service's own buttons open no form")
        index = found.index if found.kind == "option" else _chosen(action)
        receipt = await self._receive(act, found, _label(action, index), index)
        await self._acts.replying.tell(act.spot, said(receipt), ask=receipt.ask, replaces=alone)

    async def open(self, act: Act, view: dict[str, Any]) -> None:
        """Opens a form for whoever has pressed something. Raises SendFailed."""
        try:
            await self._acts.web.call("views.open", trigger_id=act.trigger, view=view)
        except SendFailed as exc:
            if error_of(exc) not in LATE and exc.retry_after is None:
                raise
            _log.info("a form could not be opened in time: %s", exc)
            await self._acts.replying.tell(act.spot, NOT_OPENED)

    async def filled_in(self, act: Act, question: Pressed, view: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer to the form: what is wrong with it, where it is not taken."""
        text = entered(view)
        receipt = await self._receive(act, question, text, None)
        taken = receipt.state in ("accepted", "duplicate")
        self._acts.go_on(act, self._filled(act, receipt, text, taken=taken))
        if taken:
            return None
        return {"response_action": "errors", "errors": {FORM_FIELD: receipt.text or NOT_FOR_YOU}}

    async def _filled(self, act: Act, receipt: Receipt, text: str, *, taken: bool) -> None:
        message = await self._acts.message(act)
        if message is None:
            return
        if taken:
            await self._show(act, message, text, by=f"<@{act.user}>")
        else:
            await self._close(act, message, receipt)

    async def _receive(self, act: Act, question: Pressed, text: str, choice: int | None) -> Receipt:
        return await self._acts.receive(
            act, "answer", question_id=question.question_id, text=text, choice=choice
        )

    async def _close(self, act: Act, message: Message, refused: Receipt) -> None:
        """A question that is over has nothing to press, whoever was killed before that was shown."""
        if isinstance(refused.data, Answered):
            by = f"<@{refused.data.by}>" if refused.data.by else ""
            await self._show(act, message, refused.data.text, by=by)
        elif refused.data == OVER:
            await self._show(act, message, None, by="")

    async def _show(self, act: Act, message: Message, answer: str | None, *, by: str) -> None:
        blocks = [each for each in message.get("blocks") or () if isinstance(each, Mapping)]
        draft = answered(blocks, str(message.get("text") or ""), answer, by=by)
        try:
            await self._acts.web.call(
                "chat.update", channel=act.channel, ts=act.message, text=draft.text, blocks=draft.blocks
            )
        except SendFailed as exc:
            # The answer counts, whether it can be shown or not; who presses once more is told so.
            _log.warning("a question that is over still has buttons: %s", exc)


def _chosen(action: Mapping[str, Any]) -> int:
    """The option of a menu. Raises ValueError."""
    option = action.get("selected_option")
    value = option.get("value") if isinstance(option, Mapping) else None
    if not (isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 4):
        raise ValueError("nothing was chosen")
    return int(value)


def _label(action: Mapping[str, Any], index: int | None) -> str:
    """What stands on the button or on the option of the menu."""
    option = action.get("selected_option")
    shown = (option if isinstance(option, Mapping) else action).get("text")
    text = shown.get("text") if isinstance(shown, Mapping) else None
    return text if isinstance(text, str) and text else str(index)
