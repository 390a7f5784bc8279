"""From a prompt to the content blocks of a user message, as the Messages API knows them."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from typing import Any, Final

from agent.protocol.messages import Attachment
from agent.providers.base import Prompt

MAX_IMAGE_BYTES: Final = 5 * 1024 * 1024 * 3 // 4
"""The API takes an image of up to 5 MB in base64 ("Vision", image size)."""
MAX_PDF_BYTES: Final = 16 * 1024 * 1024
MAX_ALL_BYTES: Final = 20 * 1024 * 1024
"""Of one prompt together; the API refuses a request of more than 32 MB ("PDF support", requirements)."""

_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)


def blocks(prompt: Prompt) -> list[dict[str, Any]]:
    """The prompt's text, and before it the images and PDFs among its attachments that fit. Everything else is
    known to the agent by its path, which stands in the text. Reads files: not for the event loop."""
    shown: list[dict[str, Any]] = []
    left = MAX_ALL_BYTES
    for attachment, directory in prompt.attachments:
        data = _read(directory / attachment.path, min(left, MAX_PDF_BYTES))
        block = None if data is None else _block(attachment, data)
        if block is not None and data is not None:
            left -= len(data)
            shown += [{"type": "text", "text": f"The attachment {attachment.name}:"}, block]
    return [*shown, {"type": "text", "text": prompt.text}]


def kind_of(data: bytes) -> str | None:
    """The media type of an image or a PDF by its first bytes; None for anything else. What a sender claims counts
    for nothing: the API refuses what it cannot read, and with it every later message of the conversation."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for begin, kind in _SIGNATURES if data.startswith(begin)), None)


def _block(attachment: Attachment, data: bytes) -> dict[str, Any] | None:
    kind = kind_of(data)
    if kind is None or (kind != "application/pdf" and len(data) > MAX_IMAGE_BYTES):
        return None
    source = {"type": "base64", "media_type": kind, "data": base64.b64encode(data).decode()}
    if kind == "application/pdf":
        return {"type": "document", "source": source, "title": attachment.name}
    return {"type": "image", "source": source}


def _read(path: Path, most: int) -> bytes | None:
    """None for what is no regular file, is gone or is larger than that."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > most:
            return None
        return file.read(most)
