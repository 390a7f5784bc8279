"""Asking: the shortcut "Ask Roost about this" in the menu of a message, and the form that it opens."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from adapters.slack import context, ids, normalize
from adapters.slack.acts import Act, Acts, noted
from adapters.slack.question import text_form
from adapters.slack.replying import NOT_FOR_YOU

CALLBACK: Final = "ask_roost"
TITLE: Final = "Ask about this"
WHAT: Final = "What do you want to know about it?"
NOT_THERE: Final = "The message is not there any more, or I may not read it; somebody there can invite me."
ASKED: Final = "I answer in the thread of the message."
ASKED_HERE: Final = "I answer here."


def asking(act: Act) -> dict[str, Any]:
    """The form about a message."""
    return text_form(CALLBACK, title=TITLE, label=WHAT, private_metadata=noted(act))


class Asking:
    """Hands in what was asked about a message, as something that its person said there."""

    def __init__(self, acts: Acts, fetch: normalize.Fetch) -> None:
        self._acts = acts
        self._fetch = fetch

    async def ask(self, act: Act, text: str) -> None:
        """Its person is told where it is answered."""
        acts = self._acts
        about = await acts.message(act)
        if about is None:
            await acts.replying.tell(act.spot, NOT_THERE)
            return
        people = await acts.people.of(normalize.named_in(about))
        threads = acts.host.manners(ids.route(act.channel)).threads
        place = normalize.place_of(
            act.channel, act.message, act.thread, threads=threads, agent_view=acts.agent_view
        )
        said = normalize.said(about, acts.me, people)
        thread = place.route.thread_id if act.thread is not None or about.get("reply_count") else None
        receipt = await acts.receive(
            act,
            "message",
            route=place.route,
            text=text,
            mentions_bot=True,
            direct=place.direct,
            reply_to=(said.name, normalize.text_of(about, acts.me, people)),
            remote=normalize.files_of(about, self._fetch),
            before=None
            if thread is None
            else partial(context.before, acts.web, acts.people, acts.me, act.channel, thread),
        )
        if receipt.state != "accepted":
            await acts.replying.tell(act.spot, receipt.text or NOT_FOR_YOU)
            return
        await acts.replying.tell(act.spot, ASKED if place.opens else ASKED_HERE)


def is_asked(view: Mapping[str, Any]) -> bool:
    """Whether a form that was filled in is this one."""
    return view.get("callback_id") == CALLBACK
