"""A conversation as people read it: what was said and what was answered, in order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent.protocol.messages import (
    ActionOut,
    AskQuestion,
    ChatIn,
    ChatOut,
    MessageOut,
    SystemIn,
    TaskIn,
    WebhookIn,
)
from bot.db.erasure import STRUCK
from bot.db.inbox import Entry
from bot.screening import screened


@dataclass(frozen=True)
class Line:
    """One message. `number` is its own in the conversation, `at` in epoch milliseconds; `who` is None for what nobody
    has said."""

    number: int
    at: int
    who: str | None
    text: str
    files: Sequence[str] = ()

    @property
    def data(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        when = datetime.fromtimestamp(self.at / 1000, UTC).isoformat(timespec="seconds")
        return {
            "number": self.number,
            "at": when,
            "who": self.who,
            "text": self.text,
            "files": list(self.files),
        }


def lines(entries: Iterable[Entry], replies: Iterable[MessageOut], *, agent: str) -> list[Line]:
    """Both sides by their numbers, which say what came before what; secrets of known shape are taken out."""
    found = [_said(each) for each in entries] + [_answered(each, agent) for each in replies]
    return sorted((each for each in found if each is not None), key=lambda each: each.number)


def text(found: Sequence[Line]) -> str:
    """As Markdown."""
    parts = []
    for each in found:
        when = datetime.fromtimestamp(each.at / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        files = f" [{', '.join(each.files)}]" if each.files else ""
        parts.append(f"**{each.who or 'Roost'}** ({when}){files}: {each.text}")
    return "\n\n".join(parts)


def _said(entry: Entry) -> Line | None:
    message = entry.message
    match message.content:
        case ChatIn() if message.content.model_dump_json() == STRUCK:
            return None
        case ChatIn() as said:
            files = [each.name for each in said.attachments]
            return Line(message.seq, message.created_at, said.sender, screened(said.text), files)
        case TaskIn() as task:
            return Line(message.seq, message.created_at, None, screened(f"(scheduled) {task.prompt}"))
        case WebhookIn() as hook:
            return Line(message.seq, message.created_at, hook.source, screened(str(hook.payload)))
        case SystemIn():
            return None


def _answered(message: MessageOut, agent: str) -> Line | None:
    match message.content:
        case ChatOut() as said:
            shown = said.text or ("" if said.card is None else said.card.title)
            files = [each.name for each in said.attachments]
            return Line(message.seq, message.created_at, agent, screened(shown), files)
        case ActionOut(do=AskQuestion() as asked):
            return Line(message.seq, message.created_at, agent, screened(f"(asked) {asked.question}"))
        case _:
            return None
