"""A base image made from Debian's packages, for where no image can be pulled."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from container.image.client import Say, run
from container.image.engine import Engine
from container.image.recipe import DEBIAN_BASE, ImageError

SUITE: Final = "bookworm"
PACKAGES: Final = ("python3", "python3-venv", "ca-certificates", "tini")


def make_base(engine: Engine, say: Say, *, anew: bool = False) -> None:
    """Makes DEBIAN_BASE if it is not there yet; `anew`: with the packages of today. Raises ImageError."""
    if not anew and engine.labels(DEBIAN_BASE) is not None:
        return
    program = shutil.which("mmdebstrap")
    if program is None:
        raise ImageError("Making a base image takes mmdebstrap: `apt install mmdebstrap`.")
    if os.geteuid() != 0:
        raise ImageError("Making a base image takes root: run this once with sudo.")
    say(f"Making {DEBIAN_BASE} from the packages of Debian {SUITE} ...")
    with tempfile.TemporaryDirectory(prefix="roost-base-") as place:
        tree = Path(place) / "base.tar"
        run(
            [program, "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(tree)],
            say,
            what="The base image cannot be made",
        )
        engine.load_base(tree, DEBIAN_BASE)
