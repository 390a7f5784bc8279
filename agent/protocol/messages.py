"""What host and agent say to each other: one frozen value per kind of row.

A row is a `MessageIn` (host to agent) or a `MessageOut` (agent to host). Its columns address it; its
`content` is one of the content classes below, chosen by `kind`. Everything here validates what it is
given, because the host reads `MessageOut` rows that a hostile container may have written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from agent.protocol.requests import AnyRequest
from agent.protocol.values import MAX_ID_CHARS as MAX_ID_CHARS
from agent.protocol.values import MAX_SEQ as MAX_SEQ
from agent.protocol.values import MAX_TEXT_CHARS as MAX_TEXT_CHARS
from agent.protocol.values import Frozen as Frozen
from agent.protocol.values import Id as Id
from agent.protocol.values import Label as Label
from agent.protocol.values import Millis as Millis
from agent.protocol.values import Name as Name
from agent.protocol.values import Seq as Seq
from agent.protocol.values import Text as Text

MAX_ATTACHMENTS: Final = 20
MAX_OPTIONS: Final = 25
MAX_QUESTION_CHARS: Final = 4_000
"""Of a question: what is longer is a reply, with the question behind it."""
MAX_SCHEDULE_CHARS: Final = 2_000
"""Of a schedule's prompt and of its recurrence, as an agent is shown them."""
MAX_SCRIPT_CHARS: Final = 64 * 1024
MAX_CARD_FIELDS: Final = 25
MAX_CARD_NAME_CHARS: Final = 256
"""Of its title and of each field's name."""
MAX_CARD_VALUE_CHARS: Final = 1_024
MAX_CARD_TEXT_CHARS: Final = 4_000
USED_KEY: Final = "used"
USED_TURNS: Final = 20
"""Under this key of session_state a runner keeps what so many of its latest turns have used, as JSON."""
MAX_BEFORE: Final = 30
"""Messages of a thread that are told to an agent that is called into it."""

Tokens = Annotated[int, Field(ge=0, le=1_000_000_000)]
When = Annotated[str, Field(min_length=1, max_length=200)]
Script = Annotated[str, Field(max_length=MAX_SCRIPT_CHARS)]


class Route(Frozen):
    """Where a message comes from or goes to: a channel adapter, a place on its platform, a thread in it."""

    channel: Id
    platform_id: Id
    thread_id: Id | None = None


class Attachment(Frozen):
    """A file beside a message. `path` is a plain file name inside the message's own files folder."""

    name: Label
    media_type: Label = "application/octet-stream"
    size: Annotated[int, Field(ge=0, le=MAX_SEQ)]
    path: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^/\x00]*[^/\x00.][^/\x00]*$")]


class Quote(Frozen):
    """What somebody had said before: the message that a person replied to, or one of a thread."""

    sender: Label
    text: Text


# ---------------------------------------------------------------- host to agent


class ChatIn(Frozen):
    """A person's message, or another `bot`'s. `native` marks a provider's slash command that the host parsed and let
    through. `before` is what was said in its thread before the agent was called into it, the oldest first. One of an
    `agent` was said by another agent of the same service, whose name the sender is."""

    sender: Label
    text: Text
    attachments: Annotated[list[Attachment], Field(max_length=MAX_ATTACHMENTS)] = Field(default_factory=list)
    reply_to: Quote | None = None
    native: bool = False
    bot: bool = False
    agent: bool = False
    before: Annotated[list[Quote], Field(max_length=MAX_BEFORE)] = Field(default_factory=list)

    @model_serializer(mode="wrap")
    def _without_nothing(self, as_usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A runner of an older version reads no row with a field that it does not know.
        fields: dict[str, Any] = as_usual(self)
        if not self.before:
            fields.pop("before", None)
        if not self.agent:
            fields.pop("agent", None)
        return fields


class TaskIn(Frozen):
    """Scheduled work that has come due. Its `script`, where there is one, runs first and may find that there is
    nothing to do."""

    prompt: Text
    series: Label | None = None
    script: Script | None = None


class WebhookIn(Frozen):
    """What another system sent; `payload` is any JSON."""

    source: Label
    payload: Any


class Interrupt(Frozen):
    """Stop the turn `turn_id`, or whatever turn runs when it is None. Handled out of order."""

    type: Literal["interrupt"] = "interrupt"
    turn_id: Id | None = None


class Clear(Frozen):
    """Forget the continuation. Handled in order: what was said before it is answered with the old memory."""

    type: Literal["clear"] = "clear"


class SetModel(Frozen):
    """Use this model from now on; None: the configured one. Handled in order."""

    type: Literal["model"] = "model"
    model: Label | None


class Answer(Frozen):
    """A person's answer to a question that the agent asked; None when nobody answered in time."""

    type: Literal["answer"] = "answer"
    question_id: Id
    question: Text
    answer: Text | None
    answered_by: Label | None = None


class ActionResult(Frozen):
    """What became of an action row, or why a message was not delivered."""

    type: Literal["action_result"] = "action_result"
    message_id: Id
    ok: bool
    text: Text


class Note(Frozen):
    """Something that the host wants the agent to know."""

    type: Literal["note"] = "note"
    text: Text


class Edited(Frozen):
    """Somebody has changed what they had said in the message of this number; `text` is how it reads now."""

    type: Literal["edited"] = "edited"
    seq: Seq
    text: Text
    by: Label


class Withdrawn(Frozen):
    """The message of this number was deleted where it was said; by None where its platform does not say by whom."""

    type: Literal["withdrawn"] = "withdrawn"
    seq: Seq
    by: Label | None = None


class Reacted(Frozen):
    """Somebody has put an emoji on the agent's own message of this number, or taken it away again."""

    type: Literal["reacted"] = "reacted"
    seq: Seq
    emoji: Label
    by: Label
    taken_back: bool = False


AnySystem = Interrupt | Clear | SetModel | Answer | ActionResult | Note | Edited | Withdrawn | Reacted
System = Annotated[AnySystem, Field(discriminator="type")]


class SystemIn(Frozen):
    """The host speaking for itself."""

    system: System


InKind = Literal["chat", "task", "webhook", "system"]
ContentIn = ChatIn | TaskIn | WebhookIn | SystemIn
InStatus = Literal["pending", "completed", "failed"]

# ---------------------------------------------------------------- agent to host


class CardField(Frozen):
    """A named value on a card."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_CARD_NAME_CHARS)]
    value: Annotated[str, Field(max_length=MAX_CARD_VALUE_CHARS)]


class Card(Frozen):
    """Something that is looked at rather than read: a title, a text, named values."""

    title: Annotated[str, Field(min_length=1, max_length=MAX_CARD_NAME_CHARS)]
    text: Annotated[str, Field(max_length=MAX_CARD_TEXT_CHARS)] = ""
    fields: Annotated[list[CardField], Field(max_length=MAX_CARD_FIELDS)] = Field(default_factory=list)


class ChatOut(Frozen):
    """A reply, with files from the message's own folder under out/files. A `card` is shown in the place of the
    text where the channel has cards. A `failed` one says why there is no answer."""

    text: Text = ""
    attachments: Annotated[list[Attachment], Field(max_length=MAX_ATTACHMENTS)] = Field(default_factory=list)
    card: Card | None = None
    failed: bool = False


class AskQuestion(Frozen):
    """Ask the people of a channel one question and wait for the answer."""

    action: Literal["ask_user_question"] = "ask_user_question"
    question_id: Id
    title: Label
    question: Annotated[str, Field(max_length=MAX_QUESTION_CHARS)]
    options: Annotated[list[Label], Field(max_length=MAX_OPTIONS)] = Field(default_factory=list)
    expires_at: Millis


class EditMessage(Frozen):
    """Put another text in the place of a message of one's own."""

    action: Literal["edit_message"] = "edit_message"
    message: Seq
    text: Annotated[Text, Field(min_length=1)]


class AddReaction(Frozen):
    """React to a message, one's own or a person's."""

    action: Literal["add_reaction"] = "add_reaction"
    message: Seq
    emoji: Annotated[str, Field(min_length=1, max_length=64)]


class ScheduleTask(Frozen):
    """Have something done in this session at a time: `when`, once, or by `recurrence`, again and again."""

    action: Literal["schedule_task"] = "schedule_task"
    prompt: Annotated[Text, Field(min_length=1)]
    when: When | None = None
    recurrence: When | None = None
    timezone: Label | None = None
    script: Script | None = None


class UpdateTask(Frozen):
    """Change what is not None of a schedule; an empty script takes it away."""

    action: Literal["update_task"] = "update_task"
    series_id: Id
    prompt: Annotated[Text, Field(min_length=1)] | None = None
    when: When | None = None
    recurrence: When | None = None
    timezone: Label | None = None
    script: Script | None = None


class ChangeTask(Frozen):
    """Let a schedule rest, go on, or end for good."""

    action: Literal["pause_task", "resume_task", "cancel_task"]
    series_id: Id


class Report(Frozen):
    """Something that an admin has to see to: the provider cannot work as it is configured."""

    action: Literal["report"] = "report"
    problem: Label
    detail: Annotated[str, Field(max_length=4000)] = ""


Action = Annotated[
    AskQuestion | EditMessage | AddReaction | ScheduleTask | UpdateTask | ChangeTask | Report | AnyRequest,
    Field(discriminator="action"),
]


class ActionOut(Frozen):
    """Something that only the host can do. It answers with an ActionResult."""

    do: Action


OutKind = Literal["chat", "action"]
ContentOut = ChatOut | ActionOut
AckStatus = Literal["processing", "completed", "failed"]

_IN: Final[Mapping[str, type[ContentIn]]] = {
    "chat": ChatIn,
    "task": TaskIn,
    "webhook": WebhookIn,
    "system": SystemIn,
}
_OUT: Final[Mapping[str, type[ContentOut]]] = {"chat": ChatOut, "action": ActionOut}


class MessageIn(Frozen):
    """A row of inbound.db. The host's to write; its seq is even."""

    id: Id
    seq: Seq
    event_id: Id
    kind: InKind
    created_at: Millis
    process_after: Millis | None = None
    status: InStatus = "pending"
    tries: Annotated[int, Field(ge=0, le=1000)] = 0
    trigger: bool = True
    route: Route
    content: ContentIn

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> MessageIn:
        """Raises pydantic's ValidationError where the row does not hold what its kind promises."""
        content = _content(_IN, row)
        known = {
            k: row[k]
            for k in ("id", "seq", "event_id", "kind", "created_at", "process_after", "status", "tries")
        }
        return cls(**known, trigger=bool(row["trigger"]), route=_route(row), content=content)

    def to_row(self) -> dict[str, Any]:
        """The columns of messages_in, content as JSON text."""
        return {
            **self.model_dump(exclude={"route", "content"}),
            **self.route.model_dump(),
            "content": self.content.model_dump_json(),
        }


def overheard(message: MessageIn) -> bool:
    """Whether the row is what somebody has said that was not for the agent: it asks for nothing, and nobody waits."""
    return message.kind == "chat" and not message.trigger


def is_new(message: MessageIn) -> bool:
    """Whether a runner of an older version may not be able to read the row."""
    return afterwards(message) is not None or (
        isinstance(message.content, ChatIn) and (bool(message.content.before) or message.content.agent)
    )


def afterwards(message: MessageIn) -> Edited | Withdrawn | Reacted | None:
    """What the row tells of another message; None for one that tells of none."""
    system = message.content.system if isinstance(message.content, SystemIn) else None
    return system if isinstance(system, Edited | Withdrawn | Reacted) else None


def revised_by(message: MessageIn) -> int | None:
    """The number of the message that this row changes or withdraws; None for one that does neither."""
    told = afterwards(message)
    return None if told is None or isinstance(told, Reacted) else told.seq


class MessageOut(Frozen):
    """A row of outbound.db. The agent's to write; its seq is odd."""

    id: Id
    seq: Seq
    in_reply_to: Id | None = None
    kind: OutKind
    created_at: Millis
    deliver_after: Millis | None = None
    turn_id: Id | None = None
    route: Route
    content: ContentOut

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> MessageOut:
        """Raises pydantic's ValidationError where the row does not hold what its kind promises."""
        content = _content(_OUT, row)
        known = {
            k: row[k] for k in ("id", "seq", "in_reply_to", "kind", "created_at", "deliver_after", "turn_id")
        }
        return cls(**known, route=_route(row), content=content)

    def to_row(self) -> dict[str, Any]:
        """The columns of messages_out, content as JSON text."""
        return {
            **self.model_dump(exclude={"route", "content"}),
            **self.route.model_dump(),
            "content": self.content.model_dump_json(),
        }


class Ack(Frozen):
    """How far the agent has come with one message: a row of processing_ack."""

    message_id: Id
    status: AckStatus
    status_changed: Millis
    turn_id: Id | None = None


class Used(Frozen):
    """What a runner says that the turn `turn_id` has used, in tokens. It is a claim, and counts only where nobody else
    can know."""

    turn_id: Id
    model: Label | None = None
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0
    cache_read_tokens: Tokens = 0


class Destination(Frozen):
    """A named place that a session may write to; the agent knows the name and never the ids."""

    name: Name
    display_name: Label
    route: Route


class Schedule(Frozen):
    """Something that is to happen again, or once, in this session: a row of `schedules`, for the agent to know of.

    `prompt` may be cut short. `recurrence` says in words when it happens; None: the host cannot tell any more.
    It has a `next_at` exactly while it is active.
    """

    series_id: Id
    prompt: Annotated[str, Field(max_length=MAX_SCHEDULE_CHARS)]
    recurrence: Annotated[str, Field(max_length=MAX_SCHEDULE_CHARS)] | None
    timezone: Label | None
    status: Literal["active", "paused"]
    next_at: Millis | None


class Receipt(Frozen):
    """What became of one message_out: a row of `delivered`, the host's answer to the agent."""

    message_out_id: Id
    seq: Seq
    status: Literal["sent", "failed"]
    platform_message_id: str | None = None
    error: str | None = None
    at: Millis


_C = TypeVar("_C", ContentIn, ContentOut)


def _content(table: Mapping[str, type[_C]], row: Mapping[str, Any]) -> _C:
    model = table.get(row["kind"])
    if model is None:
        raise ValueError(f"unknown kind {row['kind']!r}")
    return model.model_validate_json(row["content"])


def _route(row: Mapping[str, Any]) -> Route:
    return Route(channel=row["channel"], platform_id=row["platform_id"], thread_id=row["thread_id"])
