"""The routes by which a bot answers interactions ("Receiving and Responding to Interactions")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.fakes import discord_wire as wire
from tests.fakes.discord_calls import DONE, Answer, Call, Route
from tests.fakes.discord_forms import MAX_CUSTOM_ID, Errors, length, need, too_long
from tests.fakes.discord_interactions import Asked, Callback, Interaction, metadata
from tests.fakes.discord_limits import WEBHOOK
from tests.fakes.discord_things import Message
from tests.fakes.discord_values import (
    ALREADY_ANSWERED,
    BAD_TOKEN,
    UNKNOWN_INTERACTION,
    UNKNOWN_MESSAGE,
    UNKNOWN_WEBHOOK,
    Flag,
    MessageKind,
    Refused,
    invalid,
    wrong,
)
from tests.fakes.discord_writing import SETTABLE, rewritten, written

MAX_CHOICES: Final = 25
OF_ANSWERS: Final = int(SETTABLE | Flag.EPHEMERAL)
ALLOWED: Final = {
    Asked.COMMAND: {Callback.MESSAGE, Callback.THINKING, Callback.MODAL},
    Asked.COMPONENT: set(Callback) - {Callback.CHOICES},
    Asked.COMPLETE: {Callback.CHOICES},
    Asked.MODAL: {Callback.MESSAGE, Callback.THINKING, Callback.DEFERRED_UPDATE, Callback.UPDATE},
}
"""Which answers there are to what ("Interaction Callback Type")."""


def respond(call: Call) -> Answer:
    """The first answer, within three seconds, once."""
    interaction = call.interactions.by_id.get(call.params["interaction"])
    if interaction is None or interaction.token != call.params["token"] or interaction.is_late:
        raise Refused(*UNKNOWN_INTERACTION)
    if interaction.callback is not None:
        raise Refused(*ALREADY_ANSWERED)
    callback = _callback(interaction, need(call.form, "type"))
    form = (call.form or {}).get("data") or {}
    if callback in (Callback.MESSAGE, Callback.THINKING):
        interaction.original = _said(call, interaction, form, loading=callback is Callback.THINKING)
    elif callback in (Callback.UPDATE, Callback.DEFERRED_UPDATE):
        assert interaction.message is not None
        if callback is Callback.UPDATE:
            rewritten(interaction.message, form, call.files)
            call.world.edited(interaction.message)
        interaction.original = interaction.message
    elif callback is Callback.CHOICES:
        interaction.choices = _choices(form)
    else:
        interaction.modal = _modal(form)
    interaction.callback = callback
    interaction.answered_at = call.world.clock()
    call.world.changed()
    if call.query.get("with_response", "").lower() not in ("true", "1"):
        return DONE
    return Answer(_told(call, interaction))


def _callback(interaction: Interaction, kind: Any) -> Callback:
    allowed = ALLOWED[interaction.kind]
    if interaction.message is None:
        allowed = allowed - {Callback.UPDATE, Callback.DEFERRED_UPDATE}
    if kind not in allowed:
        names = tuple(sorted(map(int, allowed)))
        raise invalid({"type": wrong("BASE_TYPE_CHOICES", f"Value must be one of {names}.")})
    return Callback(kind)


def _said(call: Call, interaction: Interaction, form: Mapping[str, Any], *, loading: bool) -> Message:
    """The message of an answer, posted."""
    if loading:
        message = call.world.draft(interaction.place, call.me)
        message.flags = int(form.get("flags") or 0) & Flag.EPHEMERAL | Flag.LOADING
    else:
        message = written(interaction.place, call.me, form, call.files, flags=OF_ANSWERS)
    if interaction.kind is Asked.COMMAND:
        by_menu = "target_id" in interaction.data
        message.kind = MessageKind.CONTEXT_MENU_COMMAND if by_menu else MessageKind.CHAT_INPUT_COMMAND
    elif interaction.message is not None and not interaction.message.is_ephemeral:
        message.kind, message.reference = MessageKind.REPLY, interaction.message
    message.asked_by = metadata(interaction)
    if message.is_ephemeral:
        message.seen_only_by = interaction.user
    return call.world.post(message)


def _told(call: Call, interaction: Interaction) -> dict[str, Any]:
    """What a callback answers to who has asked for it ("Interaction Callback Response")."""
    told: dict[str, Any] = {"id": interaction.id, "type": int(interaction.kind)}
    body: dict[str, Any] = {"interaction": told}
    message = interaction.original
    if message is not None:
        told |= {
            "response_message_id": message.id,
            "response_message_loading": message.is_loading,
            "response_message_ephemeral": message.is_ephemeral,
        }
    callback = interaction.callback
    if message is not None and callback in (Callback.MESSAGE, Callback.UPDATE):
        body["resource"] = {"type": int(callback), "message": wire.message(message, call.me)}
    return body


def _choices(form: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    choices = list(form.get("choices") or ())
    if len(choices) > MAX_CHOICES:
        raise invalid({"data": {"choices": too_long(MAX_CHOICES)}})
    errors: Errors = {}
    for index, each in enumerate(choices):
        bad = {}
        if not 1 <= len(each.get("name") or "") <= 100:
            bad["name"] = length(1, 100)
        if isinstance(each.get("value"), str) and not 1 <= len(each["value"]) <= 100:
            bad["value"] = length(1, 100)
        errors |= {str(index): bad} if bad else {}
    if errors:
        raise invalid({"data": {"choices": errors}})
    return choices


def _modal(form: Mapping[str, Any]) -> Mapping[str, Any]:
    errors: Errors = {}
    if not 1 <= len(form.get("custom_id") or "") <= MAX_CUSTOM_ID:
        errors["custom_id"] = length(1, MAX_CUSTOM_ID)
    if not 1 <= len(form.get("title") or "") <= 45:
        errors["title"] = length(1, 45)
    if not 1 <= len(form.get("components") or ()) <= 5:
        errors["components"] = length(1, 5)
    if errors:
        raise invalid({"data": errors})
    return form


# -------------------------------------------------------------------- by the token


def follow(call: Call) -> Answer:
    """Says something more. What follows "thinks" takes its place."""
    interaction = _by_token(call)
    form = call.form or {}
    if interaction.is_thinking:
        return _edited(call, interaction, _original(interaction))
    message = written(interaction.place, call.me, form, call.files, flags=OF_ANSWERS)
    message.asked_by = metadata(interaction)
    if message.is_ephemeral:
        message.seen_only_by = interaction.user
    if interaction.original is not None and not interaction.original.is_ephemeral:
        message.kind, message.reference = MessageKind.REPLY, interaction.original
    interaction.followups.append(message)
    call.world.post(message)
    return Answer(wire.message(message, call.me))


def read_original(call: Call) -> Answer:
    """The first answer."""
    return Answer(wire.message(_original(_by_token(call)), call.me))


def edit_original(call: Call) -> Answer:
    """Another text for the first answer, or the first one for "thinks"."""
    interaction = _by_token(call)
    return _edited(call, interaction, _original(interaction))


def delete_original(call: Call) -> Answer:
    """Takes the first answer away."""
    call.world.remove(_original(_by_token(call)))
    return DONE


def read(call: Call) -> Answer:
    """What followed."""
    return Answer(wire.message(_followup(call, _by_token(call)), call.me))


def edit(call: Call) -> Answer:
    """Another text for what followed."""
    interaction = _by_token(call)
    return _edited(call, interaction, _followup(call, interaction))


def delete(call: Call) -> Answer:
    """Takes away what followed."""
    call.world.remove(_followup(call, _by_token(call)))
    return DONE


def _edited(call: Call, interaction: Interaction, message: Message) -> Answer:
    rewritten(message, call.form or {}, call.files)
    interaction.was_touched = interaction.was_touched or message is interaction.original
    call.world.edited(message)
    return Answer(wire.message(message, call.me))


def _by_token(call: Call) -> Interaction:
    interaction = call.interactions.by_token.get(call.params["token"])
    if call.params["webhook"] != call.world.application_id or interaction is None:
        raise Refused(*UNKNOWN_WEBHOOK)
    if interaction.is_over:
        raise Refused(*BAD_TOKEN)
    if interaction.callback is None:
        raise Refused(*UNKNOWN_WEBHOOK)
    return interaction


def _original(interaction: Interaction) -> Message:
    if interaction.original is None or interaction.original.is_deleted:
        raise Refused(*UNKNOWN_MESSAGE)
    return interaction.original


def _followup(call: Call, interaction: Interaction) -> Message:
    there = [*interaction.followups, *([interaction.original] if interaction.original is not None else [])]
    for message in there:
        if message.id == call.params["message"] and not message.is_deleted:
            return message
    raise Refused(*UNKNOWN_MESSAGE)


WEBHOOKS: Final = "/webhooks/{webhook}/{token}"
ORIGINAL: Final = WEBHOOKS + "/messages/@original"
ONE: Final = WEBHOOKS + "/messages/{message}"
ROUTES: Final = (
    Route("POST", "/interactions/{interaction}/{token}/callback", respond, None, is_open=True, is_free=True),
    Route("POST", WEBHOOKS, follow, WEBHOOK, is_open=True, is_free=True),
    Route("GET", ORIGINAL, read_original, WEBHOOK, is_open=True, is_free=True),
    Route("PATCH", ORIGINAL, edit_original, WEBHOOK, is_open=True, is_free=True),
    Route("DELETE", ORIGINAL, delete_original, WEBHOOK, is_open=True, is_free=True),
    Route("GET", ONE, read, WEBHOOK, is_open=True, is_free=True),
    Route("PATCH", ONE, edit, WEBHOOK, is_open=True, is_free=True),
    Route("DELETE", ONE, delete, WEBHOOK, is_open=True, is_free=True),
)
