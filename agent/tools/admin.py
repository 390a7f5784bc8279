"""What an agent may not do by itself: each of these asks an admin, and says what they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

from pydantic import Field

from agent.protocol.messages import Label, Name
from agent.protocol.requests import (
    AddMcpServer,
    AgentName,
    AnyRequest,
    Arguments,
    CommandName,
    CreateAgent,
    FolderPath,
    HostName,
    InstallPackages,
    NewInstructions,
    Packages,
    Ports,
    Reason,
    RequestDestination,
    RequestHost,
    RequestMount,
    RunCommand,
    ServerConfig,
)
from agent.tools.actions import act
from agent.tools.base import Desk, P, Parameters, Refused, Tool

_REASON: Final = "What it is for, in a sentence for the admin who decides"
_ASKS: Final = "An admin is asked; you are told when it is decided, so do not wait for it."

Why = Annotated[Reason, Field(description=_REASON)]


class InstallThem(Parameters):
    """Arguments of install_packages."""

    reason: Why
    apt: Annotated[
        Packages, Field(description='Debian packages, such as "ripgrep" or "ripgrep=13.0.0-4"')
    ] = Field(default_factory=list)
    pip: Annotated[Packages, Field(description='Python packages, such as "pandas" or "pandas==2.3.0"')] = (
        Field(default_factory=list)
    )


class AddServer(Parameters):
    """Arguments of add_mcp_server."""

    name: Annotated[Name, Field(description="What the server is to be called")]
    config: Annotated[
        ServerConfig,
        Field(description='Its settings, such as {"command": "npx", "args": ["..."]}; no secrets in them'),
    ]
    reason: Why


class MakeAgent(Parameters):
    """Arguments of create_agent."""

    name: Annotated[AgentName, Field(description='Small letters, digits, "-" and "_"')]
    instructions: Annotated[NewInstructions, Field(description="What it is told about itself and its work")]
    reason: Why
    model: Annotated[Label | None, Field(description="Its model; yours otherwise")] = None


class AskHost(Parameters):
    """Arguments of request_host."""

    host: Annotated[HostName, Field(description='Its name, such as "api.github.com", or "*.example.org"')]
    reason: Why
    ports: Annotated[Ports, Field(description="443 and 80 otherwise")] = Field(default_factory=list)


class AskMount(Parameters):
    """Arguments of request_mount."""

    source: Annotated[FolderPath, Field(description="The folder of the host's machine, absolute")]
    reason: Why
    target: Annotated[
        FolderPath | None, Field(description='"/mnt/" and a name; /mnt and the folder\'s own name otherwise')
    ] = None
    writable: Annotated[bool, Field(description="Whether you have to write there")] = False


class GiveCommand(Parameters):
    """Arguments of run_command."""

    command: Annotated[CommandName, Field(description='Its words, such as "schedule create"')]
    reason: Why
    arguments: Annotated[Arguments, Field(description="By the names of its options")] = Field(
        default_factory=dict
    )


class AskDestination(Parameters):
    """Arguments of request_destination."""

    name: Annotated[Name, Field(description="What you will call it")]
    place: Annotated[
        Label,
        Field(
            description='A channel as it is mentioned or by its id, such as "<#123>" or "slack:C123", or another'
            ' agent, such as "agent:helper"'
        ),
    ]
    reason: Why


def install_packages(desk: Desk) -> Tool[InstallThem]:
    """Asks for packages."""

    async def run(given: InstallThem) -> str:
        if not given.apt and not given.pip:
            raise Refused("Name the packages, in `apt` or in `pip`.")
        return await act(desk, InstallPackages(**given.model_dump()))

    return Tool(
        "install_packages",
        f"Have packages in your container for good, in all your conversations. {_ASKS}",
        InstallThem,
        run,
    )


def add_mcp_server(desk: Desk) -> Tool[AddServer]:
    """Asks for an MCP server."""
    return _asks(
        desk,
        "add_mcp_server",
        "Have the tools of an MCP server, in all your conversations.",
        AddServer,
        AddMcpServer,
    )


def create_agent(desk: Desk) -> Tool[MakeAgent]:
    """Asks for another agent."""
    return _asks(
        desk,
        "create_agent",
        "Have another agent made, for a kind of work of its own; you can write to it by its name, and it to you.",
        MakeAgent,
        CreateAgent,
    )


def request_host(desk: Desk) -> Tool[AskHost]:
    """Asks for a way to a host."""
    return _asks(
        desk,
        "request_host",
        "Be let out to a host that you cannot reach: no other one is open to you than those you were given.",
        AskHost,
        RequestHost,
    )


def request_mount(desk: Desk) -> Tool[AskMount]:
    """Asks for a folder of the host's."""
    return _asks(
        desk,
        "request_mount",
        "Have a folder of the host's machine in your container.",
        AskMount,
        RequestMount,
    )


def run_command(desk: Desk) -> Tool[GiveCommand]:
    """Asks for a command of the service."""
    return _asks(
        desk,
        "run_command",
        "Have a command of the service given, as an admin would type it; what it says comes back to you.",
        GiveCommand,
        RunCommand,
    )


def request_destination(desk: Desk) -> Tool[AskDestination]:
    """Asks for a place to write to."""
    return _asks(
        desk,
        "request_destination",
        "Be allowed to write to a channel or to another agent that is none of your destinations.",
        AskDestination,
        RequestDestination,
    )


def _asks(desk: Desk, name: str, does: str, arguments: type[P], action: Callable[..., AnyRequest]) -> Tool[P]:
    async def run(given: P) -> str:
        return await act(desk, action(**given.model_dump()))

    return Tool(name, f"{does} {_ASKS}", arguments, run)
