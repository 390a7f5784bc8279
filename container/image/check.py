"""Whether an image that is there fits the code that is here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from container.image.engine import Engine
from container.image.recipe import BASE_LABEL, DEBIAN_BASE, PROTOCOL_LABEL, SOURCE_LABEL, AnyRecipe

REBUILD: Final = "build it with `roost image build`"


@dataclass(frozen=True)
class Verdict:
    """What was found, and a sentence about it for the operator."""

    state: Literal["fits", "missing", "old", "broken"]
    sentence: str

    @property
    def fits(self) -> bool:
        """Whether the image can be used."""
        return self.state == "fits"


def check(recipe: AnyRecipe, engine: Engine) -> Verdict:
    """Looks at the image of this recipe, or at the one that was built last in its place. Raises ImageError."""
    labels = engine.labels(recipe.tag)
    return judge(recipe, engine.labels(f"{recipe.name}:latest") if labels is None else labels)


def judge(recipe: AnyRecipe, labels: Mapping[str, str] | None) -> Verdict:
    """What the labels of an image say; None: there is none."""
    if labels is None:
        return Verdict("missing", f"There is no image {recipe.name} yet: {REBUILD}.")
    protocol, ours = labels.get(PROTOCOL_LABEL), recipe.labels[PROTOCOL_LABEL]
    if protocol != ours:
        return Verdict(
            "old", f"The image {recipe.name} speaks protocol {protocol}, this Roost {ours}: {REBUILD} again."
        )
    if labels.get(SOURCE_LABEL) != recipe.digest:
        return Verdict(
            "old", f"The image {recipe.name} was made from other code or other options: {REBUILD} again."
        )
    base = labels.get(BASE_LABEL)
    if base not in (recipe.base_image, DEBIAN_BASE):
        return Verdict(
            "old", f"The image {recipe.name} stands on {base}, not on {recipe.base_image}: {REBUILD} again."
        )
    return Verdict("fits", f"The image {recipe.tag} fits.")
