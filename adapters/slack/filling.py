"""Filling: forms by which people give commands, opened, offered something to choose from, and taken as the command.

Slack opens one within three seconds of what somebody did (its documentation, views.open), and waits three seconds for
an answer to it, and to each letter that is typed into a field that offers something.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from adapters.base import Receipt, SendFailed
from adapters.offers import CommandInfo, CommandSpec, Suggestion
from adapters.slack import commands, forms, kit
from adapters.slack.acts import Act, Acts, Body, of_form, of_suggestion
from adapters.slack.commands import Given, Several, Unfinished
from adapters.slack.errors import error_of
from adapters.slack.forms import Noted
from adapters.slack.replying import NOT_FOR_YOU, Page, laid_out, said
from adapters.text import shortened

NOTHING_HERE: Final = "There is no command here that you may give; `{help}` lists those that you may."
NOT_CHOSEN: Final = "Choose what you want to do."
MISSING: Final = "The option {} is missing."
GONE: Final = "This command is not there any more; `{help}` lists those that are."
USAGE: Final = "Usage: "
"""How a sentence of the service's begins that says how a command goes."""
ERROR_CHARS: Final = 300
"""What is said beneath a field; more is said in the place where the form was opened."""
SUGGESTED: Final = 100
"""Slack's documentation, Select menu of external data source."""

_log = logging.getLogger("roost.slack")


class Filling:
    """Of every command that takes something."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts

    def is_ours(self, view: Mapping[str, Any]) -> bool:
        """Whether a form is one of these."""
        return str(view.get("callback_id") or "").startswith((forms.COMMAND, forms.GROUP))

    # ---------------------------------------------------------------- opened

    async def open(self, act: Act, unfinished: Unfinished) -> None:
        """Opens the form of a command, for who may give it; where that cannot be, they are told how it goes. Raises
        SendFailed."""
        refused = await self._refused(act, unfinished.spec.name)
        if refused is not None:
            await self._acts.replying.tell(act.spot, refused)
            return
        await self._open(act, self._form(unfinished.spec, unfinished.arguments, _where(act)), unfinished)

    async def choose(self, act: Act, several: Several) -> None:
        """Opens the form by which one of several commands is chosen, of those that somebody may give. Raises
        SendFailed."""
        receipt = await self._help(act, several.info.name)
        names = _names(receipt)
        if receipt.state != "accepted":
            await self._acts.replying.tell(act.spot, said(receipt))
            return
        specs = [each for each in several.info.specs if names is None or each.name in names]
        if not specs:
            await self._acts.replying.tell(act.spot, NOTHING_HERE.format(help=commands.HELP_WORDS))
            return
        view = forms.of_group(several.info.name, specs, _where(act))
        listed = "\n".join(f"- {commands.usage(each)}: {each.summary}" for each in specs)
        await self._open(act, view, Unfinished(specs[0], {}, listed))

    async def _open(self, act: Act, view: dict[str, Any], unfinished: Unfinished) -> None:
        try:
            await self._acts.web.call("views.open", trigger_id=act.trigger, view=view)
        except SendFailed as exc:
            _log.info("a form could not be opened: %s", exc, extra={"reason": error_of(exc)})
            await self.told(act, unfinished)

    async def told(self, act: Act, unfinished: Unfinished) -> None:
        """Says how the command goes, with a button for its form. Raises SendFailed."""
        await self._acts.replying.tell(act.spot, "", pages=self.pages(unfinished))

    def pages(self, unfinished: Unfinished) -> list[Page]:
        """The messages that say so."""
        (*pages, last) = laid_out(unfinished.text)
        button = forms.fill_in(unfinished.spec.name, unfinished.arguments)
        blocks = [
            kit.section(shortened(str(last["text"]), kit.SECTION_CHARS)),
            {"type": "actions", "elements": [button]},
        ]
        return [*pages, {**last, "blocks": blocks}]

    def instead(self, given: Given, receipt: Receipt) -> list[Page] | None:
        """What is told where the service has only said how a command goes, since more was to be given: the same with a
        button for its form. None for anything else."""
        spec = self._spec(given.name)
        is_usage = receipt.state == "refused" and (receipt.text or "").startswith(USAGE)
        if spec is None or not spec.options or not is_usage:
            return None
        return self.pages(Unfinished(spec, given.arguments, said(receipt)))

    async def pressed(self, act: Act, action: Mapping[str, Any]) -> None:
        """The button that opens the form of a command. Raises ValueError, SendFailed."""
        name = str(action.get("action_id", "")).removeprefix(forms.FILL_IN)
        spec = self._spec(name)
        if spec is None:
            raise ValueError("a form of a command that is not there was asked for")
        given = forms.given_by(action.get("value"))
        known = {each.name for each in spec.options}
        arguments = {key: text for key, text in given.items() if key in known}
        usage = f"It goes like this: {commands.usage(spec)}"
        await self.open(act, Unfinished(spec, arguments, usage))

    # ---------------------------------------------------------------- sent off

    def act_of(self, body: Body, view: Mapping[str, Any]) -> Act:
        """Who has sent a form off, and where it was opened. Raises ValueError."""
        where = forms.read_note(str(view.get("private_metadata") or ""))
        act = of_form(body, (where.channel, "", where.thread))
        return replace(act, response_url=where.response_url)

    async def entered(self, act: Act, view: Mapping[str, Any]) -> dict[str, Any] | None:
        """Gives the command of the form: what Slack is to show in it, where it is not taken. Raises ValueError."""
        callback = str(view.get("callback_id") or "")
        if callback.startswith(forms.GROUP):
            return await self._chosen(act, view)
        spec = self._spec(callback.removeprefix(forms.COMMAND))
        if spec is None or not spec.options:
            raise ValueError("a form of a command that is not there was filled in")
        return await self._filled(act, spec, view)

    async def _chosen(self, act: Act, view: Mapping[str, Any]) -> dict[str, Any] | None:
        name = forms.chosen(view)
        spec = self._spec(name)
        if spec is None:
            text = GONE.format(help=commands.HELP_WORDS) if name else NOT_CHOSEN
            return _errors({forms.CHOSEN: text})
        if spec.options:
            return {"response_action": "update", "view": self._form(spec, {}, _where(act))}
        return await self._give(act, spec, {}, forms.CHOSEN)

    async def _filled(self, act: Act, spec: CommandSpec, view: Mapping[str, Any]) -> dict[str, Any] | None:
        arguments = forms.filled(spec, view)
        missing = (each.name for each in spec.options if each.required and each.name not in arguments)
        wrong = [*map(MISSING.format, missing), *(f"{text}." for text in commands.troubles(spec, arguments))]
        if wrong:
            return _errors({forms.block_of(spec, text): text for text in wrong})
        return await self._give(act, spec, arguments, None)

    async def _give(
        self, act: Act, spec: CommandSpec, arguments: Mapping[str, str], field: str | None
    ) -> dict[str, Any] | None:
        """What is refused in a few words is said in the form, where it can be put right."""
        receipt = await self._acts.receive(act, "command", command=spec.name, arguments=dict(arguments))
        text = receipt.text or NOT_FOR_YOU
        if receipt.state in ("refused", "dropped") and len(text) <= ERROR_CHARS:
            return _errors({field or forms.block_of(spec, text): text})
        self._acts.go_on(act, self._acts.replying.tell(act.spot, said(receipt), ask=receipt.ask))
        return None

    # ---------------------------------------------------------------- offered

    async def suggest(self, body: Body) -> list[dict[str, Any]]:
        """What a field offers for what is typed in it. Raises ValueError for what is none of ours."""
        view = body.get("view")
        if not isinstance(view, Mapping) or not self.is_ours(view):
            raise ValueError("something is typed into no form of ours")
        where = forms.read_note(str(view.get("private_metadata") or ""))
        block, typed = str(body.get("block_id") or ""), str(body.get("value") or "")
        spec = self._spec(str(view.get("callback_id")).removeprefix(forms.COMMAND))
        option = None if spec is None else forms.option_of(spec, block)
        if spec is None or option is None:
            raise ValueError("something is typed into a field that is not there")
        if forms.asks_for_group(option, block):
            return self._groups(typed)
        act = of_suggestion(body, where.channel, where.thread, at=self._acts.clock())
        given = {**forms.filled(spec, view), option.name: typed}
        receipt = await self._acts.receive(
            act, "complete", command=spec.name, arguments=given, completing=option.name
        )
        found = receipt.data if isinstance(receipt.data, Sequence) else ()
        return forms.suggested([each for each in found if isinstance(each, Suggestion)], typed)

    def _groups(self, typed: str) -> list[dict[str, Any]]:
        wanted = typed.strip().lstrip("@").lower()
        known = sorted(self._acts.groups.all(), key=lambda each: each.handle)
        found = [Suggestion(each.id, f"@{each.handle}") for each in known if wanted in each.handle.lower()]
        return forms.suggested(found[:SUGGESTED], "")

    # ---------------------------------------------------------------- small things

    def _form(self, spec: CommandSpec, given: Mapping[str, str], where: Noted) -> dict[str, Any]:
        return forms.of_command(spec, given, where, knows_groups=any(True for _ in self._acts.groups.all()))

    def _spec(self, name: str) -> CommandSpec | None:
        return commands.spec(name.split(), self._acts.host.commands()) if name else None

    async def _refused(self, act: Act, name: str) -> str | None:
        """What somebody is told who may not give a command: nobody fills in a form for nothing."""
        receipt = await self._help(act, *name.split())
        names = _names(receipt)
        if receipt.state != "accepted" or (names is not None and name not in names):
            return said(receipt) if receipt.state != "accepted" else NOT_FOR_YOU
        return None

    async def _help(self, act: Act, group: str, command: str | None = None) -> Receipt:
        """What the service says of commands to this person; anything, where it has no such command."""
        info = next((each for each in self._acts.host.commands() if each.name == commands.HELP), None)
        takes = {option.name for spec in _specs(info) for option in spec.options}
        if not {"group", "command"} <= takes:
            return Receipt("accepted")
        given = {"group": group} | ({"command": command} if command else {})
        asking = replace(act, id=f"{act.id}:help")
        return await self._acts.receive(asking, "command", command=commands.HELP, arguments=given)


def _specs(info: CommandInfo | None) -> Sequence[CommandSpec]:
    return () if info is None else info.specs


def _names(receipt: Receipt) -> set[str] | None:
    """The commands that the data of `help` names; None where it names none."""
    if not isinstance(receipt.data, Sequence) or isinstance(receipt.data, str):
        return None
    return {str(each.get("name")) for each in receipt.data if isinstance(each, Mapping)}


def _where(act: Act) -> Noted:
    return Noted(act.channel, act.thread, act.response_url)


def _errors(wrong: Mapping[str, str]) -> dict[str, Any]:
    return {"response_action": "errors", "errors": dict(wrong)}
