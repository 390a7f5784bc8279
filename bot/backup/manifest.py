"""What a backup says of itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0, le=2**53)]
Text = Annotated[str, Field(max_length=1000)]


class Manifest(BaseModel):
    """manifest.json. `sha256` has every file of the backup by its name, percent-encoded; `skipped` counts, by
    reason, what was left out; `refused` has the sessions whose outbox could not be taken along, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    roost: Text
    created_at: Count
    """When bot.db was copied, in epoch milliseconds."""
    database: Count
    protocol: Count
    sessions: Count
    messages: Count
    unfinished: Count
    bytes: Count
    skipped: dict[Text, Count]
    refused: dict[Text, Text]
    sha256: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]
