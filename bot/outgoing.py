"""From a row that a container wrote to a reply that an adapter can send."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from adapters.base import Edit, Open, Outgoing, OutgoingFile, Question, Reaction
from agent.protocol.messages import (
    MAX_CARD_NAME_CHARS,
    MAX_CARD_TEXT_CHARS,
    MAX_CARD_VALUE_CHARS,
    AskQuestion,
    Attachment,
    Card,
    CardField,
    ChatOut,
    MessageOut,
    Route,
)
from agent.protocol.snapshot import SnapshotError, Violation
from bot import log
from bot.db.deliveries import Notice
from bot.db.questions import QuestionRecord
from bot.screening import one_line, screen, screened
from bot.session import Session

FILES_TOGETHER: Final = 2
"""All files of one reply may be so many times as large as one of them: they are in memory at once."""

_log = log.get("roost.outgoing")


async def prepare(
    session: Session, message: MessageOut, said: ChatOut, *, answers: str | None, max_file_bytes: int
) -> Outgoing:
    """The reply with its files read, and secrets of known shape taken out. A file that cannot be read, or is too
    large with the others, is named in the text instead: a reply is never dropped for one."""
    reply = replace(await _words(session, message, said), answers=answers)
    if not said.attachments:
        return reply
    files, missing = await _files(session, message.id, said.attachments, max_file_bytes)
    text = "\n\n".join(part for part in (reply.text, *missing) if part)
    return replace(reply, files=files, text=text)


async def question(
    session: Session, message: MessageOut, asked: AskQuestion, *, answers: str | None
) -> Outgoing:
    """A question with its options."""
    shown = Question(
        id=asked.question_id,
        title=one_line(_struck(session, asked.title)),
        question=await _screened(session, asked.question),
        options=[one_line(_struck(session, option)) for option in asked.options],
        expires_at=asked.expires_at,
    )
    return Outgoing(message.id, message.route, "", question=shown, answers=answers, turn_id=message.turn_id)


def still_open(asked: QuestionRecord, turn_id: str) -> Open:
    """A question that was shown by an earlier service."""
    shown = Question(
        asked.id,
        one_line(screened(asked.title)),
        screened(asked.question),
        [one_line(screened(each)) for each in asked.options],
        expires_at=asked.expires_at,
    )
    return Open(asked.route, shown, turn_id)


async def edit(
    session: Session, message: MessageOut, text: str, edited: Edit, *, route: Route, answers: str | None
) -> Outgoing:
    """A text in the place of another one."""
    return Outgoing(
        message.id,
        route,
        await _screened(session, text),
        answers=answers,
        turn_id=message.turn_id,
        edit=edited,
    )


def reaction(message: MessageOut, added: Reaction, *, route: Route, answers: str | None) -> Outgoing:
    """An emoji on a message."""
    return Outgoing(message.id, route, "", answers=answers, turn_id=message.turn_id, reaction=added)


def in_words(card: Card) -> str:
    """A card for a channel that has none."""
    return "\n".join(
        part
        for part in (card.title, card.text, *(f"{each.name}: {each.value}" for each in card.fields))
        if part
    )


def size(message: MessageOut) -> int:
    """About how many bytes its words are."""
    content = message.content
    return len(content.text) if isinstance(content, ChatOut) else len(content.model_dump_json())


def notice(said: Notice) -> Outgoing:
    """The service speaking for itself: a text, a card, a text with buttons, or what takes the place of those."""
    buttons = said.more.buttons
    asked = None
    if buttons is not None:
        asked = Question(buttons.card, "", said.text, buttons.labels, expires_at=buttons.expires_at)
    return Outgoing(
        id=said.id,
        route=said.route,
        text="" if asked is not None else said.text,
        question=asked,
        answers=said.answers,
        notice=True,
        edit=Edit(said.shown_as, 0) if said.more.replaces else None,
        card=said.more.card,
        created_at=said.created_at,
    )


async def _words(session: Session, message: MessageOut, said: ChatOut) -> Outgoing:
    """What it says. Only the first of the replies that wait is prepared again and again, so one is remembered."""
    if session.prepared is not None and session.prepared[0] == message:
        return session.prepared[1]
    card = None if said.card is None else _card(session, said.card)
    text = said.text if card is None or said.text.strip() else in_words(card)
    shown = await _screened(session, text)
    reply = Outgoing(id=message.id, route=message.route, text=shown, turn_id=message.turn_id, card=card)
    session.prepared = (message, reply)
    return reply


async def _files(
    session: Session, message_id: str, attachments: list[Attachment], max_bytes: int
) -> tuple[list[OutgoingFile], list[str]]:
    files: list[OutgoingFile] = []
    missing: list[str] = []
    taken: set[str] = set()
    left = FILES_TOGETHER * max_bytes
    for attachment in attachments:
        name = screened(attachment.name)
        try:
            if attachment.path in taken:
                raise Violation("a file of that path was attached already")
            taken.add(attachment.path)
            data = await session.read_file(message_id, attachment.path, max_bytes=min(max_bytes, left))
        except SnapshotError as exc:
            _log.warning("a file was not sent: %s", exc, session=session.id, message=message_id)
            missing.append(f"(The file {name} could not be sent.)")
        else:
            left -= len(data)
            files.append(OutgoingFile(name, attachment.media_type, data))
    return files, missing


def _card(session: Session, card: Card) -> Card:
    """What stands in the place of a secret may be longer than the secret was."""

    def fit(text: str, limit: int) -> str:
        return _struck(session, text)[:limit]

    return Card(
        title=fit(card.title, MAX_CARD_NAME_CHARS),
        text=fit(card.text, MAX_CARD_TEXT_CHARS),
        fields=[
            CardField(name=fit(each.name, MAX_CARD_NAME_CHARS), value=fit(each.value, MAX_CARD_VALUE_CHARS))
            for each in card.fields
        ],
    )


def _struck(session: Session, text: str) -> str:
    """For short texts."""
    return _told(session, text, screened(text))


async def _screened(session: Session, text: str) -> str:
    return _told(session, text, await screen(text))


def _told(session: Session, text: str, shown: str) -> str:
    if shown != text:
        _log.error("a reply held a secret, which was taken out", session=session.id)
    return shown
