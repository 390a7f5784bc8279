"""The routes of the bot itself, of users and of guilds ("User Resource", "Guild Resource", "Application Resource")."""

from __future__ import annotations

from typing import Any, Final

from tests.fakes import discord_wire as wire
from tests.fakes.discord_calls import DONE, Answer, Call, Route
from tests.fakes.discord_intents import Intent
from tests.fakes.discord_values import MISSING_ACCESS, UNKNOWN_MEMBER, Refused


def gateway(call: Call) -> Answer:
    """Where the gateway is."""
    return Answer({"url": call.gateway_bot()["url"]})


def gateway_bot(call: Call) -> Answer:
    """Where the gateway is, and how often the bot may begin anew."""
    return Answer(call.gateway_bot())


def myself(call: Call) -> Answer:
    """The bot's user."""
    return Answer(wire.own_user(call.me))


def application(call: Call) -> Answer:
    """The bot's application."""
    world = call.world
    flags = world.application_flags()
    body: dict[str, Any] = {
        "id": world.application_id,
        "name": world.bot.name,
        "icon": None,
        "description": "",
        "type": None,
        "bot": wire.user(world.bot),
        "bot_public": False,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": flags,
        "flags_new": str(flags),
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "owner": wire.user(world.owner),
        "approximate_guild_count": len(world.guild_ids()),
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": None,
        "rpc_origins": [],
        "eligible_oauth2_scopes": [],
    }
    return Answer(body)


def user(call: Call) -> Answer:
    """Anybody on Discord."""
    return Answer(wire.user(call.user(call.params["user"])))


def my_guilds(call: Call) -> Answer:
    """The guilds that the bot is in, in part."""
    after = int(call.query.get("after", "0"))
    limit = call.limit(200, 200)
    found: list[dict[str, Any]] = [
        {
            "id": guild.id,
            "name": guild.name,
            "icon": None,
            "banner": None,
            "owner": False,
            "permissions": str(guild.members[call.me.id].permissions),
            "features": [],
        }
        for guild in call.world.guilds.values()
        if call.me.id in guild.members and int(guild.id) > after
    ]
    return Answer(found[:limit])


def leave(call: Call) -> Answer:
    """The bot leaves a guild."""
    call.world.remove_member(call.guild(), call.me)
    return DONE


def guild(call: Call) -> Answer:
    """A guild."""
    found = call.guild()
    body = wire.guild(found)
    if call.query.get("with_counts") in ("true", "1", "True"):
        body |= {"approximate_member_count": wire.member_count(found), "approximate_presence_count": 1}
    return Answer(body)


def channels(call: Call) -> Answer:
    """The channels of a guild, also those that the bot cannot look into; threads are not among them."""
    return Answer([wire.place(each) for each in call.guild().places.values() if not each.is_thread])


def active_threads(call: Call) -> Answer:
    """The threads of a guild that are open."""
    found = call.guild().places.values()
    threads = [each for each in found if each.is_thread and not each.is_archived and each.seen_by(call.me)]
    threads.sort(key=lambda each: int(each.id), reverse=True)
    return Answer(wire.threads(threads, call.me))


def member(call: Call) -> Answer:
    """Somebody in a guild."""
    found = call.guild().members.get(call.params["user"])
    if found is None:
        raise Refused(*UNKNOWN_MEMBER)
    return Answer(wire.member(found))


def members(call: Call) -> Answer:
    """Everybody in a guild; for that the application needs the members intent."""
    if not call.world.switched_on & Intent.GUILD_MEMBERS:
        raise Refused(*MISSING_ACCESS)
    limit = call.limit(1, 1000)
    after = int(call.query.get("after", "0"))
    found = sorted(call.guild().members.values(), key=lambda each: int(each.user.id))
    return Answer([wire.member(each) for each in found if int(each.user.id) > after][:limit])


def search(call: Call) -> Answer:
    """Members whose name begins like this."""
    query = call.query.get("query", "").lower()
    found = call.guild().members.values()
    named = [each for each in found if (each.nick or each.user.name).lower().startswith(query)]
    return Answer([wire.member(each) for each in named][: call.limit(1, 1000)])


def roles(call: Call) -> Answer:
    """The roles of a guild."""
    return Answer([wire.role(each) for each in call.guild().roles.values()])


def stickers(call: Call) -> Answer:
    """A guild's own stickers: there are none."""
    call.guild()
    return Answer([])


GUILD: Final = "/guilds/{guild}"
ROUTES: Final = (
    Route("GET", "/gateway", gateway, is_open=True),
    Route("GET", "/gateway/bot", gateway_bot),
    Route("GET", "/users/@me", myself),
    Route("GET", "/applications/@me", application),
    Route("GET", "/oauth2/applications/@me", application),
    Route("GET", "/users/@me/guilds", my_guilds),
    Route("DELETE", "/users/@me/guilds/{guild}", leave),
    Route("GET", "/users/{user}", user),
    Route("GET", GUILD, guild),
    Route("GET", GUILD + "/channels", channels),
    Route("GET", GUILD + "/threads/active", active_threads),
    Route("GET", GUILD + "/members", members),
    Route("GET", GUILD + "/members/search", search),
    Route("GET", GUILD + "/members/{user}", member),
    Route("GET", GUILD + "/roles", roles),
    Route("GET", GUILD + "/stickers", stickers),
)
