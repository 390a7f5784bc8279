"""The gateway: the only way out of a container.

service.py      one socket a session, its token, its life                       Gateway
door.py         who comes in by a socket: how many, how fast, and what they say  Door
messages.py     a request of the Messages API: checked, sent on, answered        Messages
request.py      what such a request may look like; pure
usage.py        what it cost, read from a copy of the answer; pure
prices.py       what a token costs; pure
spend.py        what was spent, and whether more may be
tunnel.py       CONNECT to a host of the allow-list                               Tunnel
connect.py      what such a request may look like; pure
hosts.py        the names of the allow-list; pure
addresses.py    the addresses that nobody gets to; pure
hello.py        the name in a TLS ClientHello; pure
proxies.py      which proxy of the host's stands between; pure
upstream.py     connections to models and hosts: TLS, proxies, checked addresses  Upstream
refusals.py     what is not done, and how that is said                            Refusal
"""
