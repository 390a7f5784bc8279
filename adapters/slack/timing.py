"""How long the adapter waits for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """In seconds."""

    first_text: float = 0.7
    """From the first live text to the message that shows it: most answers are whole by then."""
    append: float = 0.8
    """Between two additions to a stream. chat.appendStream is Tier 4: more than 100 a minute."""
    edit: float = 1.5
    """Between two changes of live text by chat.update, which is Tier 3: more than 50 a minute."""
    status_begins: float = 0.2
    status_again: float = 60.0
    """Slack takes the older kind of status away after two minutes. Documentation, assistant.threads.setStatus."""
    defer: float = 1.5
    """A command that takes longer is answered later. Slack waits for three."""
    acknowledge: float = 2.0
    """An event that takes longer to be taken in is put down and acknowledged. Slack waits for three."""
    online: float = 10.0
    """How long a reply waits for the bot to be logged in."""
    call: float = 30.0
    """How long one call may take."""
    fetch_connect: float = 10.0
    fetch_silence: float = 15.0
    """Without a byte for so long a file of a person's counts as not to be had."""
    ping: float = 5.0
    """Between two pings of a socket: without an answer to four of them it is dead."""
    silence: float = 600.0
    """Without an event for so long the channels are read, to see whether the connection is deaf."""
    stagger: float = 1.0
    """Between the sockets that are opened."""
    again: float = 1.0
    """Before a connection that was refused is tried again, and twice as long each time."""
    longest: float = 60.0
    """... but never longer than this."""
    mended: float = 300.0
    """Between two tries of what an operator has to mend."""
    noted: float = 30.0
    """Between two notes of until when everything was heard."""
    gap_told: float = 120.0
    """A shorter gap is not worth a word."""
    closing: float = 5.0
    """How long the other end of a connection that is closed may take."""
