"""Files that lie with a platform still, fetched from a server on loopback."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.base import NotFetched, Receipt, RemoteFile
from bot.config_tables import LimitsConfig
from bot.fetching import FETCHES_AT_ONCE, Fetching
from bot.files import MIB, Refused, is_taken
from tests.fakes.platform import NOBODY
from tests.service.test_intake import STRANGER, chats, event, leftovers, serving

TIMEOUT_SECONDS = 20


class Store:
    """Where a platform keeps files: it gives what it is asked for, hangs, or breaks off."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.open = self.most = 0
        self.news = asyncio.Condition()
        self.may_go_on = asyncio.Event()
        self._server: asyncio.Server

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Store]:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield self
        finally:
            self.may_go_on.set()
            self._server.close()
            await self._server.wait_closed()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_SECONDS), self.news:
            await self.news.wait_for(holds)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        what = (await reader.readline()).decode().strip()
        self.asked.append(what)
        self.open += 1
        self.most = max(self.most, self.open)
        async with self.news:
            self.news.notify_all()
        if what == "reset":
            # socket(7): with a linger of 0 the other end sees a reset.
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        elif what == "hang":
            writer.write(b"partial")
            await self.may_go_on.wait()
        elif what == "endless":
            writer.write(b"x" * (MIB + 1))
        else:
            writer.write(what.encode())
        self.open -= 1
        writer.close()

    def file(
        self, what: str, *, name: str = "a.txt", media_type: str = "text/plain", size: int = 4
    ) -> RemoteFile:
        port = self._server.sockets[0].getsockname()[1]

        async def fetch(path: Path, limit_bytes: int) -> None:
            if what == "expired":
                raise NotFetched("its link has expired.")
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(what.encode() + b"\n")
                with path.open("wb") as target:
                    while chunk := await reader.read(65_536):
                        target.write(chunk)
                        if target.tell() > limit_bytes:
                            raise NotFetched("it is larger than the platform says")
            finally:
                writer.close()

        return RemoteFile(name, media_type, size, fetch)


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    async with Store().serving() as store:
        yield store


async def test_files_are_fetched_for_who_may_send_them(store: Store, tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as app:
        sent = [store.file("one"), store.file("two", name="../b.txt")]
        assert await app.intake.receive(event(remote=sent)) == Receipt("accepted")
        (chat,) = await chats(app)
        assert [(file.name, file.size) for file in chat.attachments] == [("a.txt", 3), ("../b.txt", 3)]
        assert (await app.intake.receive(event(remote=sent))).state == "duplicate"
        assert (await app.intake.receive(event("psst", by=STRANGER, remote=sent))).state == "dropped"
        assert store.asked == ["one", "two"], "nobody asks for a stranger's, or for the same ones again"


async def test_a_message_can_be_taken_back_while_its_files_come_in(store: Store, tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as app:
        said = asyncio.create_task(app.intake.receive(event(id="e1", remote=[store.file("hang")])))
        await store.until(lambda: store.asked == ["hang"])
        deletion = event(id="e2", kind="delete", by=NOBODY, about="e1")
        taken_back = asyncio.create_task(app.intake.receive(deletion))
        done, _ = await asyncio.wait({said, taken_back}, timeout=0.1)
        assert not done
        store.may_go_on.set()
        assert [await said, await taken_back] == [Receipt("accepted")] * 2


REFUSALS: dict[str, tuple[list[dict[str, Any]], str, list[str]]] = {
    "too many": ([{"what": "a"}] * 3, "A message can have 2 files; this one has 3.", []),
    "too large": (
        [{"what": "a", "size": MIB + 1}],
        "a.txt is too large: a file can have 1 MiB.",
        [],
    ),
    "of another type": (
        [{"what": "a", "name": "a.exe", "media_type": "application/x-dosexec"}],
        "a.exe is of the type application/x-dosexec, which is not taken here.",
        [],
    ),
    "larger than was said": (
        [{"what": "a"}, {"what": "endless"}],
        "a.txt could not be fetched: it is larger than the platform says.",
        ["a", "endless"],
    ),
    "gone": (
        [{"what": "expired", "name": "b\n.txt"}],
        "b .txt could not be fetched: its link has expired.",
        [],
    ),
    "cut off": (
        [{"what": "a"}, {"what": "reset"}],
        "a.txt could not be fetched; please send it again in a moment.",
        ["a", "reset"],
    ),
}


@pytest.mark.parametrize(("files", "text", "asked"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_what_cannot_be_had_is_refused_in_a_sentence(
    store: Store, tmp_path: Path, files: list[dict[str, Any]], text: str, asked: list[str]
) -> None:
    data = tmp_path / "data"
    limits: dict[str, Any] = {"attachments": 2, "attachment_mb": 1, "attachment_types": ["text/*"]}
    async with serving(data, **limits) as app:
        sent = [store.file(**each) for each in files]
        assert await app.intake.receive(event(remote=sent)) == Receipt("refused", text)
        assert store.asked == asked
        assert leftovers(data) == [] and await chats(app) == []


async def test_a_file_that_does_not_come_is_given_up(store: Store, tmp_path: Path) -> None:
    fetching = Fetching(LimitsConfig(), seconds=0.2)
    with pytest.raises(
        Refused, match=r"^a\.txt could not be fetched within 0\.2 seconds; please send it again"
    ):
        async with fetching.fetched([store.file("hang")], tmp_path / "folder"):
            raise AssertionError("it was fetched")
    assert not (tmp_path / "folder").exists()


async def test_nothing_is_left_of_what_is_cancelled(store: Store, tmp_path: Path) -> None:
    fetching = Fetching(LimitsConfig())

    async def fetch() -> None:
        async with fetching.fetched([store.file("hang")], tmp_path / "folder"):
            raise AssertionError("it was fetched")

    fetches = asyncio.create_task(fetch())
    await store.until(lambda: store.asked == ["hang"])
    assert (tmp_path / "folder").exists()
    fetches.cancel()
    await asyncio.wait({fetches})
    assert fetches.cancelled() and not (tmp_path / "folder").exists()


async def test_a_few_are_fetched_at_once(store: Store, tmp_path: Path) -> None:
    fetching, fetched = Fetching(LimitsConfig()), list[int]()

    async def fetch(number: int) -> None:
        async with fetching.fetched([store.file("hang")], tmp_path / str(number)) as files:
            fetched.append(files[0].path.stat().st_size)

    fetches = [asyncio.create_task(fetch(number)) for number in range(2 * FETCHES_AT_ONCE)]
    await store.until(lambda: store.open == FETCHES_AT_ONCE)
    store.may_go_on.set()
    await asyncio.gather(*fetches)
    assert fetched == [len(b"partial")] * 2 * FETCHES_AT_ONCE
    assert store.most == FETCHES_AT_ONCE


@pytest.mark.parametrize(
    ("media_type", "patterns", "taken"),
    [
        ("text/plain", ["*/*"], True),
        ("", ["*/*"], True),
        ("IMAGE/PNG", ["image/*"], True),
        ("text/plain; charset=utf-8", ["text/plain"], True),
        ("application/pdf", ["image/*", "application/pdf"], True),
        ("application/pdf", ["image/*"], False),
        ("", ["image/*"], False),
        ("text/plain", [], False),
    ],
)
def test_a_media_type_is_taken_by_its_pattern(media_type: str, patterns: list[str], taken: bool) -> None:
    assert is_taken(media_type, patterns) == taken
