"""From a row that a container wrote to a reply that an adapter can send."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from adapters.base import Outgoing, OutgoingFile, Question
from agent.protocol.messages import ActionOut, Attachment, ChatOut, MessageOut
from agent.protocol.snapshot import SnapshotError, Violation
from bot import log
from bot.db.deliveries import Notice
from bot.screening import one_line, screen, screened
from bot.session import Session

FILES_TOGETHER: Final = 2
"""All files of one reply may be so many times as large as one of them: they are in memory at once."""

_log = log.get("roost.outgoing")


async def prepare(
    session: Session, message: MessageOut, *, answers: str | None, max_file_bytes: int
) -> Outgoing:
    """The reply with its files read, and secrets of known shape taken out. A file that cannot be read, or is too
    large with the others, is named in the text instead: a reply is never dropped for one."""
    reply = replace(await _words(session, message), answers=answers)
    if not isinstance(message.content, ChatOut) or not message.content.attachments:
        return reply
    files, missing = await _files(session, message.id, message.content.attachments, max_file_bytes)
    text = "\n\n".join(part for part in (reply.text, *missing) if part)
    return replace(reply, files=files, text=text)


def size(message: MessageOut) -> int:
    """About how many bytes its words are."""
    match message.content:
        case ChatOut(text=text):
            return len(text)
        case ActionOut(do=asked):
            return sum(map(len, (asked.title, asked.question, *asked.options)))


def notice(said: Notice) -> Outgoing:
    """The service speaking for itself."""
    return Outgoing(id=said.id, route=said.route, text=said.text, answers=said.answers, notice=True)


async def _words(session: Session, message: MessageOut) -> Outgoing:
    """What it says. Only the first of the replies that wait is prepared again and again, so one is remembered."""
    if session.prepared is not None and session.prepared[0] == message:
        return session.prepared[1]
    reply = Outgoing(id=message.id, route=message.route, text="", turn_id=message.turn_id)
    match message.content:
        case ChatOut(text=text):
            reply = replace(reply, text=await _screened(session, text))
        case ActionOut(do=asked):
            question = Question(
                id=asked.question_id,
                title=one_line(await _screened(session, asked.title)),
                question=await _screened(session, asked.question),
                options=[one_line(await _screened(session, option)) for option in asked.options],
                expires_at=asked.expires_at,
            )
            reply = replace(reply, question=question)
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


async def _screened(session: Session, text: str) -> str:
    shown = await screen(text)
    if shown != text:
        _log.error("a reply held a secret, which was taken out", session=session.id)
    return shown
