"""One stream: what is known of the message that shows an answer while it is written, and what is kept of that. Pure."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from typing import Any, Final

from adapters.base import Outgoing
from adapters.slack import kit
from adapters.slack.draft import Draft
from adapters.slack.render import message
from agent.protocol.messages import Route

WORDS_CHARS: Final = 40
BELOW: Final = "\n\n"


@dataclass
class Stream:
    """The message of one turn's live text. `text` is None for one of an earlier service."""

    turn_id: str
    route: Route
    answers: str | None
    began_at: int
    text: str | None = None
    ts: str | None = None
    is_open: bool = False
    """Whether Slack streams it: then it takes additions, and nothing else before it is stopped."""
    shown: str | None = ""
    """The text that stands there; None where that is not known."""
    by_edits: bool = False
    """Whether no stream is begun for it (again)."""
    posting: bool = False
    """Whether one more message may be there, of which nobody knows the ts."""
    begun_with: str = ""
    """The first letters of what it was to show: by these it is found."""
    task: asyncio.Task[None] | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    claimed_by: tuple[str, str] | None = None
    """Whose text stands there now: a reply, by its session and id."""
    above: list[str] = field(default_factory=list)
    """Messages of it that something else of the same turn now stands below: what comes next is shown below that, and
    then these go."""
    left_at: str = ""
    """The text as it was then."""
    by_notice: bool = False
    """What has claimed it is not an answer: nothing of it goes."""
    is_noted: bool = False
    """Whether a note of it is kept, which goes with its turn."""
    not_before: float = 0.0
    """When it may be changed again, on the steady clock."""

    @property
    def channel(self) -> str:
        """Where it is shown."""
        return self.route.platform_id

    @property
    def thread(self) -> str | None:
        """The thread of it, by the ts of its root."""
        return self.route.thread_id

    def note(self) -> str:
        """What is kept of it."""
        return json.dumps(
            {
                "route": self.route.model_dump(),
                "answers": self.answers,
                "at": self.began_at,
                "ts": self.ts,
                "open": self.is_open,
                "above": self.above,
                "posting": self.posting,
                "begun_with": self.begun_with,
            }
        )

    @classmethod
    def from_note(cls, turn_id: str, text: str) -> Stream:
        """The reverse. Raises ValueError, KeyError, TypeError for what is none."""
        kept = json.loads(text)
        ts = kept["ts"]
        return cls(
            turn_id,
            Route.model_validate(kept["route"]),
            kept["answers"],
            int(kept["at"]),
            ts=None if ts is None else str(ts),
            is_open=bool(kept["open"]),
            shown=None,
            by_edits=True,
            above=[str(each) for each in kept["above"]],
            posting=bool(kept["posting"]),
            begun_with=str(kept["begun_with"]),
            is_noted=True,
        )


def belongs(out: Outgoing, stream: Stream) -> bool:
    """Whether this reply is what the stream was the beginning of; other messages of the same turn stand beside it."""
    if out.edit is not None or out.reaction is not None or out.question is not None or out.card is not None:
        return False
    if out.notice:
        # The turn came to nothing: what says so takes the place of what there was of an answer.
        return stream.answers is not None and out.answers == stream.answers
    if out.turn_id != stream.turn_id or not out.text.strip():
        return False
    if stream.text is None or out.ends:
        return True
    streamed, final = stream.text.strip(), out.text.strip()
    return final.startswith(streamed) or streamed.startswith(final)


def of_markdown(markdown: str, *, previews: bool = False) -> Draft:
    """A message of Markdown that is made fit to be shown already."""
    return replace(message([kit.markdown(markdown)]), previews=previews)


def below(stream: Stream, draft: Draft) -> Draft:
    """What was written of an answer stays above the word that nothing more comes, where there is room."""
    if not stream.shown or not draft.markdown:
        return draft
    text = stream.shown.rstrip() + BELOW + draft.markdown
    return draft if len(text) > kit.MESSAGE_CHARS else of_markdown(text, previews=draft.previews)


def body(draft: Draft) -> dict[str, Any]:
    """The arguments by which chat.postMessage and chat.update show a draft: without blocks, none of an earlier text may
    stay."""
    return {"text": draft.text, "blocks": draft.blocks}


def words(text: str) -> str:
    """What a text begins with, without all that a platform may lay out anew."""
    return "".join(filter(str.isalnum, text[: 10 * WORDS_CHARS]))[:WORDS_CHARS]
