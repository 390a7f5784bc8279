"""Which wirings a place has: those of config.toml, and those that admins have made in the chat, which go before
them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from agent.protocol.messages import Route
from bot import place_settings
from bot.config import Config
from bot.db import places
from bot.db.engine import Database
from bot.db.places import Place
from bot.engage import Wiring
from bot.place_settings import PlaceSettings

PlaceKey = tuple[str, str]
NOBODY: Final[Sequence[Wiring]] = ()


@dataclass(frozen=True)
class Configured:
    """Those of config.toml. The most exact ones decide: those of the place, else those of its channel adapter, else
    `default`."""

    default: Wiring
    channels: Mapping[str, Sequence[Wiring]]
    places: Mapping[PlaceKey, Sequence[Wiring]]

    def at(self, route: Route) -> Sequence[Wiring]:
        """Those of a place."""
        named = self.places.get((route.channel, route.platform_id))
        return named or self.channels.get(route.channel, (self.default,))


def configured(config: Config) -> Configured:
    """Those of [[wirings]]; where none of them leads, the first agent serves as a wiring has it by default."""
    first = next(iter(config.agents))
    channels: dict[str, list[Wiring]] = {}
    places_: dict[PlaceKey, list[Wiring]] = {}
    for each in config.wirings:
        found = (
            channels.setdefault(each.channel, [])
            if each.place is None
            else places_.setdefault((each.channel, each.place), [])
        )
        found.append(each.wiring(first))
    return Configured(
        Wiring(first, wired=False),
        {name: in_order(found) for name, found in channels.items()},
        {place: in_order(found) for place, found in places_.items()},
    )


def in_order(wirings: Sequence[Wiring]) -> Sequence[Wiring]:
    """The one that comes first in a place first; of the same priority they keep their order."""
    return tuple(sorted(wirings, key=lambda each: -each.priority))


class Wirings:
    """All of them as they are now: read on every event, and made anew by `refresh` when an admin has changed some."""

    def __init__(self, from_config: Configured) -> None:
        self._configured = from_config
        self._places: Mapping[PlaceKey, Place] = {}
        self._refreshing = asyncio.Lock()

    @classmethod
    def configured(cls, config: Config) -> Wirings:
        """Those of config.toml alone."""
        return cls(configured(config))

    async def refresh(self, db: Database) -> None:
        """Takes over what bot.db has now. Raises DatabaseError."""
        # Who reads first must not be the last to take over.
        async with self._refreshing:
            self._places = await db.read(places.all_)

    def at(self, route: Route) -> Sequence[Wiring]:
        """Those of a place, threads in it included, the one that comes first first; none where an admin has unwired
        it. A direct conversation is a place like any other."""
        place = self._places.get((route.channel, route.platform_id))
        return in_order(place.wirings) if place is not None and place.wired else self._configured.at(route)

    def of(self, route: Route) -> Wiring:
        """The first of them: its agent is the place's own, whom commands mean. Where there is none, a wiring that
        hears nothing."""
        found = self.at(route)
        return (
            found[0]
            if found
            else replace(self._configured.default, strangers="ignore", mode="mention", wired=True)
        )

    def by_agent(self, route: Route, agent: str) -> Wiring | None:
        """That of one agent in a place."""
        return next((each for each in self.at(route) if each.agent == agent), None)

    def configured_at(self, route: Route) -> Sequence[Wiring]:
        """What config.toml has for a place, whatever admins have made of it."""
        return self._configured.at(route)

    def elsewhere(self) -> Mapping[str, Sequence[Wiring]]:
        """Those that hold where nobody has named a place: by their channel adapter, and by "" for all others."""
        return {**self._configured.channels, "": (self._configured.default,)}

    def serving(self, route: Route, agent: str) -> Wiring:
        """The same for what belongs to a conversation that there is: one whose agent does not serve the place any more
        hears of it what people with a role say."""
        found = self.by_agent(route, agent)
        return found or replace(self._configured.default, agent=agent, strangers="ignore", wired=True)

    def place(self, route: Route) -> Place | None:
        """What admins have set for a place in the chat, if anything."""
        return self._places.get((route.channel, route.platform_id))

    def settings(self, route: Route) -> PlaceSettings:
        """What holds for the whole place, whoever serves it."""
        place = self.place(route)
        return place_settings.NOTHING if place is None else place_settings.read(place.settings)

    def known_places(self) -> Sequence[PlaceKey]:
        """Every place that somebody has named: in config.toml or in the chat."""
        return sorted({*self._configured.places, *self._places})
