"""Which Roost this is."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _version

try:
    VERSION = _version("roost")
except PackageNotFoundError:  # Run from a folder that was never installed.
    VERSION = "unknown"
