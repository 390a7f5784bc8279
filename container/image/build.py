"""Building an image with BuildKit, by the docker client."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from container.image import debian, wheels
from container.image.client import Halt, Say, find_client, run, show
from container.image.context import context
from container.image.engine import Engine, client_environment
from container.image.recipe import BASE_LABEL, DEBIAN_BASE, AnyRecipe, ImageError, Recipe

UNPULLED: Final = (
    "If that is because the base image {base} cannot be pulled: make one from Debian's packages with "
    "`roost image build --base-from-debian` (as root, with mmdebstrap)."
)
_NOISE: Final = re.compile(r"#\d+ (?:sha256:[0-9a-f]{64}|\.\.\.)")
"""Lines of an older client that tell a person nothing."""


@dataclass(frozen=True)
class Workshop:
    """Where and how images are built. `cache` keeps wheels; `terminal`: whether the client may draw on ours."""

    engine: Engine
    environ: Mapping[str, str]
    cache: Path
    say: Say
    terminal: bool = False
    anew: bool = False
    """Uses nothing that an earlier build has left."""
    halt: Halt | None = None


def base_for(recipe: AnyRecipe, engine: Engine) -> str:
    """The base that it is built on: the one that is wanted, or the one that was made here because that cannot be
    pulled. Raises ImageError."""
    if engine.labels(recipe.base_image) is None and engine.labels(DEBIAN_BASE) is not None:
        return DEBIAN_BASE
    return recipe.base_image


def make_debian_base(shop: Workshop) -> None:
    """Makes the base that needs no registry. Raises ImageError."""
    debian.make_base(shop.engine, shop.say, anew=shop.anew)


def build(recipe: AnyRecipe, shop: Workshop, *, base: str) -> str:
    """Builds the image and returns its tag; an agent's needs the common one. Blocks. Raises ImageError."""
    client = find_client(shop.environ.get("PATH", ""))
    architecture = shop.engine.architecture()
    common = isinstance(recipe, Recipe)
    locked = wheels.locked(shop.cache, architecture, shop.say, shop.halt) if common else None
    extra = wheels.further(
        shop.cache, architecture, recipe.options.pip, shop.say, anew=shop.anew, halt=shop.halt
    )
    shop.say(f"Building {recipe.tag} on {base} ...")
    with context(recipe, wheels=locked, extra=extra) as folder:
        command = [client, "build", *_arguments(recipe, base, shop), str(folder)]
        environment = client_environment(shop.environ, shop.engine.host)
        what = f"The image {recipe.tag} cannot be built"
        try:
            if shop.terminal:
                show(command, what=what, env=environment)
            else:
                run(command, _without_noise(shop.say), what=what, env=environment, halt=shop.halt)
        except ImageError as exc:
            if (
                base != DEBIAN_BASE
                and (shop.terminal or base in str(exc))
                and shop.engine.labels(base) is None
            ):
                raise ImageError(f"{exc}\n{UNPULLED.format(base=base)}") from exc
            raise
    return recipe.tag


def _without_noise(say: Say) -> Say:
    def said(line: str) -> None:
        if not _NOISE.fullmatch(line):
            say(line)

    return said


def _arguments(recipe: AnyRecipe, base: str, shop: Workshop) -> list[str]:
    given = {"BASE_IMAGE": base, "APT_PACKAGES": " ".join(recipe.options.apt_packages)}
    if not isinstance(recipe, Recipe):
        given["COMMON_IMAGE"] = recipe.common.tag
    labels = {**recipe.labels, BASE_LABEL: base}
    return [
        f"--progress={'auto' if shop.terminal else 'plain'}",
        *(["--no-cache"] if shop.anew else []),
        # That it needs no network is a promise, and here it is held to it; any other base may lack tini.
        *(["--network=none"] if base == DEBIAN_BASE and not recipe.options.apt_packages else []),
        *(word for name, value in given.items() for word in ("--build-arg", f"{name}={value}")),
        *(word for name, value in labels.items() for word in ("--label", f"{name}={value}")),
        *("--tag", recipe.tag, "--tag", f"{recipe.name}:latest"),
    ]
