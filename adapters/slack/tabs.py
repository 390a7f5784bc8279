"""Tabs: what the app shows of itself to one person: its Home tab, and what is suggested in the conversation with it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.base import Receipt, SendFailed
from adapters.offers import CommandInfo, CommandSpec
from adapters.slack import home
from adapters.slack.acts import Act, Acts, Body
from adapters.slack.replying import NOT_FOR_YOU, said

WHO: Final = "whoami"

_log = logging.getLogger("roost.slack")


class Tabs:
    """`prompts` are suggested to whoever opens a conversation with the bot."""

    def __init__(self, acts: Acts, prompts: Sequence[tuple[str, str]]) -> None:
        self._acts = acts
        self._prompts = prompts

    async def open(self, act: Act, told: str = "") -> None:
        """Shows the Home tab to somebody, with what came of what they have pressed there. Raises SendFailed."""
        names = {spec.name: spec for info in self._acts.host.commands() for spec in info.specs or (info,)}
        who, listed = "", None
        if WHO in names:
            who = (await self._given(act, WHO)).text or ""
        if home.CONVERSATIONS in names:
            receipt = await self._given(act, home.CONVERSATIONS)
            listed = _rows(receipt)
            if listed is None:
                who = f"{who}\n\n{receipt.text or NOT_FOR_YOU}"
        waiting = await self._waiting(act, names.get(home.APPROVALS))
        usage = await self._given(act, home.USAGE) if home.USAGE in names else Receipt("dropped")
        me = self._acts.me
        shown = home.Shown(
            told=told,
            who=who,
            waiting=waiting,
            usage=(usage.text or "") if usage.state == "accepted" else "",
            conversations=listed,
        )
        view = home.view(me.user, shown, me.team)
        await self._acts.web.call("views.publish", user_id=act.user, view=view)

    def is_ours(self, body: Body) -> bool:
        """Whether something was pressed in the Home tab."""
        view = body.get("view")
        return isinstance(view, Mapping) and view.get("type") == "home"

    async def pressed(self, act: Act, action: Mapping[str, Any]) -> None:
        """A button of the Home tab: it gives a command. Raises ValueError, SendFailed."""
        if not str(action.get("action_id", "")).startswith(home.PRESSED):
            raise ValueError("something that is none of ours was pressed in the Home tab")
        command, arguments = _read(action.get("value"))
        receipt = await self._acts.receive(act, "command", command=command, arguments=arguments, direct=True)
        await self.open(act, said(receipt))

    async def suggest(self, channel: str) -> None:
        """Suggests something to whoever has opened the conversation with the bot."""
        if not self._prompts:
            return
        try:
            await self._acts.web.call(
                "assistant.threads.setSuggestedPrompts",
                channel_id=channel,
                prompts=home.suggested(self._prompts),
                title=home.PROMPT_TITLE,
            )
        except SendFailed as exc:
            _log.info("nothing could be suggested: %s", exc)

    async def _waiting(self, act: Act, spec: CommandSpec | CommandInfo | None) -> list[Mapping[str, Any]]:
        """The approvals that somebody may decide upon."""
        if spec is None:
            return []
        takes = {option.name for option in spec.options} if isinstance(spec, CommandSpec) else set()
        receipt = await self._given(act, home.APPROVALS, home.OPEN if takes >= set(home.OPEN) else None)
        return [each for each in _rows(receipt) or () if each.get("state") == "open"]

    async def _given(self, act: Act, command: str, given: Mapping[str, str] | None = None) -> Receipt:
        arguments = dict(given or {})
        return await self._acts.receive(act, "command", command=command, arguments=arguments, direct=True)


def _rows(receipt: Receipt) -> list[Mapping[str, Any]] | None:
    """The data of a command that lists something."""
    if receipt.state != "accepted" or not isinstance(receipt.data, Sequence) or isinstance(receipt.data, str):
        return None
    return [each for each in receipt.data if isinstance(each, Mapping)]


def _read(value: object) -> tuple[str, dict[str, str]]:
    """The command of a button. Raises ValueError."""
    told = json.loads(value) if isinstance(value, str) else None
    command, arguments = (
        (told.get("command"), told.get("arguments")) if isinstance(told, dict) else (None, None)
    )
    if not isinstance(command, str) or not isinstance(arguments, dict):
        raise ValueError("a button of the Home tab has no command")
    return command, {str(name): str(text) for name, text in arguments.items()}
