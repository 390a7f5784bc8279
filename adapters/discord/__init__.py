"""The Discord adapter: what is said in servers and direct messages becomes events, and replies become messages.

`DiscordAdapter` holds the parts together. In: client.py hears, normalize.py and interactions.py make events, which
listening.py hands in; gaps.py reads what nobody has heard. Out: render.py cuts,
posting.py sends, threads.py, streams.py and typing.py do what belongs to it, replying.py answers commands; rest.py
makes the calls, and errors.py says what becomes of them.
"""

from adapters.discord.adapter import DiscordAdapter, Settings
from adapters.discord.client import Timing

__all__ = ["DiscordAdapter", "Settings", "Timing"]
