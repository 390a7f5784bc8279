"""What an image is made from, and by what it is recognised: its digest is its tag."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
"""Where the Dockerfiles and what belongs to them lie, also when Roost was installed as a package."""
DOCKERFILE: Final = FOLDER / "Dockerfile"
AGENT_DOCKERFILE: Final = FOLDER / "agent.Dockerfile"
ENTRYPOINT: Final = FOLDER / "entrypoint.sh"
LOCK: Final = FOLDER / "requirements.txt"
DEBIAN_BASE: Final = "roost-base:debian"
"""The base that is made here where none can be pulled (container/image/base.py)."""
CJK_FONTS: Final = ("fonts-noto-cjk",)
BROWSER: Final = ("chromium", "fonts-liberation")
TAG_DIGITS: Final = 12
PROTOCOL_LABEL: Final = "roost.protocol"
SOURCE_LABEL: Final = "roost.source"
OPTIONS_LABEL: Final = "roost.options"
BASE_LABEL: Final = "org.opencontainers.image.base.name"


class ImageError(Exception):
    """Raised when an image cannot be made or looked at; the text says what to do about it."""


@dataclass(frozen=True)
class Options:
    """What an operator wants in an image besides the runner: packages by name, each with or without a version."""

    cjk_fonts: bool = False
    browser: bool = False
    apt: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()

    @property
    def apt_packages(self) -> tuple[str, ...]:
        """All that apt has to install."""
        fonts, browser = CJK_FONTS if self.cjk_fonts else (), BROWSER if self.browser else ()
        return (*fonts, *browser, *self.apt)

    @cached_property
    def text(self) -> str:
        """The same for a label and for the digest."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True)
class Recipe:
    """The common image. `source` is the folder that holds `agent/`, `version` that of Roost."""

    source: Path
    protocol: int
    version: str
    base_image: str
    options: Options = Options()
    name: str = "roost-agent"

    @cached_property
    def digest(self) -> str:
        """Of all that goes in but the base: where that cannot be pulled another one has to do."""
        parts = [f"protocol {self.protocol}".encode(), self.options.text.encode()]
        parts += [path.read_bytes() for path in (DOCKERFILE, ENTRYPOINT, LOCK)]
        for name, path in code(self.source):
            parts += [name.encode(), path.read_bytes()]
        return _digest(parts)

    @property
    def tag(self) -> str:
        """The image's own name; no other recipe has it."""
        return f"{self.name}:{self.digest[:TAG_DIGITS]}"

    @property
    def labels(self) -> Mapping[str, str]:
        """By which the image is recognised, and what a person sees who inspects it."""
        return {
            "org.opencontainers.image.title": "Roost agent",
            "org.opencontainers.image.description": "What runs behind the wall for one conversation of Roost.",
            "org.opencontainers.image.version": self.version,
            "org.opencontainers.image.licenses": "MIT",
            PROTOCOL_LABEL: str(self.protocol),
            SOURCE_LABEL: self.digest,
            OPTIONS_LABEL: self.options.text,
        }


@dataclass(frozen=True)
class AgentRecipe:
    """The image of one agent: packages of its own, on top of the common image."""

    common: Recipe
    agent: str
    options: Options

    @property
    def base_image(self) -> str:
        """What lies below the common image, and has what it takes to install something."""
        return self.common.base_image

    @property
    def name(self) -> str:
        # An agent may be called what no image can be: `_x`, or `a_-b`.
        return f"{self.common.name}-{re.sub(r'[_-]+', '-', self.agent).strip('-') or 'agent'}"

    @cached_property
    def digest(self) -> str:
        """Of the common image's, and of what goes on top."""
        return _digest(
            [self.common.digest.encode(), self.options.text.encode(), AGENT_DOCKERFILE.read_bytes()]
        )

    @property
    def tag(self) -> str:
        """The image's own name."""
        return f"{self.name}:{self.digest[:TAG_DIGITS]}"

    @property
    def labels(self) -> Mapping[str, str]:
        """Those of the common image, with what is its own."""
        return {
            **self.common.labels,
            "org.opencontainers.image.title": f"Roost agent {self.agent}",
            SOURCE_LABEL: self.digest,
            OPTIONS_LABEL: self.options.text,
        }


AnyRecipe = Recipe | AgentRecipe


def code(source: Path) -> Iterator[tuple[str, Path]]:
    """The modules of `agent/` below `source`, by their names from there. Nothing else of a project folder is
    ours to give away."""
    for path in sorted((source / "agent").rglob("*.py")):
        if "__pycache__" not in path.parts and path.is_file():
            yield path.relative_to(source).as_posix(), path


def _digest(parts: Iterable[bytes]) -> str:
    """Of parts whose borders count, too."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.hexdigest()
