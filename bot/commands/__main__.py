"""`python -m bot.commands` prints docs/commands.md."""

from __future__ import annotations

import sys

from bot.commands.offered import document

sys.stdout.write(document())
