"""[image]: what the image that agents run in is made from, and [agents.<name>.image], what one agent has besides."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from container.image.recipe import Options

MAX_PACKAGES: Final = 200
_APT: Final = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+](?:=[0-9][A-Za-z0-9.+:~-]*)?")
"""deb-control(5) and deb-version(7). A name that ends in "-" would have apt remove the package."""
_PIP: Final = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
    r"(?:\[[A-Za-z0-9][A-Za-z0-9._-]*(?:,[A-Za-z0-9][A-Za-z0-9._-]*)*\])?"
    r"(?:==[0-9][A-Za-z0-9.!+_-]*)?"
)
"""A name, extras and one version, of https://packaging.python.org/en/latest/specifications/dependency-specifiers/."""


def _apt_package(value: str) -> str:
    if not _APT.fullmatch(value):
        raise ValueError('should be the name of a Debian package, such as "ripgrep" or "ripgrep=13.0.0-4+b2"')
    return value


def _pip_package(value: str) -> str:
    if not _PIP.fullmatch(value):
        raise ValueError('should be the name of a Python package, such as "pandas" or "pandas==2.3.0"')
    return value


AptPackages = Annotated[list[Annotated[str, AfterValidator(_apt_package)]], Field(max_length=MAX_PACKAGES)]
PipPackages = Annotated[list[Annotated[str, AfterValidator(_pip_package)]], Field(max_length=MAX_PACKAGES)]


class AgentImageConfig(BaseModel):
    """[agents.<name>.image]"""

    model_config = ConfigDict(frozen=True, extra="forbid")

    apt: AptPackages = Field(
        default_factory=list,
        description="Debian packages that only this agent has, each with or without =version.",
    )
    pip: PipPackages = Field(
        default_factory=list,
        description="Python packages that only this agent has, each with or without ==version.",
    )

    @property
    def options(self) -> Options:
        """The same for who builds."""
        return Options(apt=tuple(self.apt), pip=tuple(self.pip))


class ImageConfig(BaseModel):
    """[image]"""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[
        str, Field(pattern=r"^[a-z0-9]+(?:[._-][a-z0-9]+)*(?:/[a-z0-9]+(?:[._-][a-z0-9]+)*)*$")
    ] = Field(
        "roost-agent", max_length=100, description="What the image is called; its digest becomes the tag."
    )
    base_image: Annotated[str, Field(pattern=r"^[a-z0-9][\w.:/@-]*$")] = Field(
        "python:3.11-slim-bookworm",
        max_length=300,
        description="What it is built on: a Debian or Ubuntu with Python 3.11.",
    )
    cjk_fonts: bool = Field(False, description="Whether it has fonts for Chinese, Japanese and Korean.")
    browser: bool = Field(False, description="Whether it has a browser, Chromium without a window.")
    apt: AptPackages = Field(
        default_factory=list,
        description="Debian packages that it has besides, each with or without =version.",
    )
    pip: PipPackages = Field(
        default_factory=list,
        description="Python packages that it has besides, each with or without ==version.",
    )

    @property
    def options(self) -> Options:
        """The same for who builds."""
        return Options(self.cjk_fonts, self.browser, tuple(self.apt), tuple(self.pip))
