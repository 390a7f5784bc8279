"""A session of Discord's gateway: what a client has asked to be told, what it was told, and what it may hear again.

The rules of IDENTIFY, RESUME and REQUEST_GUILD_MEMBERS are those of Discord's documentation, "Gateway", "Gateway
Events" and "Opcodes and Status Codes".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.fakes.discord_intents import CONTENT_EVENTS, KNOWN, PRIVILEGED, Intent, without_content

CHUNK_MEMBERS: Final = 1000
ASKED_MEMBERS: Final = 100
NONCE_BYTES: Final = 32
GUILDS_PER_SHARD: Final = 2500


class CloseCode:
    """Why the gateway closes a connection."""

    UNKNOWN_ERROR: Final = 4000
    UNKNOWN_OPCODE: Final = 4001
    DECODE_ERROR: Final = 4002
    NOT_AUTHENTICATED: Final = 4003
    AUTHENTICATION_FAILED: Final = 4004
    ALREADY_AUTHENTICATED: Final = 4005
    INVALID_SEQ: Final = 4007
    RATE_LIMITED: Final = 4008
    SESSION_TIMED_OUT: Final = 4009
    INVALID_SHARD: Final = 4010
    SHARDING_REQUIRED: Final = 4011
    INVALID_API_VERSION: Final = 4012
    INVALID_INTENTS: Final = 4013
    DISALLOWED_INTENTS: Final = 4014


SESSION_ENDS: Final = frozenset({4004, 4007, 4009, 4010, 4011, 4012, 4013, 4014})
"""The codes after which a client has to begin anew."""


@dataclass(frozen=True)
class Sent:
    """A dispatch as one session was told of it."""

    seq: int
    event: str
    data: Mapping[str, Any]

    def frame(self) -> dict[str, Any]:
        """The payload."""
        return {"t": self.event, "s": self.seq, "op": 0, "d": self.data}


class GatewaySession:
    """What one IDENTIFY has begun. `send` is set while a connection carries it."""

    def __init__(self, session_id: str, identify: Mapping[str, Any], *, me: str, replay_events: int) -> None:
        self.id = session_id
        self.identify = identify
        self.intents = int(identify["intents"])
        shard = identify.get("shard") or (0, 1)
        self.shard: tuple[int, int] = (int(shard[0]), int(shard[1]))
        self.seq = 0
        self.acked = 0
        """The last event that the client has said it has seen."""
        self.resumes: list[int] = []
        """The seq that each RESUME named."""
        self.heartbeats: list[int | None] = []
        self.presences: list[Mapping[str, Any]] = []
        self.member_requests: list[Mapping[str, Any]] = []
        self.close_codes: list[int] = []
        """With what its connections were closed, by either side."""
        self.events: deque[Sent] = deque(maxlen=replay_events)
        """The last ones it was told of, and can be told of again."""
        self.written: deque[tuple[int, float]] = deque(maxlen=replay_events)
        """The seq of each event that was put on the wire, and the seconds of time.monotonic() then."""
        self.deaf = False
        self.ended = False
        """It is told of nothing any more."""
        self.forgotten = False
        """Only who carries it now is told of anything."""
        self.send: Callable[[Mapping[str, Any]], None] | None = None
        self._me = me

    @property
    def connected(self) -> bool:
        """Whether a connection carries it now."""
        return self.send is not None

    @property
    def resumable(self) -> bool:
        """Whether RESUME goes on with it."""
        return not self.ended and not self.forgotten

    def names(self) -> list[str]:
        """The names of its events, oldest first."""
        return [each.event for each in self.events]

    def data(self, event: str) -> list[Mapping[str, Any]]:
        """What was said in each event of this name."""
        return [each.data for each in self.events if each.event == event]

    def serves(self, guild_id: str | None) -> bool:
        """Whether events of this guild go to its shard; what belongs to no guild goes to shard 0."""
        number, count = self.shard
        return number == (0 if guild_id is None else (int(guild_id) >> 22) % count)

    def wants(self, intent: int | None) -> bool:
        """Whether it holds any bit of `intent`."""
        return intent is None or bool(self.intents & intent)

    def tell(self, event: str, data: Mapping[str, Any], *, always: bool = False) -> None:
        """Gives the event the next number and sends it, now or with the next RESUME. The deaf hear it only when it is
        for `always`."""
        if self.ended or (self.deaf and not always):
            return
        if event in CONTENT_EVENTS and not self.intents & Intent.MESSAGE_CONTENT:
            data = without_content(data, self._me)
        self.seq += 1
        sent = Sent(self.seq, event, data)
        self.events.append(sent)
        if self.send is not None:
            self.send(sent.frame())

    def after(self, seq: int) -> list[Sent] | None:
        """What came after an event; None where that is not kept any more."""
        missed = [each for each in self.events if each.seq > seq]
        return missed if len(missed) == self.seq - seq else None


def refusal(identify: Any, *, token: str, switched_on: int, guilds: Sequence[str]) -> int | None:
    """The code with which a connection is closed that identifies so; None where it is well. `guilds` are the bot's."""
    if not isinstance(identify, Mapping) or not isinstance(identify.get("properties"), Mapping):
        return CloseCode.DECODE_ERROR
    if not token or str(identify.get("token")).removeprefix("Bot ") != token:
        return CloseCode.AUTHENTICATION_FAILED
    shard, intents = identify.get("shard", (0, 1)), identify.get("intents")
    if not _is_shard(shard):
        return CloseCode.INVALID_SHARD
    if sum((int(guild) >> 22) % shard[1] == shard[0] for guild in guilds) > GUILDS_PER_SHARD:
        return CloseCode.SHARDING_REQUIRED
    if not isinstance(intents, int) or isinstance(intents, bool) or intents < 0 or intents & ~KNOWN:
        return CloseCode.INVALID_INTENTS
    if intents & PRIVILEGED & ~switched_on:
        return CloseCode.DISALLOWED_INTENTS
    return None


def member_chunks(
    asked: Mapping[str, Any], members: Sequence[Mapping[str, Any]], *, intents: int
) -> Iterator[dict[str, Any]]:
    """The GUILD_MEMBERS_CHUNK events that answer a request; none where it is not answered at all, as a request for
    everybody is without the guild members intent."""
    everybody = "user_ids" not in asked and not asked.get("query") and not asked.get("limit")
    if everybody and not intents & Intent.GUILD_MEMBERS:
        return
    ids = asked.get("user_ids")
    wanted = [str(each) for each in (ids if isinstance(ids, list) else [ids])][:ASKED_MEMBERS] if ids else []
    if wanted:
        found = [each for each in members if each["user"]["id"] in wanted]
    else:
        start = str(asked.get("query") or "").casefold()
        found = [each for each in members if any(name.casefold().startswith(start) for name in _names(each))]
        found = found if everybody else found[: min(int(asked.get("limit") or ASKED_MEMBERS), ASKED_MEMBERS)]
    known = {each["user"]["id"] for each in found}
    pieces = [found[n : n + CHUNK_MEMBERS] for n in range(0, len(found), CHUNK_MEMBERS)] or [[]]
    for index, piece in enumerate(pieces):
        chunk: dict[str, Any] = {"guild_id": str(asked["guild_id"]), "members": piece}
        chunk |= {"chunk_index": index, "chunk_count": len(pieces)}
        if missing := [each for each in wanted if each not in known]:
            chunk["not_found"] = missing
        if asked.get("presences"):
            chunk["presences"] = []
        nonce = asked.get("nonce")
        if isinstance(nonce, str) and len(nonce.encode()) <= NONCE_BYTES:
            chunk["nonce"] = nonce
        yield chunk


def _names(member: Mapping[str, Any]) -> list[str]:
    user = member["user"]
    return [name for name in (user.get("username"), user.get("global_name"), member.get("nick")) if name]


def _is_shard(shard: Any) -> bool:
    if not isinstance(shard, list | tuple) or len(shard) != 2:
        return False
    return all(isinstance(each, int) for each in shard) and 0 <= shard[0] < shard[1]
