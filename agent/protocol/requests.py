"""What an agent asks its admins for: each is an action whose effect waits until one of them has allowed it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from agent.protocol.values import Frozen, Label, Name

MAX_PACKAGES: Final = 50
MAX_PORTS: Final = 10
MAX_CONFIG_CHARS: Final = 16 * 1024
"""Of a server's settings, as JSON."""
MAX_INSTRUCTIONS_CHARS: Final = 16 * 1024
MAX_REASON_CHARS: Final = 500
MAX_ARGUMENTS: Final = 20
MAX_ARGUMENT_CHARS: Final = 4_000
MAX_PATH_CHARS: Final = 1_000


def _bounded(config: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(config)) > MAX_CONFIG_CHARS:
        raise ValueError(f"should be at most {MAX_CONFIG_CHARS} characters of JSON")
    return config


Reason = Annotated[str, Field(min_length=1, max_length=MAX_REASON_CHARS)]
Package = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+:=~!,\[\]-]*$")
]
Packages = Annotated[list[Package], Field(max_length=MAX_PACKAGES)]
ServerConfig = Annotated[dict[str, Any], Field(min_length=1), AfterValidator(_bounded)]
AgentName = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[a-z0-9][a-z0-9_-]*$")]
NewInstructions = Annotated[str, Field(min_length=1, max_length=MAX_INSTRUCTIONS_CHARS)]
HostName = Annotated[str, Field(min_length=1, max_length=253)]
Ports = Annotated[list[Annotated[int, Field(ge=1, le=65_535)]], Field(max_length=MAX_PORTS)]
FolderPath = Annotated[str, Field(min_length=1, max_length=MAX_PATH_CHARS)]
CommandName = Annotated[str, Field(min_length=1, max_length=100)]
Arguments = Annotated[
    dict[Name, Annotated[str, Field(max_length=MAX_ARGUMENT_CHARS)]], Field(max_length=MAX_ARGUMENTS)
]


class InstallPackages(Frozen):
    """Have packages in the agent's image: Debian's, and Python's, each with or without a version."""

    action: Literal["install_packages"] = "install_packages"
    apt: Packages = Field(default_factory=list)
    pip: Packages = Field(default_factory=list)
    reason: Reason


class AddMcpServer(Frozen):
    """Have a server of the Model Context Protocol, with settings as the provider takes them."""

    action: Literal["add_mcp_server"] = "add_mcp_server"
    name: Name
    config: ServerConfig
    reason: Reason


class CreateAgent(Frozen):
    """Have another agent made, which this one can write to, and the other way round."""

    action: Literal["create_agent"] = "create_agent"
    name: AgentName
    instructions: NewInstructions
    model: Label | None = None
    reason: Reason


class RequestHost(Frozen):
    """Reach a host beyond the model; without `ports` those of the web."""

    action: Literal["request_host"] = "request_host"
    host: HostName
    ports: Ports = Field(default_factory=list)
    reason: Reason


class RequestMount(Frozen):
    """Have a folder of the host's machine; without a `target` where the host puts it."""

    action: Literal["request_mount"] = "request_mount"
    source: FolderPath
    target: FolderPath | None = None
    writable: bool = False
    reason: Reason


class RunCommand(Frozen):
    """Have a command of the service given, in the name of the admin who allows it."""

    action: Literal["run_command"] = "run_command"
    command: CommandName
    arguments: Arguments = Field(default_factory=dict)
    reason: Reason


class RequestDestination(Frozen):
    """Write to a place, or to another agent, that has no name here yet. `place` is how the platform or the service
    knows it."""

    action: Literal["request_destination"] = "request_destination"
    name: Name
    place: Label
    reason: Reason


AnyRequest = (
    InstallPackages
    | AddMcpServer
    | CreateAgent
    | RequestHost
    | RequestMount
    | RunCommand
    | RequestDestination
)
