"""What stands in the place of something that Slack does not take: people are told, nothing is left out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from adapters.slack import kit
from adapters.slack.draft import Draft
from adapters.slack.guard import guarded
from adapters.slack.render import message, plainly
from adapters.text import shown_name

NO_FILE: Final = "(The file {name} is missing: {why}.)"
NO_FILES: Final[Mapping[str, str]] = {
    "file_uploads_disabled": "this workspace takes no files",
    "file_uploads_except_images_disabled": "this workspace takes no files but images",
    "file_upload_size_restricted": "it is larger than this workspace takes",
    "file_type_not_allowed": "this workspace does not take this kind of file",
    "slack_connect_blocked_file_type": "this workspace does not take this kind of file",
    "slack_connect_file_upload_sharing_blocked": "no files may be sent to this shared channel",
    "storage_limit_reached": "this workspace has no room for files any more",
    "missing_argument": "Slack takes no empty file",
    "missing_scope": "the app may not send files; `roost slack check` says what it lacks",
    "no_permission": "the app may not send files here",
}
"""By the error of files.getUploadURLExternal or files.completeUploadExternal, from their documentation."""
REFUSED_BLOCKS: Final = frozenset(
    {
        "invalid_blocks",
        "invalid_blocks_format",
        "msg_blocks_too_long",
        "only_one_table_allowed",
        "msg_too_long",
    }
)
"""The errors of chat.postMessage and chat.update that mean the blocks."""


def instead(draft: Draft, error: str) -> Sequence[Draft]:
    """The drafts that say the same after Slack has refused one with an `error`; none where it says nothing of what the
    draft carries beside its words."""
    if draft.file is not None and error in NO_FILES:
        name = shown_name(draft.file.name) or "?"
        said = guarded(NO_FILE.format(name=name, why=NO_FILES[error]))
        told = message([kit.markdown(said)])
        return [replace(told, previews=draft.previews, replaces=draft.replaces)]
    if draft.blocks and error in REFUSED_BLOCKS:
        return plainly(draft)
    return ()
