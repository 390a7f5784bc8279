"""In which image an agent runs: in its own, or, where it was made in the chat and has none, in that of the agent that
lends it its model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bot.roster import Roster


class AgentImages(Mapping[str, str]):
    """The tags by the names of agents, as a mapping that knows every agent that there is now."""

    def __init__(self, built: Mapping[str, str], roster: Roster) -> None:
        """`built` are those that the agents of config.toml had built at the start; none where agents run without."""
        self._built = built
        self._roster = roster

    def __getitem__(self, name: str) -> str:
        own = self._built.get(name)
        return self._built[self._roster.lender(name)] if own is None else own

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._roster if self.get(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)
