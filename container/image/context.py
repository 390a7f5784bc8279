"""The folder that an image is built from. It holds what goes into the image and nothing else: a project folder has
a configuration, and maybe data, and none of that is the engine's business."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from container.image.recipe import AGENT_DOCKERFILE, DOCKERFILE, ENTRYPOINT, LOCK, AnyRecipe, Recipe, code


@contextmanager
def context(recipe: AnyRecipe, *, wheels: Path | None, extra: Path | None) -> Iterator[Path]:
    """The folder for the length of the block; `wheels` and `extra` are as wheels.py has fetched them."""
    with tempfile.TemporaryDirectory(prefix="roost-image-") as place:
        root = Path(place)
        if isinstance(recipe, Recipe):
            _put(DOCKERFILE, root / "Dockerfile")
            _put(ENTRYPOINT, root / "entrypoint.sh", mode=0o755)
            _put(LOCK, root / "requirements.txt")
            for name, path in code(recipe.source):
                _put(path, root / name)
        else:
            _put(AGENT_DOCKERFILE, root / "Dockerfile")
        for name, folder in (("wheels", wheels), ("extra", extra)):
            (root / name).mkdir()
            for file in sorted(folder.iterdir()) if folder else ():
                _lend(file, root / name / file.name)
        # Whatever the umask is: these modes become those of the image.
        for folder in (path for path in root.rglob("*") if path.is_dir()):
            folder.chmod(0o755)
        yield root


def _put(source: Path, target: Path, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _lend(source: Path, target: Path) -> None:
    """Wheels are large, and often lie on the same disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
