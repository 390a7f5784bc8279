"""The backend of a real installation: each program in a container of Docker's, cut off from everything.

A container is known by its name and labels, never by an id that somebody has stored: whoever comes later finds it. The
engine's events say when one has ended, and a look at all of them every few seconds finds what no event told of. A
container that has ended is kept until its output is in the log of its program, and then removed.

The engine may be away, or hang, at any time. Every call ends in time with BackendUnavailable, and what was started
after all is removed when the engine is back.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from docker import APIClient
from docker.errors import APIError

from container.base import Backend, BackendError, BackendUnavailable, Exit, Running, Spec
from container.engine import Engine, Refused
from container.exits import Exits
from container.hardening import creation
from container.memory import anonymous_mb
from container.unlinked import unlinked

NAMESPACE_LABEL: Final = "roost.namespace"
OWN_LABEL: Final = "roost.labels"
"""The names of those labels that the Spec gave; an image has others."""
LOG_LABEL: Final = "roost.log"
"""Where the output of the program goes when it has ended; nobody in the container sees its labels."""
START_SECONDS: Final = 60.0
"""A start takes a quarter of a second; on a machine that is busy with many, much longer."""
KILL_SECONDS: Final = 20.0
CLOSE_SECONDS: Final = 5.0
"""How long a service that ends waits for starts that are under way."""
LOOK_SECONDS: Final = 5.0
LOG_LINES: Final = 5_000
MAX_LOG_BYTES: Final = 1024 * 1024
MAX_REMEMBERED: Final = 1000
NOT_FOUND: Final = 404
CONFLICT: Final = 409
ALIVE: Final = frozenset({"running", "paused", "restarting"})
KILLED: Final = 137
OUT_OF_MEMORY: Final = "it needed more memory than it may use"

_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")

_log = logging.getLogger("roost.container")


@dataclass
class _Container:
    """A living container."""

    name: str
    id: str
    labels: Mapping[str, str]
    over: asyncio.Future[Exit] = field(repr=False)
    out_of_memory: bool = False


class DockerBackend(Backend):
    """Runs programs in containers that carry the label `namespace`; several services can share an engine. Belongs to
    one event loop. `runtime` is the engine's name for another one than its own (runsc, kata ...)."""

    mounts = True

    def __init__(
        self,
        namespace: str,
        environ: Mapping[str, str],
        *,
        runtime: str | None = None,
        call_seconds: float | None = None,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._namespace = namespace
        self._runtime = runtime
        self._look_seconds = look_seconds
        self._engine = Engine(environ) if call_seconds is None else Engine(environ, call_seconds=call_seconds)
        self._living: dict[str, _Container] = {}
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._tidying: dict[str, asyncio.Task[None]] = {}
        self._doubtful: set[str] = set()
        """Names of which nobody knows whether the engine has started them after all."""
        self._ended: dict[str, Exit] = {}
        self._missed = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._exits: Exits | None = None

    async def start(self, spec: Spec) -> None:
        """Starts the container; one that is left over under its name is removed. Raises BackendError,
        BackendUnavailable. A cancelled start still finishes: `running` then lists it."""
        if not _NAME.fullmatch(spec.name):
            raise BackendError(f"{spec.name!r} cannot be the name of a container")
        if spec.image is None:
            raise BackendError(f"{spec.name} has no image")
        if spec.name in self._starting or spec.name in self._living:
            raise BackendError(f"{spec.name} is running already")
        self._listen()
        task = asyncio.create_task(self._begin(spec), name=f"start {spec.name}")
        self._starting[spec.name] = task
        task.add_done_callback(lambda _: self._starting.pop(spec.name))
        await asyncio.shield(task)

    async def stop(self, name: str, *, grace_seconds: float) -> None:
        """Asks the program to leave, kills it after `grace_seconds`, and removes the container. Absent is success.
        Raises BackendError, BackendUnavailable."""
        found = await self._find(name)
        if found is None:
            return
        if grace_seconds > 0:
            # One that is paused hears nothing, and would be killed when its time is up.
            await self._act(lambda client: _thaw(client, found.id))
            await self._act(lambda client: client.kill(found.id, "SIGTERM"))
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_seconds):
                    await asyncio.shield(found.over)
        if not found.over.done():
            await self._act(lambda client: client.kill(found.id, "SIGKILL"))
            await self._act(lambda client: _thaw(client, found.id))
            try:
                async with asyncio.timeout(KILL_SECONDS):
                    await asyncio.shield(found.over)
            except TimeoutError as exc:
                raise BackendUnavailable(f"Docker has not ended {name} within {KILL_SECONDS:.0f} s") from exc
        if (tidying := self._tidying.get(name)) is not None:
            # The engine says that it has ended a little before it is gone.
            await asyncio.wait([tidying])

    async def wait(self, name: str) -> Exit:
        """How it ended: its code, 128 + N for a signal; None when it was gone before anybody looked. Raises
        BackendError when nobody knows it."""
        found = await self._find(name)
        if found is not None:
            return await asyncio.shield(found.over)
        if name in self._ended:
            return self._ended[name]
        raise BackendError(f"no container is known as {name}")

    async def running(self) -> list[Running]:
        """The living containers of this namespace, sorted by name; takes on those of an earlier service, and removes
        those that have ended. Raises BackendUnavailable."""
        self._listen()
        if self._starting:
            await asyncio.wait(list(self._starting.values()))
        await self._look()
        living = [each for _, each in sorted(self._living.items())]
        return await asyncio.to_thread(lambda: [_as_running(each) for each in living])

    async def freeze(self, name: str, *, frozen: bool) -> None:
        """Pauses every process of the container, or lets them go on. Raises BackendError for one that does not
        run, BackendUnavailable."""
        found = await self._find(name)
        if found is None:
            raise BackendError(f"no container runs as {name}")
        change = _pause if frozen else _thaw
        await self._engine.call(lambda client: change(client, found.id))

    async def aclose(self) -> None:
        """Lets go of the containers without ending them. Whoever still waits gets a BackendError."""
        if self._starting:
            # What an engine that hangs still makes of them is found by whoever comes next.
            _, late = await asyncio.wait(list(self._starting.values()), timeout=CLOSE_SECONDS)
            for start in late:
                start.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if self._exits is not None:
            self._exits.close()
        await asyncio.gather(*self._tidying.values(), return_exceptions=True)
        while self._living:
            name, each = self._living.popitem()
            if not each.over.done():
                each.over.set_exception(BackendError(f"the backend was closed while {name} was waited for"))
                each.over.exception()
        self._engine.close()

    # ---------------------------------------------------------------- starting

    async def _begin(self, spec: Spec) -> None:
        if spec.name in self._tidying:
            await asyncio.wait([self._tidying[spec.name]])
        labels = {**spec.labels, NAMESPACE_LABEL: self._namespace, LOG_LABEL: str(spec.log)}
        labels[OWN_LABEL] = " ".join(sorted(spec.labels))
        try:
            made = await self._made(spec, labels)
            # Before it runs: it may have ended before the engine has answered.
            self._note(spec.name, made, labels)
            await self._engine.call(lambda client: client.start(made), seconds=START_SECONDS)
        except BackendError as exc:
            created = self._living.pop(spec.name, None)
            if isinstance(exc, BackendUnavailable):
                self._doubtful.add(spec.name)
                self._missed.set()
            elif created is not None:
                self._tidy(created.name, created.id, created.labels)
            raise _explained(exc, spec) from exc
        self._doubtful.discard(spec.name)
        self._ended.pop(spec.name, None)
        _log.info("started %s", spec.name)

    async def _made(self, spec: Spec, labels: Mapping[str, str]) -> str:
        def create(client: APIClient) -> str:
            return str(client.create_container(**creation(client, spec, labels, self._runtime))["Id"])

        try:
            return await self._engine.call(create, seconds=START_SECONDS)
        except Refused as exc:
            if exc.status != CONFLICT:
                raise
        await self._make_way(spec.name)
        return await self._engine.call(create, seconds=START_SECONDS)

    async def _make_way(self, name: str) -> None:
        """Removes what has the name and is of no use. Raises BackendError when it is alive, or not ours."""
        found = await self._engine.call(lambda client: client.inspect_container(name))
        if found["Config"]["Labels"].get(NAMESPACE_LABEL) != self._namespace:
            raise BackendError(f"a container that is not this service's has the name {name}: remove it")
        if found["State"]["Status"] in ALIVE and name not in self._doubtful:
            raise BackendError(f"{name} is running already")
        await self._engine.call(lambda client: _remove(client, found["Id"]))

    # ---------------------------------------------------------------- looking

    def _listen(self) -> None:
        if self._exits is None:
            self._exits = Exits(
                self._engine, f"{NAMESPACE_LABEL}={self._namespace}", self._happened, self._missed.set
            )
            self._exits.start()
            self._looking = asyncio.create_task(self._keep_looking(), name="docker look")

    async def _keep_looking(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_seconds):
                    await self._missed.wait()
            self._missed.clear()
            if self._living or self._doubtful:
                try:
                    await self._look()
                except BackendError as exc:
                    _log.warning("containers cannot be looked at: %s", exc)

    async def _look(self) -> None:
        """Compares what is known with what there is. Raises BackendUnavailable."""
        known = {each.id: each for each in self._living.values()}
        label = f"{NAMESPACE_LABEL}={self._namespace}"
        listed = await self._engine.call(lambda client: client.containers(all=True, filters={"label": label}))
        for found in listed:
            name = found["Names"][0].removeprefix("/")
            alive = found["State"] in ALIVE
            if name in self._starting or name in self._tidying:
                continue
            begun = self._living.get(name)
            if found["Id"] in known:
                if not alive:
                    await self._was_missed(known[found["Id"]])
            elif begun is not None and begun.id == found["Id"]:
                continue  # Since the engine was asked.
            elif name in self._doubtful or not alive:
                self._tidy(name, found["Id"], found["Labels"])
            elif begun is None:
                self._note(name, found["Id"], found["Labels"])
        for gone in known.keys() - {found["Id"] for found in listed}:
            self._finish(known[gone], Exit(None))

    async def _was_missed(self, each: _Container) -> None:
        found = await self._engine.call(lambda client: client.inspect_container(each.id))
        if found["State"]["Status"] in ALIVE or each.name in self._starting:
            return  # It was made when it was listed, and has begun since.
        each.out_of_memory = each.out_of_memory or bool(found["State"].get("OOMKilled"))
        self._finish(each, _exit(each, int(found["State"]["ExitCode"])))

    async def _find(self, name: str) -> _Container | None:
        while name in self._starting:
            await asyncio.wait([self._starting[name]])
        if name not in self._living and name not in self._ended:
            self._listen()
            await self._look()
        return self._living.get(name)

    def _note(self, name: str, container: str, labels: Mapping[str, str]) -> None:
        over: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._living[name] = _Container(name, container, labels, over)

    # ---------------------------------------------------------------- ending

    def _happened(self, action: str, container: str, known: dict[str, str]) -> None:
        each = self._living.get(known.get("name", ""))
        if each is None or each.id != container:
            return
        if action == "oom":
            each.out_of_memory = True
        elif action == "die":
            self._finish(each, _exit(each, int(known.get("exitCode", KILLED))))

    def _finish(self, each: _Container, exit_: Exit) -> None:
        if self._living.get(each.name) is not each:
            return
        del self._living[each.name]
        self._ended[each.name] = exit_
        if len(self._ended) > MAX_REMEMBERED:
            del self._ended[next(iter(self._ended))]
        each.over.set_result(exit_)
        _log.info("%s ended with code %s", each.name, exit_.code)
        self._tidy(each.name, each.id, each.labels)

    def _tidy(self, name: str, container: str, labels: Mapping[str, str]) -> None:
        """Keeps what it has printed, and removes it; where that fails the next look finds it again."""
        task = asyncio.create_task(self._tidied(name, container, labels), name=f"tidy {name}")
        self._tidying[name] = task
        task.add_done_callback(lambda _: self._tidying.pop(name))

    async def _tidied(self, name: str, container: str, labels: Mapping[str, str]) -> None:
        def tidy(client: APIClient) -> None:
            if log := labels.get(LOG_LABEL):
                with suppress(OSError):
                    _append(Path(log), client.logs(container, tail=LOG_LINES))
            _remove(client, container)

        try:
            await self._engine.call(tidy, seconds=KILL_SECONDS)
        except Refused as exc:
            if exc.status not in (NOT_FOUND, CONFLICT):
                _log.warning("the container %s cannot be removed: %s", name, exc)
                return
        except BackendError as exc:
            _log.warning("the container %s stays for now: %s", name, exc)
            return
        self._doubtful.discard(name)

    async def _act(self, do: Callable[[APIClient], Any]) -> None:
        """One step of an end, which may have come already."""
        try:
            await self._engine.call(do)
        except Refused as exc:
            if exc.status not in (NOT_FOUND, CONFLICT):
                raise
            self._missed.set()


def _as_running(each: _Container) -> Running:
    found = unlinked(each.id)
    return Running(
        each.name,
        _plain(each.labels),
        memory_mb=anonymous_mb(each.id),
        unlinked_mb=found.mb if found else None,
        sent_descriptors=found.sent if found else 0,
    )


def _exit(each: _Container, code: int) -> Exit:
    return Exit(code, OUT_OF_MEMORY if each.out_of_memory and code == KILLED else None)


def _plain(labels: Mapping[str, str]) -> dict[str, str]:
    """Those of the Spec: an image has labels of its own."""
    own = labels.get(OWN_LABEL, "").split()
    return {name: labels[name] for name in own if name in labels}


def _pause(client: APIClient, container: str) -> None:
    try:
        client.pause(container)
    except APIError as exc:
        if "already paused" not in str(exc.explanation):
            raise


def _thaw(client: APIClient, container: str) -> None:
    # Asking first whether it is paused would take as long as half of the whole step.
    try:
        client.unpause(container)
    except APIError as exc:
        if "not paused" not in str(exc.explanation):
            raise


def _remove(client: APIClient, container: str) -> None:
    client.remove_container(container, force=True, v=True)


def _append(log: Path, output: bytes) -> None:
    """Adds what a container has printed to the log of its program, fit for a terminal. Raises OSError."""
    text = output.decode("utf-8", "backslashreplace")
    shown = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text).encode()
    with suppress(FileNotFoundError):
        if log.lstat().st_size > MAX_LOG_BYTES:
            log.replace(log.with_name(log.name + ".1"))
    fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(shown)


def _explained(exc: BackendError, spec: Spec) -> BackendError:
    if isinstance(exc, Refused) and exc.status == NOT_FOUND and "image" in str(exc).lower():
        return BackendError(f"there is no image {spec.image}: make it with `roost image build`")
    if isinstance(exc, BackendUnavailable):
        # A person reads it, to whom the name of a container says nothing.
        return BackendUnavailable(str(exc))
    return BackendError(f"{spec.name} cannot be started: {exc}")
