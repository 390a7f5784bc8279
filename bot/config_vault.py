"""[vault], and what an agent reaches its model with."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, SecretStr, model_validator

from bot.config_fields import LocalPath, Seconds, ServerUrl
from bot.config_model import ConfigModel

Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
PLACES: Final = ("model_key", "model_key_file", "model_key_env", "model_token_file", "model_token_env")
"""The settings that say where the credential of a model is; an agent has one of them or none."""


class ModelKeyConfig(ConfigModel):
    """The part of [agents.<name>] that says what the agent's model is reached with."""

    model_key: Annotated[SecretStr, Field(min_length=1, max_length=4096)] | None = Field(
        None,
        description="The API key for the model itself; without it one of the places below. A file is better.",
    )
    model_key_file: LocalPath | None = Field(
        None,
        description="A file that holds the API key, read again when it changes; without it model_key_env counts.",
    )
    model_key_env: Variable = Field(
        "ANTHROPIC_API_KEY",
        description="The variable of the service's environment that holds the key for the model.",
    )
    model_token_file: LocalPath | None = Field(
        None,
        description="A file that holds an OAuth token instead of a key, read again when it changes; "
        "without it model_token_env counts.",
    )
    model_token_env: Variable = Field(
        "CLAUDE_CODE_OAUTH_TOKEN",
        description="The variable that holds an OAuth token, looked at where there is no key.",
    )

    @property
    def chosen_place(self) -> str | None:
        """The one of PLACES that was set. Nothing but that is looked at then: a credential of another account must
        not step in for one that is missing."""
        return next((place for place in PLACES if place in self.model_fields_set), None)

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        chosen = [place for place in PLACES if place in self.model_fields_set]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} say two things about one credential; leave one of them")
        return self


class VaultConfig(ConfigModel):
    """[vault]"""

    kind: Literal["embedded", "onecli"] = Field(
        "embedded",
        description="What keeps the credentials of models; embedded is this configuration, onecli a OneCLI server.",
    )
    url: ServerUrl | None = Field(None, description="The address of OneCLI's API; without it there is none.")
    key_env: Variable = Field(
        "ONECLI_API_KEY", description="The variable of the service's environment with the key for OneCLI."
    )
    key_file: LocalPath | None = Field(
        None, description="A file that holds it, read again when it changes; without it key_env counts."
    )
    prefix: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,19}$")] = Field(
        "roost",
        description="How the identifiers of agents begin in OneCLI; one for each Roost that shares it.",
    )
    timeout_seconds: Annotated[float, Field(ge=0.1, le=60, allow_inf_nan=False)] = Field(
        5.0, description="How long OneCLI may take over an answer."
    )
    refresh_seconds: Seconds = Field(60.0, description="An answer that is older is asked for again.")
    stale_seconds: Seconds = Field(
        600.0,
        description="An answer that is older is not used any more, whether or not OneCLI can be reached.",
    )

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.kind == "onecli" and self.url is None:
            raise ValueError('kind = "onecli" needs url, such as "http://127.0.0.1:10254"')
        if self.stale_seconds < self.refresh_seconds:
            raise ValueError("stale_seconds should not be less than refresh_seconds")
        return self
