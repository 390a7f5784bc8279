"""The Docker Engine as the rest of this package sees it: calls that end in time, and errors of ours.

docker-py is synchronous, and an engine that hangs keeps it for as long as its timeout says. So each call has a thread
of its own, whoever waits goes on when the time is up, and so many calls at most are under way at once.

    BackendError
      x Refused                 the engine has answered, and says no; `status` is that of HTTP
      x BackendUnavailable      nobody answers, or not in time, or the engine has failed
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Final, TypeVar

import requests
from docker import APIClient
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env

from container.base import BackendError, BackendUnavailable

CALL_SECONDS: Final = 10.0
"""How long the engine may take over what it does in milliseconds when it is well."""
PING_SECONDS: Final = 5.0
AT_ONCE: Final = 8
SERVER_ERROR: Final = 500
NOBODY_BEHIND: Final = frozenset({502, 503, 504})
"""Said by a proxy, or by an engine that is about to start or to end. A 500 is how older engines refuse."""

T = TypeVar("T")


class Refused(BackendError):
    """Raised when the engine has understood a request and does not do it."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class Engine:
    """The engine that `environ` names (DOCKER_HOST and its kin), or the local one. Belongs to one event loop."""

    def __init__(self, environ: Mapping[str, str], *, call_seconds: float = CALL_SECONDS) -> None:
        self._environ = dict(environ)
        self._seconds = call_seconds
        self._version: str | None = None
        self._idle: list[APIClient] = []
        self._under_way = asyncio.Semaphore(AT_ONCE)
        self._closed = False

    async def call(self, do: Callable[[APIClient], T], *, seconds: float | None = None) -> T:
        """What `do` returns, within `seconds`. What it does may still happen when that time is over. Raises Refused,
        BackendUnavailable."""
        limit = self._seconds if seconds is None else seconds
        try:
            async with asyncio.timeout(limit):
                await self._under_way.acquire()
        except TimeoutError as exc:
            raise _silent(limit) from exc
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        threading.Thread(target=self._run, args=(do, limit, answer), name="docker", daemon=True).start()
        try:
            async with asyncio.timeout(limit):
                return await answer
        except TimeoutError as exc:
            raise _silent(limit) from exc

    def client(self, *, seconds: float | None) -> APIClient:
        """A client of its own, for a thread that follows the engine. Raises BackendUnavailable."""
        try:
            made = _client(self._environ, version=self._version or "auto", seconds=self._seconds)
        except (DockerException, requests.RequestException, OSError) as exc:
            raise failure(exc) from exc
        # Asked for once: "auto" costs a request each time.
        self._version = made.api_version
        made.timeout = seconds  # type: ignore[assignment]  # requests takes fractions, and None for no end
        return made

    def close(self) -> None:
        """Lets go of the connections that nobody uses. A call that is under way ends by itself."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _run(self, do: Callable[[APIClient], T], seconds: float, answer: asyncio.Future[T]) -> None:
        loop = answer.get_loop()
        try:
            result = self._done(do, seconds)
        except BaseException as exc:
            self._hand_over(loop, answer, exc, None)
        else:
            self._hand_over(loop, answer, None, result)

    def _done(self, do: Callable[[APIClient], T], seconds: float) -> T:
        client = self._idle.pop() if self._idle else self.client(seconds=seconds)
        client.timeout = seconds  # type: ignore[assignment]
        try:
            result = do(client)
        except (DockerException, requests.RequestException, OSError) as exc:
            client.close()
            raise failure(exc) from exc
        if self._closed:
            client.close()
        else:
            self._idle.append(client)
        return result

    def _hand_over(
        self,
        loop: asyncio.AbstractEventLoop,
        answer: asyncio.Future[T],
        error: BaseException | None,
        result: T | None,
    ) -> None:
        def settle() -> None:
            self._under_way.release()
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]  # None is a result like any other

        if not loop.is_closed():
            loop.call_soon_threadsafe(settle)


def failure(exc: Exception) -> BackendError:
    """What a failed call comes to."""
    if isinstance(exc, APIError):
        status = exc.response.status_code if exc.response is not None else SERVER_ERROR
        text = " ".join(str(exc.explanation or exc).split())
        if status in NOBODY_BEHIND:
            return BackendUnavailable(f"Docker cannot do it now: {text}")
        return Refused(text, status)
    if isinstance(exc, requests.Timeout):
        return BackendUnavailable("Docker does not answer in time")
    if isinstance(exc, PermissionError) or "Permission denied" in str(exc):
        return BackendUnavailable(
            "this user may not speak to Docker: put it into the group docker, or run Roost as root"
        )
    return BackendUnavailable("Docker does not answer: its engine may not be running")


def _client(environ: Mapping[str, str], *, version: str, seconds: float) -> APIClient:
    settings = kwargs_from_env(environment=dict(environ))
    return APIClient(version=version, timeout=seconds, **settings)  # type: ignore[arg-type]


def _silent(seconds: float) -> BackendUnavailable:
    return BackendUnavailable(f"Docker has not answered within {seconds:g} s")


def fault(
    environ: Mapping[str, str], runtime: str | None = None, *, seconds: float = PING_SECONDS
) -> str | None:
    """Why the engine is of no use; None: it answers, and has the container runtime of this name where one is
    wanted. Blocks for `seconds` at most with each of the two."""
    try:
        with closing(_client(environ, version="auto", seconds=seconds)) as client:
            known = [] if runtime is None else sorted(client.info().get("Runtimes") or {})
    except (DockerException, requests.RequestException, OSError) as exc:
        return str(failure(exc))
    # An engine also takes the name of a shim, such as io.containerd.runsc.v1, and lists none of those that it would.
    if runtime is None or runtime in known or "." in runtime:
        return None
    return (
        f"Docker has no container runtime called {runtime}, which [backend] runtime asks for;"
        f" it has {', '.join(known) or 'none'}"
    )
