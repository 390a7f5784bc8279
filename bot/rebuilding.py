"""Rebuilding: the image of an agent follows its packages while the service runs, and its containers follow the image.

    changed -> built in the background, one at a time -> in use -> `outdated` -> containers are replaced when idle

An image that cannot be built changes nothing: the one that is in use stays in use, and `state` says why.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeVar

from bot import log
from bot.config_tables import AgentConfig
from bot.errors import CommandFailed, UnusableImage
from bot.screening import screened
from container.image.client import Halt

LAST_LINES: Final = 6
"""So many lines of a build that has failed are told to people."""
MAX_TOLD_CHARS: Final = 1_200
TOLD_SECONDS: Final = 60.0
"""So often the log says how far a build is."""
NO_CONTAINERS: Final = (
    "Packages need containers, and this service runs its agents as plain processes: an admin of the machine can"
    " install them there."
)
FAILED: Final = "The image of {agent} could not be built, so the old one stays in use:\n{why}"

T = TypeVar("T")
_log = log.get("roost.rebuilding")


class Builds(Protocol):
    """Who builds images (bot.images.Builder); each blocks and raises UnusableImage."""

    @property
    def common(self) -> str:
        """The tag of the image of agents without packages of their own."""

    def tag(self, name: str, agent: AgentConfig) -> str:
        """The tag of the image that such an agent has."""

    def fits(self, name: str, agent: AgentConfig) -> bool:
        """Whether that image is there."""

    def build(self, name: str, agent: AgentConfig, say: Callable[[str], None], halt: Halt) -> str:
        """Has it there, and returns its tag; `halt` ends that."""


class Images(Mapping[str, str]):
    """The images that are in use, by their agents, as a mapping that changes while the service runs. An agent that was
    made in the chat has the `common` one until it has one of its own; without containers there are none."""

    def __init__(self, images: Mapping[str, str], common: str | None = None) -> None:
        self._images = dict(images)
        self._common = common

    def __getitem__(self, agent: str) -> str:
        found = self._images.get(agent, self._common)
        if found is None:
            raise KeyError(agent)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._images))

    def __len__(self) -> int:
        return len(self._images)

    def use(self, agent: str, tag: str) -> None:
        """From now on its containers are started from this one."""
        self._images[agent] = tag


@dataclass(frozen=True)
class ImageState:
    """What there is to say of an agent's image: `text` is one sentence; of a failed build it has the last lines."""

    state: Literal["none", "current", "waiting", "building", "failed"]
    text: str


class Rebuilding:
    """Builds while `run` runs. `builder` is None where agents run without containers."""

    name = "rebuilding"

    def __init__(
        self,
        agents: Mapping[str, AgentConfig],
        images: Images,
        builder: Builds | None,
        *,
        outdated: Callable[[str], None],
    ) -> None:
        """`outdated` is told the agent whose containers would be started from another image now."""
        self._agents = agents
        self._images = images
        self._builder = builder
        self._outdated = outdated
        self._wanted: dict[str, None] = {}
        self._due = asyncio.Event()
        self._one = asyncio.Lock()
        self._building: str | None = None
        self._line = ""
        self._failed: dict[str, str] = {}

    @property
    def has_containers(self) -> bool:
        """Whether there are images at all."""
        return self._builder is not None

    def changed(self, agent: str) -> None:
        """Something was set for the agent, and the roster has it: its image is built if it lacks."""
        if self._builder is not None:
            self._wanted[agent] = None
            self._due.set()

    def state(self, agent: str) -> ImageState:
        """What there is to say of the agent's image, for whoever looks at the agent."""
        if self._builder is None:
            return ImageState("none", "Agents run without containers here, so there is no image.")
        if self._building == agent:
            return ImageState("building", f"Its image is being built: {self._line or 'it has just begun'}")
        if agent in self._wanted:
            return ImageState("waiting", "Its image is about to be built.")
        if agent in self._failed:
            return ImageState("failed", FAILED.format(agent=agent, why=self._failed[agent]))
        return ImageState("current", f"Its image is {self._images.get(agent)}.")

    async def build(self, name: str, agent: AgentConfig) -> str:
        """Has the image there that such an agent has, and returns its tag; it is not in use by that. Raises
        CommandFailed with the last lines of a build that fails. Cancelled, it has ended what it had begun."""
        builder = self._builder
        if builder is None:
            raise CommandFailed(NO_CONTAINERS)
        async with self._one:
            self._building, self._line = name, ""
            last: deque[str] = deque(maxlen=LAST_LINES)
            seldom = log.Seldom(TOLD_SECONDS)

            def say(line: str) -> None:
                last.append(line)
                self._line = screened(line)[:200]
                if seldom("building"):
                    _log.info("an image is being built: %s", line, agent=name)

            try:
                tag = await _halted_if_cancelled(lambda halt: builder.build(name, agent, say, halt))
            except UnusableImage as exc:
                why = screened("\n".join(str(exc).splitlines()[-LAST_LINES:]))[-MAX_TOLD_CHARS:]
                _log.error("an image could not be built: %s", exc, agent=name)
                raise CommandFailed(FAILED.format(agent=name, why=why)) from exc
            finally:
                self._building = None
        _log.info("an image was built: %s", tag, agent=name)
        return tag

    def use(self, agent: str, tag: str) -> None:
        """The agent's containers are started from this image from now on; those that live are replaced."""
        self._failed.pop(agent, None)
        if self._images.get(agent) != tag:
            self._images.use(agent, tag)
            self._outdated(agent)

    async def run(self) -> None:
        """Until cancelled; what is being built then is ended, and begun again by the next service."""
        while True:
            await self._due.wait()
            self._due.clear()
            while self._wanted:
                agent = next(iter(self._wanted))
                del self._wanted[agent]
                await self._follow(agent)

    async def recall(self) -> None:
        """Uses what was built for agents that were changed in the chat; what is not there is built once `run` runs. To
        be called before anything is adopted or started. Raises UnusableImage."""
        builder = self._builder
        if builder is None:
            return
        for name, agent in self._agents.items():
            tag = await asyncio.to_thread(builder.tag, name, agent)
            if self._images.get(name) == tag:
                continue
            if await asyncio.to_thread(builder.fits, name, agent):
                self._images.use(name, tag)
            else:
                self.changed(name)

    async def _follow(self, name: str) -> None:
        builder, agent = self._builder, self._agents.get(name)
        if builder is None or agent is None:
            return
        try:
            tag = await asyncio.to_thread(builder.tag, name, agent)
            if tag != self._images.get(name):
                tag = await self.build(name, agent)
        except CommandFailed as exc:
            self._failed[name] = str(exc).partition("\n")[2] or str(exc)
            return
        if self._agents.get(name) is agent:
            self.use(name, tag)
        else:
            # It was changed again meanwhile.
            self._wanted[name] = None


async def _halted_if_cancelled(work: Callable[[Halt], T]) -> T:
    """Runs what blocks on a thread; whoever is cancelled meanwhile waits until it has been ended."""
    halt = Halt()
    task = asyncio.create_task(asyncio.to_thread(work, halt), name="build")
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        halt()
        await asyncio.wait([task])
        # What it had to say is of no use to anybody any more.
        task.exception() if not task.cancelled() else None
        raise
