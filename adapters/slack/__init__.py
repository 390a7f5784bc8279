"""The Slack adapter: what is said in channels, threads and direct messages becomes events, and replies become messages.

`SlackAdapter` holds the parts together. In: sockets.py or a server hear (intakes.py), normalize.py and interactions.py
make events, which listening.py hands in; gaps.py reads what nobody has heard. Out: render.py cuts, posting.py sends,
streams.py and status.py do what belongs to it, uploads.py sends files; web.py makes the calls, and errors.py says what
becomes of them. methods.py has all that is used of Slack, and manifest.py makes an app of it.
"""

from adapters.slack.adapter import Settings, SlackAdapter
from adapters.slack.timing import Timing

__all__ = ["Settings", "SlackAdapter", "Timing"]
