"""Who may talk, command and answer: one pure decision for every kind of inbound event.

Ids only: what a person is called decides nothing, and the adapter sets who they are, never a payload.

| who | what they may |
| --- | --- |
| the bot itself | nothing: an echo of its own words has no effect |
| another bot, a webhook | nothing; where the wiring hears `bots`: message, edit, delete |
| a person with a role for the agent | everything, and the commands of their level that are about this agent |
| a person with a role everywhere | the same for every agent, and the commands that are about the service |
| a stranger | the commands for anyone; where the wiring says `answer`, in that place, all that a member may |

Where the wiring hears `senders = "admins"` alone, the words of others count for nothing: their commands stay theirs.

A stranger who counts as a member has the commands of the conversation, and never one for admins or owners. Where the
wiring says `ask`, an admin is asked about a stranger who turns to the agent, unless one has denied them before; where
nobody has wired the place, an owner is asked about it. What is asked about is kept, and its sender may change it or
take it back; what an admin has let through is taken, once.
A deletion is the one event that may have no sender: Discord's "Message Delete" names nobody, and it may have been a
moderator (https://discord.com/developers/docs/events/gateway-events#message-delete). It is the platform's own word
that a message is gone, so it counts where that message was accepted, and all that it can do is to withdraw it.

`Allow` is made here and nowhere else, and whatever has an effect asks for one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal, assert_never

from adapters.base import Event, Receipt
from bot import surfaces
from bot.db.people import Role, Standing
from bot.engage import Senders, Strangers

Level = Literal["anyone", "member", "admin", "owner"]
"""What a command asks of whoever runs it."""

NOT_LET_IN: Final = "I only answer people whom an admin of mine has let in; please ask one of them."
ONLY_ADMINS: Final = "Here I only answer people with the role admin."
ASKED: Final = "I have asked an admin whether I may answer you; your message is kept until then."

_RANK: Final[dict[Role | None, int]] = {None: 0, "member": 1, "admin": 2, "owner": 3}
_NEEDED: Final[dict[Level, int]] = {"anyone": 0, "member": 1, "admin": 2, "owner": 3}


@dataclass(frozen=True)
class Facts:
    """What bot.db knows of the sender, and which `agent` the event is about (None: the service as a whole); what the
    command that they want asks for, what the wiring of the place has for `strangers`, `senders` and `bots`, whether the
    message is addressed to the agent, and whether what was deleted is a message that was accepted."""

    standing: Standing = field(default_factory=Standing)
    agent: str | None = None
    command_level: Level | None = None
    strangers: Strangers = "ignore"
    senders: Senders = "anyone"
    bots: bool = False
    addressed: bool = True
    accepted: bool = False
    held: bool = False
    """What was changed or deleted is a message that waits until somebody has decided."""
    admitted: bool = False
    """An admin has let just this message through."""
    first_contact: bool = False
    """Nobody has wired the place, and an owner is asked what is to become of it."""

    @property
    def guest(self) -> bool:
        """A stranger who counts as a member in this place."""
        return self.standing.of(self.agent) is None and self.strangers == "answer"

    @property
    def role(self) -> Role | None:
        """The role that counts for what the event is about."""
        return "member" if self.guest else self.standing.of(self.agent)

    def somewhere(self) -> Facts:
        """The same, as if whatever they want were about what they may do most for: what is refused then is refused
        whatever it is about."""
        standing = Standing(self.standing.anywhere, denied=self.standing.denied)
        return replace(self, agent=None, standing=standing)

    def unaddressed(self) -> Facts:
        """The same for a message that is not for the agent."""
        return replace(self, addressed=False)

    def about(self, agent: str | None) -> Facts:
        """The same for something that is about this agent, or about the service as a whole. Being a guest of a place is
        no standing beyond its agent."""
        strangers = self.strangers if agent == self.agent else "ignore"
        return replace(self, agent=agent, strangers=strangers)


@dataclass(frozen=True)
class Allow:
    """Go on."""


@dataclass(frozen=True)
class Ask:
    """An admin decides about the person, or an owner about the place. Until then it has no effect, and is kept. `text`,
    where there is one, is said to the sender."""

    text: str | None = ASKED
    kind: Literal["admit", "contact"] = "admit"


@dataclass(frozen=True)
class Drop:
    """It has no effect. `text`, where there is one, is said to the sender."""

    reason: str
    text: str | None = None

    @property
    def receipt(self) -> Receipt:
        """What the adapter is told of it."""
        return Receipt("refused" if self.text else "dropped", self.text)


def may(role: Role | None, level: Level) -> bool:
    """Whether a person with this role may use what asks for this level."""
    return _RANK[role] >= _NEEDED[level]


def decide(event: Event, facts: Facts) -> Allow | Ask | Drop:
    """Whether the event may have any effect."""
    if event.sender.is_self:
        return Drop("itself")
    if event.sender.is_bot:
        return _bot(event, facts)
    match event.kind:
        case "delete" if not event.sender.id:
            return Allow() if facts.accepted or facts.held else Drop("unknown_message")
        case "message" if facts.admitted:
            return Allow()
        case "message" | "answer" | "edit" | "delete" | "reaction":
            return _words(event, facts) if may(facts.role, "member") else _stranger(event, facts)
        case "command" | "complete":
            return _command(event, facts)
        case unknown:
            assert_never(unknown)


def _words(event: Event, facts: Facts) -> Allow | Drop:
    # Whoever may talk may take back what they have said, whoever else is heard.
    if facts.senders == "anyone" or event.kind == "delete" or may(facts.role, "admin"):
        return Allow()
    spoke = event.kind in ("message", "answer") and facts.addressed
    return Drop("not_admin", ONLY_ADMINS if spoke else None)


def _bot(event: Event, facts: Facts) -> Allow | Drop:
    # What presses buttons and gives commands is no conversation, and its reactions would be answered by reactions.
    heard = facts.bots and event.kind in ("message", "edit", "delete")
    return Allow() if heard else Drop("bot")


def _stranger(event: Event, facts: Facts) -> Ask | Drop:
    """One is told so only where the wiring wants it, and only who has turned to the agent."""
    if facts.held and event.kind in ("edit", "delete"):
        return Ask(None)
    # Where admins alone are heard nobody is asked who else may be.
    asks = (facts.strangers == "ask" and facts.senders == "anyone") or facts.first_contact
    if event.kind == "message" and facts.addressed and asks:
        # "" stands for all agents; `known` people of another agent are strangers here, and can be let in as well.
        if facts.standing.denied & {"", facts.agent}:
            return Drop("denied")
        return Ask() if facts.strangers == "ask" else Ask(None, "contact")
    spoke = event.kind in ("message", "answer", "command") and facts.addressed
    return Drop("stranger", NOT_LET_IN if facts.strangers == "refuse" and spoke else None)


def _command(event: Event, facts: Facts) -> Allow | Drop:
    if facts.command_level is not None and may(facts.role, facts.command_level):
        return Allow()
    if facts.role is None and not facts.standing.known:
        decided = _stranger(event, facts)
        return decided if isinstance(decided, Drop) else Drop("stranger")
    if facts.command_level is None:
        listing = surfaces.spelled(event.route.channel, "help")
        return Drop("unknown_command", f"There is no such command; {listing} lists them.")
    whose = (
        f" for the agent {facts.agent}" if facts.agent is not None and facts.command_level != "member" else ""
    )
    return Drop("not_allowed", f"This command is for people with the role {facts.command_level}{whose}.")
