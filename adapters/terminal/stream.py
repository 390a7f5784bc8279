"""An answer as it is written: which of it can be printed for good, and what its final text still lacks. Pure."""

from __future__ import annotations


class Stream:
    """The live text of one turn. Whole lines come out as they are complete; `partial` is the line being written.

    A turn may give several answers; each final text is compared with what was streamed since the one before.
    """

    def __init__(self, turn_id: str) -> None:
        self.turn_id = turn_id
        self.partial = ""
        self._length = 0
        self._since: list[str] = []
        self._broken_off = False

    def feed(self, offset: int, text: str) -> str:
        """The lines that `text` completes, with their newlines. Text after a gap is left out: the final has it."""
        if offset != self._length:
            return ""
        self._length += len(text)
        if not any(self._since):
            text = text.lstrip()
        self._since.append(text)
        lines, newline, rest = text.rpartition("\n")
        done = self.partial + lines + newline if newline else ""
        self.partial = rest if newline else self.partial + text
        return self._after_break(done) if done else ""

    def finish(self, final: str) -> str | None:
        """What is missing, after the lines that `feed` gave, for `final` to stand there whole; None when `final`
        does not continue what was streamed. White space around an answer counts for nothing."""
        body, wanted = "".join(self._since), final.strip()
        printed = len(body) - len(self.partial)
        if not body:
            return None
        if wanted.startswith(body) or wanted == body.rstrip():
            if len(wanted) > len(body):
                self._length = (
                    -1
                )  # The rest may still be streamed, too late: nothing follows without a gap now.
            self._since, self.partial = [], ""
            return self._after_break(wanted[printed:])
        if body.startswith(wanted):
            rest = body[len(wanted) :].lstrip()
            self._since, self.partial = [rest], rest[max(0, len(rest) - len(self.partial)) :]
            return self._after_break(wanted[printed:])
        return None

    def give_up(self) -> str:
        """The partial line, to be printed as it is; what follows it starts on a line of its own."""
        partial, self.partial = self.partial, ""
        self._broken_off |= bool(partial)
        return partial

    def _after_break(self, text: str) -> str:
        """What goes on after a line that was broken off: its end is printed already."""
        broken_off, self._broken_off = self._broken_off, False
        return text.lstrip(" ").removeprefix("\n") if broken_off else text
