"""The table that opens a provider by name.

A name of the form `package.module:Class` opens a third party's, which is called with its ProviderOptions.
"""

from __future__ import annotations

import importlib
import re
from typing import cast

from agent.protocol.settings import PROVIDERS
from agent.providers.base import AgentProvider, ProviderError, ProviderOptions


def create(name: str, options: ProviderOptions) -> AgentProvider:
    """The provider called `name`. Raises ProviderError when there is none or it cannot be made."""
    address = PROVIDERS.get(name, name)
    if not re.fullmatch(r"\w+(\.\w+)*:\w+", address):
        known = ", ".join(sorted(PROVIDERS))
        raise ProviderError(f"There is no provider {name!r}; known: {known}, or package.module:Class.")
    module_name, class_name = address.split(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as exc:  # importing runs a third party's code, and that raises what it likes
        raise ProviderError(f"The provider {name!r} cannot be imported: {exc}") from exc
    provider_class = getattr(module, class_name, None)
    if not callable(provider_class):
        raise ProviderError(f"The provider {name!r} does not exist: {module_name} has no class {class_name}.")
    return cast(AgentProvider, provider_class(options))
