"""From a row that a container wrote to a reply that an adapter can send."""

from __future__ import annotations

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
from agent.protocol.snapshot import SnapshotError
from bot import log
from bot.db.deliveries import Notice
from bot.db.questions import QuestionRecord
from bot.redaction import redact
from bot.session import Session

_log = log.get("roost.outgoing")


async def prepare(
    session: Session, message: MessageOut, said: ChatOut, *, answers: str | None, max_file_bytes: int
) -> Outgoing:
    """The reply with its files read, and secrets of known shape taken out. A file that cannot be read is
    named in the text instead: a reply is never dropped for one."""
    files, missing = await _files(session, message.id, said.attachments, max_file_bytes)
    card = None if said.card is None else _card(session, said.card)
    text = said.text if card is None or said.text.strip() else in_words(card)
    body = "\n\n".join(part for part in (text, *missing) if part)
    return Outgoing(
        id=message.id,
        route=message.route,
        text=_screened(session, body),
        files=files,
        answers=answers,
        turn_id=message.turn_id,
        card=card,
    )


def question(session: Session, message: MessageOut, asked: AskQuestion, *, answers: str | None) -> Outgoing:
    """A question with its options."""
    shown = Question(
        id=asked.question_id,
        title=_screened(session, asked.title),
        question=_screened(session, asked.question),
        options=[_screened(session, option) for option in asked.options],
    )
    return Outgoing(message.id, message.route, "", question=shown, answers=answers, turn_id=message.turn_id)


def still_open(asked: QuestionRecord, turn_id: str) -> Open:
    """A question that was shown by an earlier service."""
    shown = Question(
        asked.id, redact(asked.title), redact(asked.question), [redact(each) for each in asked.options]
    )
    return Open(asked.route, shown, turn_id)


def edit(
    session: Session, message: MessageOut, text: str, edited: Edit, *, route: Route, answers: str | None
) -> Outgoing:
    """A text in the place of another one."""
    return Outgoing(
        message.id, route, _screened(session, text), answers=answers, turn_id=message.turn_id, edit=edited
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


def notice(said: Notice) -> Outgoing:
    """The service speaking for itself."""
    return Outgoing(id=said.id, route=said.route, text=said.text, answers=said.answers, notice=True)


async def _files(
    session: Session, message_id: str, attachments: list[Attachment], max_bytes: int
) -> tuple[list[OutgoingFile], list[str]]:
    files: list[OutgoingFile] = []
    missing: list[str] = []
    for attachment in attachments:
        try:
            data = await session.read_file(message_id, attachment.path, max_bytes=max_bytes)
        except SnapshotError as exc:
            _log.warning("a file was not sent: %s", exc, session=session.id, message=message_id)
            missing.append(f"(The file {attachment.name} could not be sent.)")
        else:
            files.append(OutgoingFile(attachment.name, attachment.media_type, data))
    return files, missing


def _card(session: Session, card: Card) -> Card:
    """What stands in the place of a secret may be longer than the secret was."""

    def fit(text: str, limit: int) -> str:
        return _screened(session, text)[:limit]

    return Card(
        title=fit(card.title, MAX_CARD_NAME_CHARS),
        text=fit(card.text, MAX_CARD_TEXT_CHARS),
        fields=[
            CardField(name=fit(each.name, MAX_CARD_NAME_CHARS), value=fit(each.value, MAX_CARD_VALUE_CHARS))
            for each in card.fields
        ],
    )


def _screened(session: Session, text: str) -> str:
    screened = redact(text)
    if screened != text:
        _log.error("a reply held a secret, which was taken out", session=session.id)
    return screened
