"""[mounts], and the folders that an agent asks for."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from bot.config_fields import LocalPath
from bot.config_model import ConfigModel

MOUNT_FOLDER: Final = "/mnt"
"""The one place in a container where folders of this machine appear; nothing of the container's own is there."""
TARGET_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def _target(value: str) -> str:
    parent, _, name = value.rpartition("/")
    if parent != MOUNT_FOLDER or not TARGET_NAME.fullmatch(name):
        raise ValueError('should be "/mnt/" and one name of letters, digits, ".", "_" and "-"')
    return value


MountTarget = Annotated[str, AfterValidator(_target)]


class MountConfig(ConfigModel):
    """[[agents.<name>.mounts]]"""

    source: LocalPath = Field(
        description="A folder of this machine, which the list of [mounts] has to allow."
    )
    target: MountTarget | None = Field(
        None, description="Where the agent finds it; without it /mnt and the folder's own name."
    )
    writable: bool = Field(False, description="Whether the agent may write there, if the list says so, too.")


class MountsConfig(ConfigModel):
    """[mounts]"""

    allow_list: LocalPath | None = Field(
        None,
        description="The list of folders that agents may be given, which lies outside this file's folder; "
        "without it roost/mounts.toml in $XDG_CONFIG_HOME or ~/.config.",
    )
