"""From a reply to the messages that show it on Discord. Pure: the same reply gives the same drafts every time, as
long as it is given the same limits, so that a retry can go on at the one that failed.

It costs about as much as reading the text once; of a very long one only the beginning is cut into messages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from adapters.base import Edit, Outgoing, OutgoingFile, Part, SendFailed, clean, replacing
from adapters.discord.card import embed
from adapters.discord.draft import MESSAGE_UNITS, SUPPRESS_EMBEDS, Draft, mentions
from adapters.discord.normalize import ANY_BYTES
from adapters.discord.question import components, question_texts
from adapters.naming import file_name
from adapters.tables import tables_as_code
from adapters.text import (
    pieces,
    shown_name,
    split,
    utf8_bytes,
    utf16_units,
    without_mass_mentions,
)

FEW_MESSAGES: Final = 6
"""A longer answer comes as a file as well."""
MANY_MESSAGES: Final = 12
"""Of a longer answer only the first few messages are shown, and the file."""
MIN_FILE_BYTES: Final = 1_024
"""Where a place takes no larger file, a long answer does not come as one."""
MARK_CHARS: Final = 80
"""More than these are no beginning of a line that is being written in good faith."""
FOOTER_UNITS: Final = 200
SMALL: Final = "-# "
"""What a line begins with that is shown in small print: https://support.discord.com, Markdown Text 101, Subtext."""
EMPTY: Final = "(An empty message.)"
IN_THE_FILE: Final = "(This answer is long: all of it is in the file.)"

_MEDIA_TYPE: Final = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}(?:;[\x20-\x7e]{0,100})?", re.ASCII)
_MARKUP: Final = re.compile(r"([\\`*_~|<>\[\]@])")
"""What means something within a line."""
_KEYS: Final = frozenset("0123456789#*")
_MARKS: Final = frozenset(" \t>#`~*+-|.)0123456789")
_CUSTOM_EMOJI: Final = re.compile(r"<?a?:?(\w{2,32}:\d{15,21})>?", re.ASCII)


def arguments(
    outgoing: Outgoing,
    *,
    max_file_bytes: int,
    people: bool = False,
    previews: bool = False,
    reference: str | None = None,
) -> list[Draft]:
    """The drafts of a reply, at least one.

    `max_file_bytes` is the largest file that the place takes, 0 where it takes none: the number of drafts depends on
    it, so keep it the same for all tries. With `people` those may be notified who are named; with `previews` Discord
    may look behind links; the first draft replies to the message `reference`. Raises SendFailed for what Discord
    cannot show at all.
    """
    if outgoing.reaction is not None:
        return [Draft(reaction=emoji_path(outgoing.reaction.emoji))]
    if outgoing.edit is not None:
        drafts = _edited(outgoing, outgoing.edit, max_file_bytes)
        reference = None
    else:
        drafts = _new(outgoing, max_file_bytes)
    allowed = mentions(people=people)
    return [
        replace(
            draft,
            file=None if draft.file is None else _as_file(draft.file),
            allowed_mentions=allowed,
            flags=0 if previews or draft.embeds else SUPPRESS_EMBEDS,
            reference=reference if index == 0 else None,
        )
        for index, draft in enumerate(drafts)
    ]


def parts(outgoing: Outgoing, drafts: Sequence[Draft]) -> list[Part]:
    """The parts by which the service counts them: the draft of one is found again by its index. The text of a part
    without one says what it is for the records."""
    return [
        Part(outgoing, index, text=draft.content, file=draft.file, replaces=draft.replaces)
        for index, draft in enumerate(drafts)
    ]


def live(text: str) -> list[str]:
    """The contents of the messages that show an answer which is still being written, all of them so far: the last is
    to be edited, and what comes after it to be posted. They are no more than are shown of any answer.

    A message that is followed by another stays as it is while text is appended. This cannot be had of tables, which
    are laid out anew when a later row is wider or shows that there is one, and where the line at which the next
    message begins still turns out to be something else, as a fence with another backtick in its first line does.
    """
    last = text[text.rfind("\n") + 1 :]
    if len(last) <= MARK_CHARS and _MARKS.issuperset(last):
        # What a line begins with says what it is, and is only known with what follows.
        text = text[: max(0, len(text) - len(last) - 1)]
    return list(islice(pieces(_ready(text), MESSAGE_UNITS), FEW_MESSAGES))


def emoji_path(emoji: str) -> str:
    """An emoji as it stands in the path of a reaction, before quoting: itself, or `name:id` for one of a server's
    own (https://docs.discord.com/developers/resources/message, Create Reaction). Raises SendFailed for what is none."""
    text = emoji.strip()
    if own := _CUSTOM_EMOJI.fullmatch(text):
        return own[1]
    if text.isascii() or any(map(_is_in_no_emoji, text)):
        raise SendFailed(f"{shown_name(text)!r} is no emoji that Discord knows", retry_after=None)
    return text


def _is_in_no_emoji(character: str) -> bool:
    """Keycaps are made of digits and two signs; with any other of ASCII a path could become another one."""
    if character.isascii():
        return character not in _KEYS
    return character.isalpha() or character.isspace()


def _ready(text: str) -> str:
    return tables_as_code(without_mass_mentions(text))


def _new(outgoing: Outgoing, max_file_bytes: int) -> list[Draft]:
    drafts: list[Draft] = []
    if outgoing.card is not None:
        embedded, rest = embed(outgoing.card)
        drafts += [Draft(embeds=[embedded])] if embedded else []
        drafts += _answer(rest, max_file_bytes)
    else:
        drafts += _answer(outgoing.text, max_file_bytes)
    if outgoing.question is not None:
        *before, last = question_texts(outgoing.question)
        drafts += [Draft(text) for text in before]
        drafts.append(Draft(last, components=components(outgoing.question)))
    drafts = _with_footer(drafts, outgoing.footer)
    drafts += [_file(file, max_file_bytes) for file in outgoing.files]
    return drafts or [Draft(EMPTY)]


def _with_footer(drafts: Sequence[Draft], footer: str | None) -> list[Draft]:
    """The footer beneath the last of the texts, or in a message of its own where there is no room in that, and none
    beneath a card. It stands above the files, which have none."""
    line = _MARKUP.sub(r"\\\1", without_mass_mentions(shown_name(footer or "", FOOTER_UNITS)))
    last = next((n for n in reversed(range(len(drafts))) if drafts[n].file is None), None)
    if not line:
        return list(drafts)
    small = f"{SMALL}{line}"
    fits = last is not None and utf16_units(f"{drafts[last].content}\n{small}") <= MESSAGE_UNITS
    if last is None or not fits or not drafts[last].content:
        behind = 0 if last is None else last + 1
        return [*drafts[:behind], Draft(small), *drafts[behind:]]
    beneath = replace(drafts[last], content=f"{drafts[last].content}\n{small}")
    return [*drafts[:last], beneath, *drafts[last + 1 :]]


def _edited(outgoing: Outgoing, edit: Edit, max_file_bytes: int) -> list[Draft]:
    """A new text in the place of an old one. A file of the old one gives its place up as well."""
    answer = _with_footer(_answer(outgoing.text, max_file_bytes) or [Draft(EMPTY)], outgoing.footer)
    texts = [draft.content for draft in answer if draft.file is None]
    replaced = [Draft(part.text, replaces=part.replaces) for part in replacing(outgoing, edit, texts)]
    return replaced + [draft for draft in answer if draft.file is not None]


def _answer(text: str, max_file_bytes: int) -> list[Draft]:
    """A text as messages, and as a file where it is long."""
    cut = pieces(_ready(text), MESSAGE_UNITS)
    first = list(islice(cut, MANY_MESSAGES + 1))
    if len(first) > FEW_MESSAGES and max_file_bytes >= MIN_FILE_BYTES:
        if len(first) > MANY_MESSAGES:
            first = [*first[:FEW_MESSAGES], IN_THE_FILE]
        return [*map(Draft, first), *(Draft(file=file) for file in _as_files(text, max_file_bytes))]
    return [*map(Draft, first), *map(Draft, cut)]


def _as_files(text: str, max_file_bytes: int) -> list[OutgoingFile]:
    """The whole text as it was written; in several files where the place takes only small ones."""
    text = clean(text)
    if utf8_bytes(text) <= max_file_bytes:
        return [OutgoingFile("answer.md", "text/markdown", text.encode())]
    cut = split(text, max_file_bytes, utf8_bytes)
    return [
        OutgoingFile(f"answer-{number}.md", "text/markdown", each.encode())
        for number, each in enumerate(cut, 1)
    ]


def _file(file: OutgoingFile, max_file_bytes: int) -> Draft:
    if len(file.data) <= max_file_bytes:
        return Draft(file=file)
    name = without_mass_mentions(shown_name(file.name)) or "?"
    if max_file_bytes <= 0:
        return Draft(f"(The file {name} is missing: this place takes no files.)")
    return Draft(
        f"(The file {name} has {_mebibytes(len(file.data), up=True)}; this server takes"
        f" {_mebibytes(max_file_bytes, up=False)}.)"
    )


def _as_file(file: OutgoingFile) -> OutgoingFile:
    """What it is called stands in the head of a part of the request."""
    known = _MEDIA_TYPE.fullmatch(file.media_type) is not None
    name = file_name(file.name).replace('"', "'")
    return replace(file, name=name, media_type=file.media_type if known else ANY_BYTES)


def _mebibytes(size: int, *, up: bool) -> str:
    """To a tenth: of a file that is too large by a byte, nobody may read that it fits."""
    tenths = -(-size * 10 // 2**20) if up else size * 10 // 2**20
    whole, tenth = divmod(tenths, 10)
    return f"{whole}.{tenth} MiB" if tenth else f"{whole} MiB"
