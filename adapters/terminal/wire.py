"""What a terminal and its seat say to each other: one frame a line, JSON, at most MAX_LINE bytes.

client -> seat: Say, Command, Stop.   seat -> client: Receipt, Shown, Live, Working, Settled.

    WireError                   a line is no frame, or a frame is too long for a line
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from adapters import base
from adapters.terminal.text import card_lines, edited, printable, reacted
from agent.protocol.messages import MAX_ATTACHMENTS, Card, Frozen, Id, Label, Text

MAX_LINE: Final = 64 * 1024 * 1024
"""Bytes of one line: the limit for the StreamReader at either end of a socket."""
MAX_FILES_BYTES: Final = 32 * 1024 * 1024
"""Bytes of all files of one message: base64 makes a third more of them, and the text has to fit beside."""


class WireError(Exception):
    """Raised for a line that is no frame; the other end is no terminal of ours."""


class _Frame(Frozen):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


class File(_Frame):
    """A file beside a message; base64 within the line."""

    name: Label
    media_type: Label = "application/octet-stream"
    data: bytes


class Say(_Frame):
    """A message, or the answer to an open question. `id` is the client's, unique on its link."""

    frame: Literal["say"] = "say"
    id: Id
    text: Text
    files: list[File] = Field(default_factory=list, max_length=MAX_ATTACHMENTS)


class Command(_Frame):
    """A command of the service."""

    frame: Literal["command"] = "command"
    id: Id
    name: Label
    arguments: dict[str, str] = Field(default_factory=dict)


class Stop(_Frame):
    """Stop the turn that runs."""

    frame: Literal["stop"] = "stop"
    id: Id


class Receipt(_Frame):
    """What became of the frame `id`. Every client frame gets one."""

    frame: Literal["receipt"] = "receipt"
    id: Id
    state: base.ReceiptState
    text: str | None = None
    data: Any = None
    ask: Question | None = None


class Question(_Frame):
    """A question; a Say with an option's number or label answers it, or any Say where there are no options. A `card` is
    the service's own, and nobody waits for what is chosen."""

    title: str
    question: str
    options: list[str] = Field(default_factory=list)
    card: bool = False


class About(_Frame):
    """What happened to an earlier message, of which the beginning is quoted where it is known: it has another text
    now, or it got a reaction."""

    quote: str = ""
    reaction: str | None = None


class Shown(_Frame):
    """A reply. `files` are the paths at which its files were saved; a notice is the service speaking; a card
    stands in the place of the text, and a footer is one line beneath it all. `own`: it answers what was said from this
    seat."""

    frame: Literal["shown"] = "shown"
    text: str = ""
    files: list[str] = Field(default_factory=list)
    turn_id: str | None = None
    notice: bool = False
    question: Question | None = None
    card: Card | None = None
    about: About | None = None
    footer: str | None = None
    own: bool = False


class Live(_Frame):
    """More of the answer of `turn_id`. `offset` counts characters; 0 starts anew, a gap means: wait for Shown."""

    frame: Literal["live"] = "live"
    turn_id: str
    offset: Annotated[int, Field(ge=0)]
    text: str


class Working(_Frame):
    """A turn runs, or no longer does; `progress` says in words what it does."""

    frame: Literal["working"] = "working"
    on: bool
    progress: str | None = None


class Settled(_Frame):
    """Everything that answers the Say `id` was shown, or has failed visibly."""

    frame: Literal["settled"] = "settled"
    id: str
    turn_id: str | None = None
    ok: bool = True


ClientFrame = Say | Command | Stop
SeatFrame = Receipt | Shown | Live | Working | Settled
_CLIENT: Final[TypeAdapter[ClientFrame]] = TypeAdapter(Annotated[ClientFrame, Field(discriminator="frame")])
_SEAT: Final[TypeAdapter[SeatFrame]] = TypeAdapter(Annotated[SeatFrame, Field(discriminator="frame")])


def in_words(shown: Shown) -> str:
    """What a terminal prints of a reply besides its question and its files, printable."""
    match shown:
        case Shown(about=About(reaction=str(emoji), quote=quote)):
            return reacted(emoji, quote)
        case Shown(about=About(quote=quote)):
            return edited(shown.text.strip("\n"), quote)
        case Shown(card=Card() as card):
            fields = [(each.name, each.value) for each in card.fields]
            return card_lines(title=card.title, text=card.text, fields=fields)
    return printable(shown.text)


def encode(frame: ClientFrame | SeatFrame) -> bytes:
    """One line with its newline. Raises WireError for a frame that is longer than MAX_LINE."""
    line = frame.model_dump_json().encode("utf-8") + b"\n"
    if len(line) > MAX_LINE:
        raise WireError(f"a frame of {len(line)} bytes is longer than a line may be")
    return line


def decode_client(line: bytes) -> ClientFrame:
    """Raises WireError for what no client says."""
    try:
        return _CLIENT.validate_json(line)
    except ValidationError as exc:
        raise WireError(_first(exc)) from exc


def decode_seat(line: bytes) -> SeatFrame:
    """Raises WireError for what no seat says."""
    try:
        return _SEAT.validate_json(line)
    except ValidationError as exc:
        raise WireError(_first(exc)) from exc


def match_answer(text: str, options: Sequence[str]) -> str | None:
    """The label that `text` chooses: by label, whatever its case, else by number from 1. Without options, `text`."""
    said = text.strip()
    if not options:
        return said or None
    for label in options:
        if label.strip().casefold() == said.casefold():
            return label
    if said.isdecimal() and len(said) < 4 and 1 <= int(said) <= len(options):
        return options[int(said) - 1]
    return None


def _first(exc: ValidationError) -> str:
    error = exc.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(step) for step in error["loc"])
    return f"{where}: {error['msg']}" if where else error["msg"]
