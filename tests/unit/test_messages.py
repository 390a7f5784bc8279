"""The values of the wall: what goes into a row comes out of it, and what does not fit is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from agent.protocol.messages import (
    MAX_ATTACHMENTS,
    MAX_SEQ,
    MAX_TEXT_CHARS,
    ActionOut,
    Answer,
    AskQuestion,
    Attachment,
    ChatIn,
    ChatOut,
    Clear,
    Destination,
    Interrupt,
    MessageIn,
    MessageOut,
    Quote,
    Route,
    SystemIn,
    TaskIn,
    WebhookIn,
    is_new,
)

TEXT = st.text(st.characters(codec="utf-8"))
ROUTE = Route(channel="discord", platform_id="1", thread_id="7")
FILE = Attachment(name="a b.txt", media_type="text/plain", size=3, path="a b.txt")


def incoming(kind: Any, content: Any) -> MessageIn:
    return MessageIn(id="m2", seq=2, event_id="e", kind=kind, created_at=1, route=ROUTE, content=content)


def outgoing(kind: Any, content: Any) -> MessageOut:
    return MessageOut(id="o1", seq=1, kind=kind, created_at=1, route=ROUTE, content=content)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("chat", ChatIn(sender="Ada", text="hi", attachments=[FILE], reply_to=Quote(sender="Bob", text="?"))),
        ("chat", ChatIn(sender="Ada", text="/compact", native=True)),
        ("chat", ChatIn(sender="Ada", text="What now?", before=[Quote(sender="Bob", text="It is down.")])),
        ("task", TaskIn(prompt="Report", series="weekly")),
        ("webhook", WebhookIn(source="ci", payload={"a": [1, None, 2.5, {"b": "c"}]})),
        ("system", SystemIn(system=Interrupt(turn_id="m2"))),
        ("system", SystemIn(system=Clear())),
        ("system", SystemIn(system=Answer(question_id="q", question="Which?", answer=None))),
    ],
)
def test_what_the_host_writes_comes_back(kind: str, content: Any) -> None:
    message = incoming(kind, content)
    row = {**message.to_row(), "trigger": 1}
    assert MessageIn.from_row(row) == message


def test_an_older_runner_reads_a_chat_before_which_nothing_was_said() -> None:
    alone = incoming("chat", ChatIn(sender="Ada", text="hi"))
    called = incoming("chat", ChatIn(sender="Ada", text="hi", before=[Quote(sender="Bob", text="down")]))
    assert "before" not in json.loads(alone.to_row()["content"]) and not is_new(alone)
    assert "before" in json.loads(called.to_row()["content"]) and is_new(called)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("chat", ChatOut(text="hi", attachments=[FILE])),
        (
            "action",
            ActionOut(do=AskQuestion(question_id="q", title="T", question="?", options=["a"], expires_at=5)),
        ),
    ],
)
def test_what_the_agent_writes_comes_back(kind: str, content: Any) -> None:
    message = outgoing(kind, content)
    assert MessageOut.from_row(message.to_row()) == message


@given(TEXT, TEXT.filter(bool))
def test_any_text_comes_back(text: str, sender: str) -> None:
    message = incoming("chat", ChatIn(sender=sender[:500], text=text))
    assert MessageIn.from_row({**message.to_row(), "trigger": 1}) == message


@pytest.mark.parametrize(
    "change",
    [
        {"seq": 0},
        {"seq": MAX_SEQ + 1},
        {"seq": 2.0},
        {"seq": "2"},
        {"id": ""},
        {"id": "x" * 201},
        {"id": b"m2"},
        {"channel": None},
        {"kind": "telepathy"},
        {"kind": "task"},
        {"content": "{"},
        {"content": b"\xff"},
        {"content": '{"sender": "Ada", "text": "hi", "more": 1}'},
        {"content": '{"sender": "Ada", "text": "\\ud800"}'},
        {"created_at": -1},
        {"status": "lost"},
        {"tries": -1},
    ],
)
def test_a_row_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    row = {**incoming("chat", ChatIn(sender="Ada", text="hi")).to_row(), "trigger": 1, **change}
    with pytest.raises((ValidationError, ValueError)):
        MessageIn.from_row(row)


@pytest.mark.parametrize("path", ["", ".", "..", "...", "a/b", "/etc/passwd", "../x", "a\x00b", "x" * 256])
def test_an_attachment_lies_in_its_own_folder(path: str) -> None:
    with pytest.raises(ValidationError):
        Attachment(name="x", size=1, path=path)


@pytest.mark.parametrize("path", ["a", ".a", "a.", "..a", "a b", "ä\n", "x" * 255])
def test_a_plain_name_is_fine(path: str) -> None:
    assert Attachment(name="x", size=1, path=path).path == path


def test_there_is_a_limit_to_everything() -> None:
    ChatOut(text="x" * MAX_TEXT_CHARS, attachments=[FILE] * MAX_ATTACHMENTS)
    with pytest.raises(ValidationError):
        ChatOut(text="x" * (MAX_TEXT_CHARS + 1))
    with pytest.raises(ValidationError):
        ChatOut(attachments=[FILE] * (MAX_ATTACHMENTS + 1))
    with pytest.raises(ValidationError):
        Destination(name="with space", display_name="x", route=ROUTE)


def test_a_value_does_not_change() -> None:
    values: list[BaseModel] = [ROUTE, FILE, incoming("chat", ChatIn(sender="Ada", text="hi"))]
    for value in values:
        with pytest.raises(ValidationError):
            setattr(value, next(iter(type(value).model_fields)), "changed")
