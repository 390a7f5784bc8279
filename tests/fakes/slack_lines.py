"""What a person types in the Slack playground. Pure."""

from __future__ import annotations

from typing import Final

from tests.fakes.playground_lines import Kind

HELP: Final = """\
ada #general @roost hello    ada says it there; @roost, @ada and @bob mention
bob dm hello                 bob says it to the bot alone
t1 hello                     says it in the thread t1
hello                        says it as whoever spoke last, where they were
/as bob   /in #random        changes who you are, and where: #general, #random, dm, t1
/reply 3 TEXT                says it in the thread that begins with message 3
/edit [3] TEXT   /delete [3] changes or takes away one of your own messages, the last one without a number
/react [3] NAME              puts an emoji on a message, the bot's last one without a number: thumbsup
/unreact [3] NAME            takes it off
/file PATH [TEXT]            sends a file
/click 1                     clicks button 1, or chooses option 1
/roost [WORDS]               gives the slash command; /roost help says what it takes
/shortcut [3]                chooses "Ask Roost" in the menu of a message
/fill TEXT | TEXT            fills in the form that was shown, field by field
/close                       closes it
/stop                        presses the stop button of the thread you are in
/home   /open                opens the app's Home tab, or its messages
/cut                         drops the bot's connections
/help   /quit"""
KINDS: Final = {
    "say": Kind("TEXT", needs_text=True),
    "as": Kind("/as NAME", needs_text=True),
    "in": Kind("/in PLACE", needs_text=True),
    "reply": Kind("/reply NUMBER TEXT", number=True, needs_number=True, needs_text=True),
    "edit": Kind("/edit [NUMBER] TEXT", number=True, needs_text=True),
    "delete": Kind("/delete [NUMBER]", number=True),
    "react": Kind("/react [NUMBER] NAME", number=True, needs_text=True),
    "unreact": Kind("/unreact [NUMBER] NAME", number=True, needs_text=True),
    "file": Kind("/file PATH [TEXT]", needs_text=True),
    "click": Kind("/click NUMBER", number=True, needs_number=True),
    "roost": Kind("/roost [WORDS]"),
    "shortcut": Kind("/shortcut [NUMBER]", number=True),
    "fill": Kind("/fill TEXT | TEXT", needs_text=True),
    "close": Kind("/close"),
    "stop": Kind("/stop"),
    "home": Kind("/home"),
    "open": Kind("/open"),
    "cut": Kind("/cut"),
    "help": Kind("/help"),
    "quit": Kind("/quit"),
}
