"""What one message on Slack carries, as plain values: no type of a library, and nothing that is sent yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from adapters.base import OutgoingFile


@dataclass(frozen=True)
class Draft:
    """A message as it is to be, a file, or a reaction.

    `text` is what notifications show, in Slack's own mrkdwn, and all that is shown where the `blocks` are refused.
    `markdown` is the text of the message where it is one `markdown` block and nothing else but small print, which a
    stream can carry; otherwise "". `below` has the blocks of that small print. `replaces` is the part id of the message
    whose place it takes, and a draft that `removes` takes that away. `reaction` is the name of an emoji without colons,
    and then that is all there is to it.
    """

    text: str = ""
    blocks: list[dict[str, Any]] = field(default_factory=list)
    markdown: str = ""
    below: list[dict[str, Any]] = field(default_factory=list)
    file: OutgoingFile | None = None
    previews: bool = False
    replaces: str | None = None
    reaction: str | None = None

    @property
    def removes(self) -> bool:
        """Whether the message that it replaces is to go."""
        return self.replaces is not None and not (self.text or self.blocks or self.file)
