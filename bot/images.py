"""The images of the configured agents: which they are, whether they fit, and having them built.

Every way to an image comes through here, so that all of them build the same.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.protocol.schema import VERSION as PROTOCOL
from agent.protocol.settings import CHECK_FLAG, AgentSettings
from agent.protocol.workspace import Workspace
from bot.config import Config
from bot.config_tables import AgentConfig
from bot.errors import UnusableImage
from bot.version import VERSION
from container.image import build as building
from container.image.check import Verdict, check
from container.image.client import Halt
from container.image.engine import Engine
from container.image.recipe import DEBIAN_BASE, AgentRecipe, AnyRecipe, ImageError, Recipe

ROOT = Path(__file__).resolve().parents[1]
"""The folder that holds `agent/`, whether a clone or what Roost was installed into."""


@dataclass(frozen=True)
class Told:
    """A text for people, and the same as data."""

    text: str
    data: Any
    fits: bool = True


def recipes(config: Config) -> dict[str, AnyRecipe]:
    """The image of each agent: the common one, or one of its own on top of that."""
    common = _common(config)
    return {name: _recipe(common, name, agent) for name, agent in config.agents.items()}


class Builder:
    """The images of agents whose packages change while the service runs. All that it does blocks."""

    def __init__(self, config: Config) -> None:
        self._common = _common(config)

    @property
    def common(self) -> str:
        """The tag of the image of whoever has no packages of its own; the service has built it at its start."""
        return self._common.tag

    def tag(self, name: str, agent: AgentConfig) -> str:
        """The tag of the image that such an agent has."""
        return _recipe(self._common, name, agent).tag

    def fits(self, name: str, agent: AgentConfig) -> bool:
        """Whether that image is there. Raises UnusableImage."""
        with _engine() as engine:
            return check(_recipe(self._common, name, agent), engine).fits

    def build(self, name: str, agent: AgentConfig, say: Callable[[str], None], halt: Halt) -> str:
        """Has it there, for minutes where it has to be built, and returns its tag; `halt` ends that. Raises
        UnusableImage."""
        recipe = _recipe(self._common, name, agent)
        with _engine() as engine:
            shop = replace(_workshop(engine, say), terminal=False, halt=halt)
            for each in _in_order([recipe]):
                if not check(each, engine).fits:
                    building.build(each, shop, base=building.base_for(each, engine))
        return recipe.tag


def ensure_image(config: Config, agents: Iterable[str], say: Callable[[str], None]) -> dict[str, str]:
    """The tags of these agents' images, each built first if it is missing or does not fit. Blocks, for minutes
    where something has to be built. Raises UnusableImage."""
    wanted = {name: recipe for name, recipe in recipes(config).items() if name in set(agents)}
    with _engine() as engine:
        shop = _workshop(engine, say)
        for recipe in _in_order(wanted.values()):
            verdict = check(recipe, engine)
            if not verdict.fits:
                say(verdict.sentence)
                building.build(recipe, shop, base=building.base_for(recipe, engine))
    return {name: recipe.tag for name, recipe in wanted.items()}


def fault(config: Config) -> str | None:
    """Why there could be no containers without building first; None: all images are there and fit. Raises
    UnusableImage."""
    with _engine() as engine:
        verdicts = [check(recipe, engine) for recipe in _in_order(recipes(config).values())]
    return next((verdict.sentence for verdict in verdicts if not verdict.fits), None)


def build_all(config: Config, *, base_from_debian: bool, no_cache: bool, say: Callable[[str], None]) -> Told:
    """Builds the images of all agents, also those that fit. Raises UnusableImage."""
    with _engine() as engine:
        shop = _workshop(engine, say, anew=no_cache)
        if base_from_debian:
            building.make_debian_base(shop)
        ordered = _in_order(recipes(config).values())
        for recipe in ordered:
            base = DEBIAN_BASE if base_from_debian else building.base_for(recipe, engine)
            building.build(recipe, shop, base=base)
    tags = [recipe.tag for recipe in ordered]
    return Told("\n".join(f"Built {tag}" for tag in tags), {"built": tags})


def check_all(config: Config) -> Told:
    """Whether the images of all agents fit, and start. Raises UnusableImage."""
    with _engine() as engine:
        found = [(recipe, _tried(recipe, engine)) for recipe in _in_order(recipes(config).values())]
    return Told(
        "\n".join(verdict.sentence for _, verdict in found),
        [
            {"image": recipe.tag, "state": verdict.state, "text": verdict.sentence}
            for recipe, verdict in found
        ],
        all(verdict.fits for _, verdict in found),
    )


def _tried(recipe: AnyRecipe, engine: Engine) -> Verdict:
    verdict = check(recipe, engine)
    if not verdict.fits:
        return verdict
    ended = engine.try_run(recipe.tag, ["agent", CHECK_FLAG], _environment())
    if ended.code == 0:
        return verdict
    said = ended.text.splitlines()[-1:] or ["it says nothing"]
    return Verdict("broken", f"The image {recipe.tag} does not start, code {ended.code}: {said[0]}")


def _environment() -> Mapping[str, str]:
    """Of a runner that is tried out: its provider is the mock, which needs nothing."""
    seen = Workspace.in_container()
    settings = AgentSettings(
        session="check",
        inbox=seen.inbox,
        bell_dir=seen.bell_dir,
        outbox=seen.outbox,
        home=seen.home,
        work=seen.work,
    )
    return settings.to_env()


def _common(config: Config) -> Recipe:
    image = config.image
    return Recipe(ROOT, PROTOCOL, VERSION, image.base_image, image.options, image.name)


def _recipe(common: Recipe, name: str, agent: AgentConfig) -> AnyRecipe:
    own = agent.image.apt or agent.image.pip
    return AgentRecipe(common, name, agent.image.options) if own else common


def _in_order(wanted: Iterable[AnyRecipe]) -> list[AnyRecipe]:
    """Each once, and what others stand on first, though no agent may use it itself."""
    ordered: dict[str, AnyRecipe] = {}
    for recipe in wanted:
        if isinstance(recipe, AgentRecipe):
            ordered.setdefault(recipe.common.tag, recipe.common)
        ordered.setdefault(recipe.tag, recipe)
    return list(ordered.values())


def _workshop(engine: Engine, say: Callable[[str], None], *, anew: bool = False) -> building.Workshop:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "roost" / "wheels"
    return building.Workshop(engine, os.environ, cache, say, terminal=sys.stderr.isatty(), anew=anew)


@contextmanager
def _engine() -> Iterator[Engine]:
    try:
        with Engine(os.environ) as engine:
            yield engine
    except ImageError as exc:
        raise UnusableImage(str(exc)) from exc
