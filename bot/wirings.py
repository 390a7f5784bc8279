"""Which wiring a place has: a pure lookup, made from the configuration once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.protocol.messages import Route
from bot.config import Config
from bot.engage import Wiring


@dataclass(frozen=True)
class Wirings:
    """All of them. The most exact one decides: that of the place, else that of its channel adapter, else `default`."""

    default: Wiring
    channels: Mapping[str, Wiring]
    places: Mapping[tuple[str, str], Wiring]

    @classmethod
    def configured(cls, config: Config) -> Wirings:
        """Those of [[wirings]]; where none of them leads, the first agent serves as a wiring has it by default."""
        first = next(iter(config.agents))
        channels: dict[str, Wiring] = {}
        places: dict[tuple[str, str], Wiring] = {}
        for each in config.wirings:
            if each.place is None:
                channels[each.channel] = each.wiring(first)
            else:
                places[each.channel, each.place] = each.wiring(first)
        return cls(Wiring(first), channels, places)

    def of(self, route: Route) -> Wiring:
        """That of a place, threads in it included; a direct conversation is a place like any other."""
        named = self.places.get((route.channel, route.platform_id))
        return named or self.channels.get(route.channel, self.default)
