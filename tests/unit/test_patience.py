"""How long a file that cannot be read is borne with."""

from __future__ import annotations

from agent.protocol.snapshot import Busy, Costly
from bot.patience import MAX_COSTLY, MAX_READ_SECONDS, MAX_WAIT_SECONDS, READ_SECONDS, Patience


def test_a_lock_is_waited_for_ever_longer_and_never_held_against_the_file() -> None:
    patience = Patience()
    waits = [patience.failed(Busy("locked")) for _ in range(1_000)]
    assert waits[:4] == [0.05, 0.1, 0.2, 0.4] and waits[-1] == MAX_WAIT_SECONDS
    assert not patience.at_an_end
    # Whoever frees it rings, and the next look is as long as the first.
    assert (patience.pause_seconds, patience.read_seconds) == (0.0, READ_SECONDS)


def test_a_file_that_takes_too_long_is_given_more_time_and_then_up() -> None:
    patience = Patience()
    times = []
    while not patience.at_an_end:
        times.append(patience.read_seconds)
        assert patience.failed(Costly("no time left")) == patience.pause_seconds
    assert len(times) == MAX_COSTLY
    assert times == sorted(times) and times[-1] == MAX_READ_SECONDS
    patience.restored()
    assert (patience.at_an_end, patience.pause_seconds, patience.read_seconds) == (False, 0.0, READ_SECONDS)
