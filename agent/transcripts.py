"""A conversation as it is kept for people and for the agent itself, before the provider compacts its memory of it."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any, Final

MAX_TRANSCRIPT_BYTES: Final = 256 * 1024 * 1024
MAX_ENTRY_CHARS: Final = 20_000
MAX_SLUG_CHARS: Final = 50
FOLDER_MODE: Final = 0o755

_MESSAGE: Final = re.compile(
    r"<message [^>]*?from=\"(?P<sender>[^\"]*)\"[^>]*>(?P<text>.*?)</message>", re.DOTALL
)
_TAG: Final = re.compile(r"<[^>]+>")


def archive(transcript: Path, folder: Path, now_ms: int) -> Path | None:
    """Writes the transcript of a conversation, a file of JSON lines, as Markdown into `folder` and returns where;
    None when nothing was said in it. A name that is taken gets a number. Raises OSError, and ValueError for a
    transcript that is too large to be one."""
    if transcript.stat().st_size > MAX_TRANSCRIPT_BYTES:
        raise ValueError(f"{transcript} is larger than a transcript may be")
    with transcript.open(encoding="utf-8", errors="replace") as lines:
        said = list(entries(lines))
    if not said:
        return None
    at = datetime.fromtimestamp(now_ms / 1000, UTC)
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    name = f"{at:%Y-%m-%d}-{slug(next((text for who, text in said if who != 'Assistant'), ''))}"
    text = markdown(said, at)
    for number in range(1, 1_000):
        path = folder / (f"{name}.md" if number == 1 else f"{name}-{number}.md")
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            continue
        return path
    raise FileExistsError(f"{folder} has a thousand conversations called {name}")


def entries(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Who said what, in order: from the lines of a transcript of the Claude CLI. What is no message is left out, and
    so is a line that cannot be read: an archive with a gap is better than none."""
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if not isinstance(row, dict) or row.get("isMeta") or row.get("isSidechain"):
            continue
        message = row.get("message")
        if row.get("type") not in ("user", "assistant") or not isinstance(message, dict):
            continue
        text = _text(message.get("content")).strip()
        if text and row["type"] == "assistant":
            yield "Assistant", text
        elif text:
            yield from _people(text)


def markdown(said: Iterable[tuple[str, str]], at: datetime) -> str:
    """The same as a document. A long entry is cut, and says so."""
    parts = [f"# Conversation, archived {at:%Y-%m-%d %H:%M} UTC"]
    for who, text in said:
        cut = text if len(text) <= MAX_ENTRY_CHARS else f"{text[:MAX_ENTRY_CHARS]}\n\n(… cut)"
        parts.append(f"**{who}**: {cut}")
    return "\n\n".join(parts) + "\n"


def slug(text: str) -> str:
    """A few words of a text as part of a file's name: small ASCII letters, digits, hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return words[:MAX_SLUG_CHARS].strip("-") or "conversation"


def _people(text: str) -> Iterator[tuple[str, str]]:
    """A prompt of the formatter's holds what several people said."""
    found = [(unescape(each["sender"]), _plain(each["text"])) for each in _MESSAGE.finditer(text)]
    yield from found or [("User", text)]


def _plain(markup: str) -> str:
    return unescape(_TAG.sub("", markup)).strip()


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    blocks = [block for block in content if isinstance(block, dict) and block.get("type") == "text"]
    return "\n".join(str(block.get("text", "")) for block in blocks)
