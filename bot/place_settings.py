"""What holds for a whole place, whoever serves it: admins set it in the chat (`channel set`), and config.toml has none
of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError

from bot import log
from bot.config_model import ConfigModel

Days = Annotated[int, Field(ge=1, le=36_500)]
_log = log.get("roost.places")


class PlaceSettings(ConfigModel):
    """The settings of a place."""

    approvals: bool = Field(False, description="Whether what needs an admin's approval is asked for here.")
    retention_messages_days: Days | None = Field(
        None, description="After so many days what people have said here is removed; without it as elsewhere."
    )
    retention_transcripts_days: Days | None = Field(
        None, description="After so many days what agents keep of conversations here is removed."
    )
    retention_files_days: Days | None = Field(
        None, description="After so many days the files of conversations here are removed."
    )
    forget_deleted: bool = Field(
        False, description="Whether what people delete here is deleted in Roost's own records as well."
    )
    footer: bool | None = Field(
        None, description="Whether an answer says what it has cost; without it as elsewhere."
    )


NOTHING: Final = PlaceSettings()


def read(settings: Mapping[str, Any]) -> PlaceSettings:
    """Those of a row of places. What an older or a newer Roost has written, and this one does not understand, is left
    out and logged: key by key, so that one does not take the others along."""
    try:
        return PlaceSettings.model_validate(settings)
    except ValidationError as exc:
        wrong = {str(error["loc"][0]) for error in exc.errors() if error["loc"]}
        _log.error("settings of a place are not understood: %s", ", ".join(sorted(wrong)))
        return PlaceSettings.model_validate({k: v for k, v in settings.items() if k not in wrong})
