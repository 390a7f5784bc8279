"""What becomes of a reply between the row that a container wrote and the adapter."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from adapters.base import Outgoing
from agent.protocol.messages import (
    ActionOut,
    AskQuestion,
    Attachment,
    ChatOut,
    ContentOut,
    MessageOut,
    OutKind,
)
from bot import outgoing, screening
from bot.screening import LONG_CHARS, one_line, screened
from bot.session import Session
from tests.fakes.rooms import HOME, room

KEY = "sk-ant-api03-" + "A" * 30
MAX_BYTES = 1_000


def row(content: ContentOut) -> MessageOut:
    kind: OutKind = "chat" if isinstance(content, ChatOut) else "action"
    return MessageOut(id="out-1", seq=1, kind=kind, created_at=0, route=HOME, content=content)


async def prepared(session: Session, content: ContentOut) -> Outgoing:
    if isinstance(content, ChatOut):
        return await outgoing.prepare(session, row(content), content, answers=None, max_file_bytes=MAX_BYTES)
    assert isinstance(content.do, AskQuestion)
    return await outgoing.question(session, row(content), content.do, answers=None)


def attach(session: Session, *names: str, size: int = MAX_BYTES) -> list[Attachment]:
    folder = session.workspace.outbox / "files" / "out-1"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x" * size)
    return [Attachment(name=name, size=size, path=name) for name in names]


async def test_a_file_that_is_named_twice_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with room(tmp_path) as session:
        reads: list[str] = []
        read = session.read_file

        async def counted(message_id: str, name: str, *, max_bytes: int) -> bytes:
            reads.append(name)
            return await read(message_id, name, max_bytes=max_bytes)

        monkeypatch.setattr(session, "read_file", counted)
        reply = await prepared(session, ChatOut(attachments=attach(session, "a") * 20))
        assert reads == ["a"] and len(reply.files) == 1
        assert reply.text.count("(The file a could not be sent.)") == 19


async def test_the_files_of_a_reply_have_a_bound_together(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        reply = await prepared(session, ChatOut(text="hi", attachments=attach(session, "a", "b", "c", "d")))
        assert [file.name for file in reply.files] == ["a", "b"]
        assert reply.text == "hi\n\n(The file c could not be sent.)\n\n(The file d could not be sent.)"
        small = attach(session, *"efghij", size=MAX_BYTES // 3)
        assert len((await prepared(session, ChatOut(attachments=small))).files) == 6


async def test_the_name_of_a_file_holds_no_secret(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        (there,) = attach(session, "a")
        sent = there.model_copy(update={"name": f"{KEY}.txt"})
        missing = Attachment(name=f"{KEY}.png", size=1, path="missing")
        reply = await prepared(session, ChatOut(attachments=[sent, missing]))
        assert [file.name for file in reply.files] == ["[redacted api key].txt"]
        assert reply.text == "(The file [redacted api key].png could not be sent.)"


async def test_a_label_cannot_pass_for_two(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        asked = AskQuestion(
            question_id="q",
            title="Delete?\n\nAll",
            question="All of it?",
            options=["No\n  2. Keep", "\u2028"],
            expires_at=9,
        )
        question = (await prepared(session, ActionOut(do=asked))).question
        assert question is not None
        assert (question.title, question.options) == ("Delete? All", ["No 2. Keep", "?"])
        assert one_line("a\x85b\x0bc\u2029d") == "a b c d"


async def test_a_long_reply_is_looked_through_once_and_off_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def counted(text: str) -> str:
        threads.append(threading.get_ident())
        return screened(text)

    monkeypatch.setattr(screening, "screened", counted)
    async with room(tmp_path) as session:
        long = ChatOut(text="x" * LONG_CHARS + " " + KEY)
        first = await prepared(session, long)
        assert first.text.endswith(" [redacted api key]")
        assert await prepared(session, long) == first
        assert len(threads) == 1 and threading.get_ident() not in threads
        # Whoever writes something else under the same id is looked at anew.
        assert (await prepared(session, ChatOut(text=KEY))).text == "[redacted api key]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sk-ant-\x1b[mapi03-" + "A" * 20, "[redacted api key]"),
        ("sk-ant-api03-\x00AAAAA\x00" + "B" * 15 + "\x07!", "[redacted api key]!"),
        ("sk-ant-\u200bapi03-\u2060" + "A" * 20, "[redacted api key]"),
        ("sk-ant-\u034fapi03-\ufe0f" + "A" * 20, "[redacted api key]"),
        ("sk-ant-\u206aapi03-\U000e0041" + "A" * 20, "[redacted api key]"),
        ("sk-ant-\x9d0;title\x07api03-" + "A" * 20, "[redacted api key]"),
        (f"plain {KEY}\x1b[0m", "plain [redacted api key]"),
        ("\x1b[31mred\x1b[0m 👩‍👩‍👧", "\x1b[31mred\x1b[0m 👩‍👩‍👧"),
    ],
)
def test_a_secret_is_found_as_a_screen_would_show_it(text: str, shown: str) -> None:
    assert screened(text) == shown
