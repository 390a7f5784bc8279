"""From a row that a container wrote to a reply that an adapter can send."""

from __future__ import annotations

from adapters.base import Outgoing, OutgoingFile, Question
from agent.protocol.messages import ActionOut, Attachment, ChatOut, MessageOut
from agent.protocol.snapshot import SnapshotError
from bot import log
from bot.db.deliveries import Notice
from bot.redaction import redact
from bot.session import Session

_log = log.get("roost.outgoing")


async def prepare(
    session: Session, message: MessageOut, *, answers: str | None, max_file_bytes: int
) -> Outgoing:
    """The reply with its files read, and secrets of known shape taken out. A file that cannot be read is
    named in the text instead: a reply is never dropped for one."""
    match message.content:
        case ChatOut(text=text, attachments=attachments):
            files, missing = await _files(session, message.id, attachments, max_file_bytes)
            body = "\n\n".join(part for part in (text, *missing) if part)
            return Outgoing(
                id=message.id,
                route=message.route,
                text=_screened(session, body),
                files=files,
                answers=answers,
                turn_id=message.turn_id,
            )
        case ActionOut(do=asked):
            question = Question(
                id=asked.question_id,
                title=_screened(session, asked.title),
                question=_screened(session, asked.question),
                options=[_screened(session, option) for option in asked.options],
            )
            return Outgoing(
                id=message.id,
                route=message.route,
                text="",
                question=question,
                answers=answers,
                turn_id=message.turn_id,
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


def _screened(session: Session, text: str) -> str:
    screened = redact(text)
    if screened != text:
        _log.error("a reply held a secret, which was taken out", session=session.id)
    return screened
