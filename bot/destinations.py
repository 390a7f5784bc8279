"""Which routes a session may address: the container is not trusted to stay in its own channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.protocol.messages import Destination, Route


def allowed(
    home: Route, destinations: Sequence[Destination], asked_from: Iterable[Route], route: Route
) -> bool:
    """Whether a session whose own place is `home` may write to `route`: its own place, a named
    destination, or where one of its messages came from."""
    return (
        route == home
        or any(route == destination.route for destination in destinations)
        or route in asked_from
    )
