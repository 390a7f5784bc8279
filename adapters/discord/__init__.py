"""The channel Discord: a bot in servers and in direct messages."""
