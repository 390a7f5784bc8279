"""What a channel adapter is: the two-way translator between one platform and Roost.

In, it turns what the platform says into an `Event` and hands it to the `Host`; a platform is acknowledged
only when `receive` has returned. Out, it renders a reply into `Part`s and sends them one at a time.

    SendFailed                  the platform did not take a part
      x Absent                  nobody is there to take it; it keeps until somebody is
    NotFetched                  a file of a person's could not be had
    NoSecret                    what a platform is reached with cannot be had
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from adapters.offers import CommandInfo
from agent.protocol.messages import Card, Route

EventKind = Literal["message", "command", "answer", "edit", "delete", "reaction", "complete"]
ReceiptState = Literal["accepted", "duplicate", "dropped", "refused"]
OVER: Final = "over"
"""The data of a receipt that refuses an answer because its question has expired."""
AGAIN: Final = "again"
"""The data of a receipt that refuses an event because nothing can be saved now: a platform that delivers what was not
acknowledged once more may do so."""


DIRECT: Final = "@"
"""A place whose id begins so is the direct conversation with the person of the id behind it: an adapter opens it when
something is sent there. Only the service itself writes to such a place, and no event comes from one."""
CARD: Final = "card:"
"""The id of a question begins so where its buttons are the service's own, and what they do is commands. Such a question
is no agent's, nobody answers it with words, and pressing does not close it: the service edits it when it is settled."""


class SendFailed(Exception):
    """Raised when the platform did not take a part.

    `retry_after` is in seconds: None means that trying again is pointless, 0 that the platform has not said when.
    Until then nobody sends anything to this place, or anything at all to a platform that means it `everywhere`.
    """

    def __init__(self, message: str, *, retry_after: float | None, everywhere: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.everywhere = everywhere


class Absent(SendFailed):
    """Raised when nobody is at the other end. It costs no attempt; `Host.present` says when to try again. Where
    `others_may_pass` somebody is there for whom it is not: what stands behind it is tried all the same."""

    def __init__(self, message: str, *, others_may_pass: bool = False) -> None:
        super().__init__(message, retry_after=60.0)
        self.others_may_pass = others_may_pass


class NotFetched(Exception):
    """Raised when a file of a person's could not be had; the text is one sentence for them."""


@dataclass(frozen=True)
class Sender:
    """Who did it. `id` is the platform's own; `name` is what people see and decides nothing. A webhook is a bot as
    well, and the bot's own account is `is_self`. `groups` are the ids of the platform's own groups that they are in, as
    the platform has told: Discord's roles, Slack's user groups."""

    id: str
    name: str
    is_bot: bool = False
    is_self: bool = False
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class IncomingFile:
    """A file that came with an event, staged by the adapter at `path`; the intake moves it away."""

    name: str
    media_type: str
    path: Path


@dataclass(frozen=True)
class RemoteFile:
    """A file that lies with the platform still: it is fetched when its sender may send one. `size` is in bytes, as
    the platform says. `fetch` writes it to a path, at most so many bytes, and raises NotFetched or OSError."""

    name: str
    media_type: str
    size: int
    fetch: Callable[[Path, int], Awaitable[None]]


@dataclass(frozen=True)
class Said:
    """Something that was said in a thread before the agent was called into it. `name` is what people see."""

    name: str
    text: str


@dataclass(frozen=True)
class Event:
    """What a platform told us, normalised. `id` is the platform's own and unique, so that a redelivery
    is known for one. `created_at` is in epoch milliseconds.

    | kind | what somebody did | what belongs to it |
    | --- | --- | --- |
    | message | said something | text, files or remote, reply_to, direct, mentions_bot, mentions_others |
    | command | gave a command | command, arguments |
    | answer | answered a question | question_id, text, or the number of the option, from 0, in `choice` |
    | edit | changed what they had said | about: the id of that event; text is how it reads now |
    | delete | took it back | about, as above; a sender whose id is "" where the platform names none |
    | reaction | put an emoji on a message of ours, or took it away | about: our platform's id of it; text; taken_back |
    | complete | is typing a command | command, arguments so far, `completing`: which of them is being typed |
    """

    id: str
    kind: EventKind
    route: Route
    sender: Sender
    created_at: int
    text: str = ""
    direct: bool = False
    mentions_bot: bool = False
    mentions_others: bool = False
    """It is addressed to somebody, by name, who is not the bot."""
    reply_to: tuple[str, str] | None = None
    files: Sequence[IncomingFile] = ()
    remote: Sequence[RemoteFile] = ()
    """Files as well, in the place of `files`."""
    opens: bool = False
    """It stands in the place itself: its thread is the one in which it is answered, and does not exist before."""
    before: Callable[[], Awaitable[Sequence[Said]]] | None = None
    """Reads what was said in its thread before it, the oldest first: asked only for the first message that is accepted
    there. Bounded by the adapter, and empty where it cannot be had; never raises."""
    command: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    completing: str = ""
    question_id: str = ""
    choice: int | None = None
    about: str = ""
    taken_back: bool = False


@dataclass(frozen=True)
class Answered:
    """What a question was answered with. `by` is the platform's id of whoever did it."""

    text: str
    by: str


@dataclass(frozen=True)
class Question:
    """A question to show with buttons where the platform has them. It is open until `expires_at`, in epoch
    milliseconds."""

    id: str
    title: str
    question: str
    options: Sequence[str]
    expires_at: int | None = None


@dataclass(frozen=True)
class Receipt:
    """What became of an event. `text` is what to show the person, if anything; an answer to what is answered already is
    refused with that as the `data`. `ask` has buttons to show under the text (its id begins with CARD), for this person
    alone where the platform can; what is said to pressing one of them takes their place."""

    state: ReceiptState
    text: str | None = None
    data: Any = None
    ask: Question | None = None


@dataclass(frozen=True)
class Manners:
    """How the wiring of a place wants its agent to behave there."""

    threads: bool = True
    """Whether what is asked in a channel is answered in a thread of its own."""
    streaming: bool = True
    """Whether an answer is shown while it is written."""
    mentions: bool = False
    """Whether an agent may notify people by name; nobody may notify everybody."""
    previews: bool = False
    """Whether the platform may show what is behind a link."""


class Notes(Protocol):
    """What an adapter has to remember beyond a restart, in bot.db: texts by keys, which begin with the adapter's
    name. Each raises NotSaved."""

    async def get(self, key: str) -> str | None:
        """The text, where there is one."""

    async def all(self, prefix: str) -> Mapping[str, str]:
        """Those whose keys begin so."""

    async def put(self, key: str, text: str) -> None:
        """Returns when it is durable."""

    async def drop(self, key: str) -> None:
        """Absent is success."""


class NotSaved(Exception):
    """Raised when bot.db cannot be read or written now."""


class NoSecret(Exception):
    """Raised when what an adapter logs in with cannot be had; the text is one sentence for the operator."""


class Host(Protocol):
    """What an adapter may ask of the service. Whatever people do is an event, a stop button included: it is
    the command `stop`, whose receipt says in its data whether anything was `stopped`."""

    @property
    def notes(self) -> Notes:
        """What adapters have to remember."""

    async def receive(self, event: Event) -> Receipt:
        """Returns when the event is durable, or known to be nobody's business."""

    def present(self, channel: str, platform_id: str) -> None:
        """Somebody is there again: what was kept for this place can go out."""

    def commands(self) -> Sequence[CommandInfo]:
        """The commands that people may use in a channel."""

    def manners(self, route: Route) -> Manners:
        """How the agent behaves in a place."""

    def trouble(self, channel: str, text: str | None) -> None:
        """What keeps an adapter from working, in one sentence for the operator; None when it works (again)."""

    def place(self, channel: str, platform_id: str, name: str | None, *, gone: bool = False) -> None:
        """What people call a place now, as far as the platform says, and whether it was deleted for good. Told as often
        as an adapter likes: what is known already costs nothing."""


@dataclass(frozen=True)
class OutgoingFile:
    """A file to send: its bytes were read out of the session's hostile folder already."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True)
class Edit:
    """The message whose text is to be replaced: the platform's `ids` of the parts that hold it now, in their
    order, and the `number` by which its agent knows it."""

    ids: Sequence[str]
    number: int


@dataclass(frozen=True)
class Reaction:
    """An emoji to put on a message: on one of ours by the platform's id of its first part (`message`), or on a
    person's by the id of its `event`."""

    emoji: str
    number: int
    message: str | None = None
    event: str | None = None


@dataclass(frozen=True)
class Outgoing:
    """A reply on its way out. `answers` is the id of the event that it answers, where there is one, and `ends`
    those of all events that have ended with its turn, as far as that is known; `turn_id` ties it to live text; a
    notice is the service speaking, not the agent.

    With an `edit`, `text` takes the place of what stands there; a `card` is shown in the place of `text` where
    the channel has cards; a `reaction` is all that there is to it. `session` and `id` together are unique; an
    agent chooses the `id`.
    """

    id: str
    route: Route
    text: str
    files: Sequence[OutgoingFile] = ()
    question: Question | None = None
    answers: str | None = None
    turn_id: str | None = None
    notice: bool = False
    edit: Edit | None = None
    reaction: Reaction | None = None
    card: Card | None = None
    ends: tuple[str, ...] = ()
    session: str = ""
    created_at: int = 0
    """When it was written, in epoch milliseconds, as far as whoever wrote it can be believed; 0: nobody knows."""
    footer: str | None = None
    """One short line in small print beneath all of its text: plain text of the service's own, the same at every try."""


@dataclass(frozen=True)
class Part:
    """The piece of a reply that one call to the platform can carry. One that `replaces` a part of an earlier
    message takes its place, or takes it away where it has no text. `since`, in epoch milliseconds, says that nobody
    knows whether an earlier attempt was taken, and when that was at the earliest; None: there was none."""

    outgoing: Outgoing
    index: int
    text: str = ""
    file: OutgoingFile | None = None
    replaces: str | None = None
    since: int | None = None


@dataclass(frozen=True)
class Live:
    """All of the answer so far, for a channel that can show an answer as it is written."""

    route: Route
    turn_id: str
    text: str
    answers: str | None = None
    """The event that the turn began with."""


@dataclass(frozen=True)
class Working:
    """A turn runs for this place, or no longer does."""

    route: Route
    on: bool
    progress: str | None = None


@dataclass(frozen=True)
class Settled:
    """The event came to its end: everything that answers it was sent (or has failed visibly)."""

    route: Route
    event_id: str
    turn_id: str | None
    ok: bool


@dataclass(frozen=True)
class Open:
    """The question was shown before the service was started anew, and still waits for its answer: for a channel that
    has to remember what it has asked."""

    route: Route
    question: Question
    turn_id: str | None


Update = Live | Working | Settled | Open


class Adapter(Protocol):
    """One platform. At most one of each name."""

    name: str

    async def run(self, host: Host) -> None:
        """Connects and hands in events until cancelled. What it raises ends the service."""

    def render(self, outgoing: Outgoing) -> list[Part]:
        """Cuts a reply into parts, at least one, the same ones every time. Pure."""

    async def send(self, part: Part) -> str | None:
        """Sends one part and returns the platform's id of it, None for what was taken away. Raises SendFailed."""

    async def show(self, update: Update) -> None:
        """Best effort: shows what is going on. Must not raise and may do nothing."""


def replacing(outgoing: Outgoing, edit: Edit, texts: Sequence[str]) -> list[Part]:
    """The parts of an edit whose text was cut into `texts`: one for each that stands there, to be replaced or
    taken away, and new ones for what has no room in them."""
    count = max(len(texts), len(edit.ids))
    return [
        Part(
            outgoing,
            index,
            text=texts[index] if index < len(texts) else "",
            replaces=edit.ids[index] if index < len(edit.ids) else None,
        )
        for index in range(count)
    ]


def clean(text: str) -> str:
    """Text that every store and every platform can hold: lone surrogates and NUL become U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
