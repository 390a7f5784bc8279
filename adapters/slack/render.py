"""From a reply to the messages that show it on Slack. Pure: the same reply gives the same drafts every time, as long as
it is given the same limits, so that a retry can go on at the one that failed.

It costs about as much as reading the text once; of a very long one only the beginning is cut into messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from adapters.base import Edit, Outgoing, OutgoingFile, Part, clean, replacing
from adapters.naming import file_name
from adapters.slack import kit
from adapters.slack.card import card_blocks
from adapters.slack.draft import Draft
from adapters.slack.emoji import emoji_name
from adapters.slack.guard import guarded
from adapters.slack.kit import Block
from adapters.slack.laying import Answer
from adapters.slack.live import addition, live
from adapters.slack.mrkdwn import messages, notification
from adapters.slack.question import question_blocks
from adapters.text import shown_name, split, utf8_bytes, utf16_units

MAX_FILE_BYTES: Final = 1_000_000_000
"""What Slack takes of a file. Slack's help, Add files to Slack."""
MIN_FILE_BYTES: Final = 1_024
"""Where a place takes no larger file, a long answer does not come as one."""
FEW_MESSAGES: Final = 3
"""A longer answer comes as a file as well."""
MANY_MESSAGES: Final = 6
"""Of a longer answer only the first few messages are shown, and the file."""
TEXT_CHARS: Final = 3_000
"""Of what a notification shows; Slack takes 40,000, and nobody reads these there."""
READABLE_CHARS: Final = 200
PLAIN_CHARS: Final = 4_000
"""Of a message without blocks. Slack's documentation, chat.postMessage, asks for no more."""
EMPTY: Final = "(An empty message.)"
IN_THE_FILE: Final = "(This answer is long: all of it is in the file.)"

__all__ = ["addition", "drafts", "live", "parts", "plainly"]


def drafts(
    outgoing: Outgoing, *, max_file_bytes: int = MAX_FILE_BYTES, people: bool = False, previews: bool = False
) -> list[Draft]:
    """The drafts of a reply, at least one.

    `max_file_bytes` is the largest file that the place takes, 0 where it takes none: the number of drafts depends on
    it, so keep it the same for all tries. With `people` those may be notified who are named; with `previews` Slack may
    look behind links. Raises SendFailed for what Slack cannot show at all.
    """
    if outgoing.reaction is not None:
        return [Draft(reaction=emoji_name(outgoing.reaction.emoji))]
    if outgoing.edit is not None:
        made = _edited(outgoing, outgoing.edit, max_file_bytes, people=people)
    else:
        made = _new(outgoing, max_file_bytes, people=people)
    return [replace(draft, previews=previews) for draft in made]


def parts(outgoing: Outgoing, made: Sequence[Draft]) -> list[Part]:
    """The parts by which the service counts them: the draft of one is found again by its index. The text of a part
    without one says what it is for the records."""
    return [
        Part(outgoing, index, text=draft.markdown or draft.text, file=draft.file, replaces=draft.replaces)
        for index, draft in enumerate(made)
    ]


def plainly(draft: Draft) -> list[Draft]:
    """What stands in the place of a draft whose blocks Slack refuses: all of its words, in as many messages as they
    take. The first takes the place of what the draft replaces."""
    words: list[str] = []
    for text, is_mrkdwn in kit.source(draft.blocks):
        words += split(text, PLAIN_CHARS) if is_mrkdwn else messages(text, PLAIN_CHARS)
    texts = _joined(words, PLAIN_CHARS) or [draft.text or EMPTY]
    return [
        Draft(text, previews=draft.previews, replaces=draft.replaces if index == 0 else None)
        for index, text in enumerate(texts)
    ]


def message(made: list[Block]) -> Draft:
    """The draft of a message with these blocks, of which there is at least one."""
    alone = made[0]["text"] if len(made) == 1 and made[0]["type"] == "markdown" else ""
    return Draft(_fallback(made), blocks=made, markdown=alone)


def _fallback(made: list[Block]) -> str:
    """What a notification shows of blocks."""
    left = TEXT_CHARS
    shown: list[str] = []
    for text, is_mrkdwn in kit.source(made):
        if left < READABLE_CHARS:
            break
        shown.append(text if is_mrkdwn and utf16_units(text) <= left else notification(text, left))
        left -= utf16_units(shown[-1]) + 1
    return "\n".join(shown) or EMPTY


def _joined(words: list[str], limit: int) -> list[str]:
    """As few texts as have room for these."""
    texts: list[str] = []
    for each in words:
        if texts and utf16_units(texts[-1]) + 1 + utf16_units(each) <= limit:
            texts[-1] += f"\n{each}"
        else:
            texts.append(each)
    return texts


def _with_footer(made: Sequence[Draft], footer: str | None) -> list[Draft]:
    """A line in small print beneath the last of the texts, in a message of its own where there is no room in that."""
    line = shown_name(guarded(footer or ""), kit.SMALL_CHARS)
    if not line:
        return list(made)
    small = kit.small(line)
    last = next((n for n in reversed(range(len(made))) if made[n].file is None), None)
    if last is None or len(made[last].blocks) >= kit.BLOCKS:
        behind = 0 if last is None else last + 1
        return [*made[:behind], message([small]), *made[behind:]]
    above = made[last]
    beneath = replace(above, blocks=[*above.blocks, small], below=[small] if above.markdown else [])
    return [*made[:last], beneath, *made[last + 1 :]]


def _new(outgoing: Outgoing, max_file_bytes: int, *, people: bool) -> list[Draft]:
    made: list[Draft] = []
    text = outgoing.text
    if outgoing.card is not None:
        shown, text = card_blocks(outgoing.card, people=people)
        made += [message(shown)] if shown else []
    made += _answer(text, max_file_bytes, people=people)
    if outgoing.question is not None:
        made += [message(each) for each in question_blocks(outgoing.question)]
    made = _with_footer(made, outgoing.footer)
    made += [_file(file, max_file_bytes) for file in outgoing.files]
    return made or [message([kit.markdown(EMPTY)])]


def _edited(outgoing: Outgoing, edit: Edit, max_file_bytes: int, *, people: bool) -> list[Draft]:
    """A new text in the place of an old one. A file of the old one gives its place up as well."""
    answer = _answer(outgoing.text, max_file_bytes, people=people) or [message([kit.markdown(EMPTY)])]
    answer = _with_footer(answer, outgoing.footer)
    texts = [draft for draft in answer if draft.file is None]
    replaced = [
        replace(texts[part.index] if part.text else Draft(), replaces=part.replaces)
        for part in replacing(outgoing, edit, [draft.text for draft in texts])
    ]
    return replaced + [draft for draft in answer if draft.file is not None]


def _answer(text: str, max_file_bytes: int, *, people: bool) -> list[Draft]:
    """A text as messages, and as files where it is long, or has a table that is."""
    takes_files = max_file_bytes >= MIN_FILE_BYTES
    answer = Answer(guarded(clean(text), people=people), max_file_bytes if takes_files else 0)
    cut = answer.messages()
    first = [message(each) for each in islice(cut, MANY_MESSAGES + 1)]
    files: list[OutgoingFile] = []
    if len(first) > FEW_MESSAGES and takes_files:
        if len(first) > MANY_MESSAGES:
            first = [*first[:FEW_MESSAGES], message([kit.markdown(IN_THE_FILE)])]
        files = _as_files(text, max_file_bytes)
    else:
        first += [message(each) for each in cut]
    return [*first, *(Draft(file=file) for file in (*files, *answer.files))]


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
    if 0 < len(file.data) <= max_file_bytes:
        return Draft(file=replace(file, name=file_name(file.name)))
    name = shown_name(file.name) or "?"
    if not file.data:
        why = "it is empty, and Slack takes no empty file"
    elif max_file_bytes <= 0:
        why = "this place takes no files"
    else:
        why = f"it has {_mebibytes(len(file.data), up=True)}, and Slack takes {_mebibytes(max_file_bytes, up=False)}"
    return message([kit.markdown(guarded(f"(The file {name} is missing: {why}.)"))])


def _mebibytes(size: int, *, up: bool) -> str:
    """To a tenth: of a file that is too large by a byte, nobody may read that it fits."""
    tenths = -(-size * 10 // 2**20) if up else size * 10 // 2**20
    whole, tenth = divmod(tenths, 10)
    return f"{whole}.{tenth} MiB" if tenth else f"{whole} MiB"
