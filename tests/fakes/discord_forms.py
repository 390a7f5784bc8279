"""Whether what was sent for a message is one: Discord's limits, and what it says of each ("Create Message").

A form that is wrong is refused whole, with every field that is wrong in `errors` (code 50035).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.fakes.discord_values import THREAD_MINUTES, invalid, wrong

MAX_CHARS: Final = 2000
NONCE_CHARS: Final = 25
MAX_EMBEDS: Final = 10
MAX_FILES: Final = 10
MAX_ROWS: Final = 5
MAX_CUSTOM_ID: Final = 100
EMBED_TOTAL: Final = 6000
NAME_CHARS: Final = 100
PARTS_OF_MENTIONS: Final = ("roles", "users", "everyone")

Errors = dict[str, Any]


@dataclass(frozen=True)
class Upload:
    """A file of a multipart form: the number in its field's name, and what it is."""

    index: int
    name: str
    data: bytes
    media_type: str | None


def too_long(limit: int) -> Errors:
    """A text has too many characters."""
    return wrong("BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")


def length(low: int, high: int) -> Errors:
    """A text or list is too short or too long."""
    return wrong("BASE_TYPE_BAD_LENGTH", f"Must be between {low} and {high} in length.")


REQUIRED: Final = wrong("BASE_TYPE_REQUIRED", "This field is required")
NOT_TEXT: Final = wrong("STRING_TYPE_CONVERT", "Could not interpret as string.")


def check_message(form: Mapping[str, Any], *, files: Sequence[Upload] = ()) -> None:
    """Raises Refused where something about a message is wrong."""
    errors: Errors = {}
    content = form.get("content")
    if content is not None and not isinstance(content, str):
        errors["content"] = NOT_TEXT
    elif content is not None and len(content) > MAX_CHARS:
        errors["content"] = too_long(MAX_CHARS)
    nonce = form.get("nonce")
    if nonce is not None and len(str(nonce)) > NONCE_CHARS:
        errors["nonce"] = too_long(NONCE_CHARS)
    if max(len(files), len(form.get("attachments") or ())) > MAX_FILES:
        errors["attachments"] = too_long(MAX_FILES)
    found = {
        "embeds": _embeds(form.get("embeds") or ()),
        "components": _components(form.get("components") or ()),
        "allowed_mentions": _mentions(form.get("allowed_mentions") or {}),
    }
    errors.update({name: each for name, each in found.items() if each})
    if errors:
        raise invalid(errors)


def check_name(form: Mapping[str, Any], *, required: bool = True) -> None:
    """Raises Refused where the name of a channel or thread, or its time, is wrong."""
    errors: Errors = {}
    name = form.get("name")
    if name is None and required:
        errors["name"] = REQUIRED
    elif name is not None and not 1 <= len(str(name).strip()) <= NAME_CHARS:
        errors["name"] = length(1, NAME_CHARS)
    minutes = form.get("auto_archive_duration")
    if minutes is not None and minutes not in THREAD_MINUTES:
        errors["auto_archive_duration"] = wrong(
            "BASE_TYPE_CHOICES", f"Value must be one of {THREAD_MINUTES}."
        )
    if errors:
        raise invalid(errors)


def _mentions(allowed: Mapping[str, Any]) -> Errors:
    parse = allowed.get("parse") or []
    errors: Errors = {}
    for index, each in enumerate(parse):
        if each not in PARTS_OF_MENTIONS:
            message = f"Value must be one of {PARTS_OF_MENTIONS}."
            errors.setdefault("parse", {})[str(index)] = wrong("BASE_TYPE_CHOICES", message)
    for kind in ("users", "roles"):
        if allowed.get(kind) and kind in parse:
            message = f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
            errors |= wrong("MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message)
        if len(allowed.get(kind) or ()) > 100:
            errors[kind] = too_long(100)
    return errors


def _embeds(embeds: Sequence[Mapping[str, Any]]) -> Errors:
    if len(embeds) > MAX_EMBEDS:
        return too_long(MAX_EMBEDS)
    errors = {str(index): found for index, each in enumerate(embeds) if (found := _embed(each))}
    if not errors and sum(map(_embed_chars, embeds)) > EMBED_TOTAL:
        return wrong("MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {EMBED_TOTAL}")
    return errors


def _embed(embed: Mapping[str, Any]) -> Errors:
    errors: Errors = {}
    for name, limit in (("title", 256), ("description", 4096)):
        if len(embed.get(name) or "") > limit:
            errors[name] = too_long(limit)
    for name, part, limit in (("footer", "text", 2048), ("author", "name", 256)):
        if len((embed.get(name) or {}).get(part) or "") > limit:
            errors[name] = {part: too_long(limit)}
    fields = embed.get("fields") or ()
    if len(fields) > 25:
        errors["fields"] = too_long(25)
    else:
        each = {str(index): found for index, field in enumerate(fields) if (found := _embed_field(field))}
        errors |= {"fields": each} if each else {}
    return errors


def _embed_field(field: Mapping[str, Any]) -> Errors:
    errors: Errors = {}
    for name, limit in (("name", 256), ("value", 1024)):
        if not field.get(name):
            errors[name] = REQUIRED
        elif len(field[name]) > limit:
            errors[name] = too_long(limit)
    return errors


def _embed_chars(embed: Mapping[str, Any]) -> int:
    texts = [embed.get("title"), embed.get("description"), (embed.get("footer") or {}).get("text")]
    texts.append((embed.get("author") or {}).get("name"))
    for field in embed.get("fields") or ():
        texts += [field["name"], field["value"]]
    return sum(len(text) for text in texts if text)


def _components(rows: Sequence[Mapping[str, Any]]) -> Errors:
    if len(rows) > MAX_ROWS:
        return length(1, MAX_ROWS)
    seen: set[str] = set()
    errors: Errors = {}
    for index, row in enumerate(rows):
        if row.get("type") != 1:
            errors[str(index)] = {"type": wrong("BASE_TYPE_CHOICES", "Value must be one of (1,).")}
            continue
        children = row.get("components") or ()
        wide = any(each.get("type") != 2 for each in children)
        if not 1 <= len(children) <= (1 if wide else 5):
            errors[str(index)] = {"components": length(1, 1 if wide else 5)}
            continue
        found = {str(n): bad for n, each in enumerate(children) if (bad := _component(each, seen))}
        errors |= {str(index): {"components": found}} if found else {}
    return errors


def _component(part: Mapping[str, Any], seen: set[str]) -> Errors:
    errors: Errors = {}
    custom_id = part.get("custom_id")
    if part.get("type") == 2 and part.get("style") == 5:
        return {} if part.get("url") else {"url": REQUIRED}
    if not custom_id:
        errors["custom_id"] = REQUIRED
    elif len(custom_id) > MAX_CUSTOM_ID:
        errors["custom_id"] = length(1, MAX_CUSTOM_ID)
    elif custom_id in seen:
        errors["custom_id"] = wrong(
            "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated"
        )
    seen.add(custom_id or "")
    if part.get("type") == 2:
        if len(part.get("label") or "") > 80:
            errors["label"] = length(1, 80)
        elif not part.get("label") and not part.get("emoji"):
            errors |= wrong("BUTTON_COMPONENT_INVALID", "A button must have a label or an emoji")
    elif part.get("type") == 3:
        errors |= _select(part)
    return errors


def _select(part: Mapping[str, Any]) -> Errors:
    options = part.get("options") or ()
    if not 1 <= len(options) <= 25:
        return {"options": length(1, 25)}
    errors: Errors = {}
    if len(part.get("placeholder") or "") > 150:
        errors["placeholder"] = too_long(150)
    for index, option in enumerate(options):
        bad = {
            name: length(1, 100)
            for name in ("label", "value", "description")
            if not (1 if name != "description" else 0) <= len(option.get(name) or "") <= 100
        }
        errors |= {"options": {**errors.get("options", {}), str(index): bad}} if bad else {}
    values = [option.get("value") for option in options]
    if len(set(values)) != len(values):
        errors["options"] = wrong(
            "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", "The option values must be unique"
        )
    return errors


def need(form: Any, name: str) -> Any:
    """A field that has to be there. Raises Refused."""
    if not isinstance(form, Mapping) or form.get(name) is None:
        raise invalid({name: REQUIRED})
    return form[name]
