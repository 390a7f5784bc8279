"""A desk on real folders that keeps what is sent and answers what it was told to answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from agent.protocol.messages import ActionResult, Answer, ContentOut, OutKind, Route, Schedule
from agent.protocol.workspace import Workspace

ORIGIN = Route(channel="terminal", platform_id="origin-id")
OPS = Route(channel="terminal", platform_id="ops-id", thread_id="ops-thread")
NOW_MS = 1_700_000_000_000


@dataclass
class Sent:
    """A row as the desk was given it."""

    content: ContentOut
    kind: OutKind
    route: Route
    message_id: str | None


@dataclass
class FakeDesk:
    """`replies` are the answers to come, one a question, and `results` what the host says, one an action; None is
    that nobody answered. `planned` is what is scheduled."""

    root: Path
    origin: Route = ORIGIN
    destinations: dict[str, Route] = field(default_factory=lambda: {"ops": OPS})
    replies: list[Answer | None] = field(default_factory=list)
    results: list[tuple[bool, str] | None] = field(default_factory=list)
    planned: list[Schedule] | None = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    asked: list[tuple[str, int]] = field(default_factory=list)
    ids: int = 0

    def __post_init__(self) -> None:
        for folder in (self.workspace.work, self.workspace.outbox):
            folder.mkdir()

    @property
    def workspace(self) -> Workspace:
        return Workspace.on_host(self.root)

    def clock(self) -> int:
        return NOW_MS

    def new_id(self) -> str:
        self.ids += 1
        return f"id-{self.ids}"

    def send(self, content: ContentOut, *, kind: OutKind, route: Route, message_id: str | None = None) -> int:
        self.sent.append(Sent(content, kind, route, message_id))
        return 2 * len(self.sent) - 1

    def schedules(self) -> list[Schedule] | None:
        return self.planned

    async def result(self, message_id: str, deadline_ms: int) -> ActionResult | None:
        self.asked.append((message_id, deadline_ms))
        said = self.results.pop(0)
        return None if said is None else ActionResult(message_id=message_id, ok=said[0], text=said[1])

    async def answer(self, question_id: str, deadline_ms: int) -> Answer | None:
        self.asked.append((question_id, deadline_ms))
        return self.replies.pop(0)
