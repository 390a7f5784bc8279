"""Backups: one file that holds what a service would have to be given to go on somewhere else.

What belongs together is copied in this order, and the order is the whole of it:

1. bot.db, as of one moment. It is the truth about what was accepted and what was sent.
2. every outbound.db, right after it. A reply and the ack of what it answers are in one commit there, and
   bot.db takes the ack over before the last part of the reply is sent. The other way round, bot.db could say
   "done" of a message whose reply is in no copy: an accepted message would be lost.
3. every inbound.db, for whoever wants to look; the service makes them anew from bot.db.
4. files, which nothing else depends on.

So an outbox may be newer than bot.db, never older, and a restore sees to what that means (`settle.py`): a reply
of a turn that bot.db knows is sent, with the id by which its platform may know it again; one of a turn that was
asked for only after bot.db was copied is not, because a platform that keeps its history hands that message in
again. Where the agent has pruned an ack since, its reply and one of a later turn stand for it. A message that
was open at that moment and has left no reply in the copy is answered once more: a turn runs at least once.
"""
