"""How much may lie in outbound.db and wait to be delivered: three bounds, each far below the next.

Beyond the first the host asks the agent for nothing more, beyond the second the agent writes nothing more of its own
accord, and beyond the third (snapshot.Bounds) a file is not what an honest agent writes. What lies between leaves
room for the turns that are open when a bound is met.
"""

from __future__ import annotations

from typing import Final

ASKED_ROWS: Final = 500
ASKED_BYTES: Final = 12 * 2**20
WRITTEN_ROWS: Final = 1_000
WRITTEN_BYTES: Final = 24 * 2**20
