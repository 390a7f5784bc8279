"""A real runner, `python -m agent`, driven by rows and frames as the host drives it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from agent.conversation import MAX_OPEN_TURNS
from agent.protocol import bell
from agent.protocol.mailbox import StatusChange
from agent.protocol.mailbox.inbound_reader import MAX_PENDING
from agent.protocol.messages import (
    ActionOut,
    Attachment,
    ChatIn,
    ChatOut,
    Clear,
    Interrupt,
    MessageOut,
    Note,
    SystemIn,
)
from agent.turns import STOPPED
from tests.fakes.mailroom import OTHER_THREAD, ROUTE
from tests.fakes.runner import OPS, Runner, Script, ask, do, running

SLOW = do("stall", seconds=600)
RUDE = "tests.fakes.rude:RudeProvider"


def stop(turn_id: str | None = None) -> SystemIn:
    return SystemIn(system=Interrupt(turn_id=turn_id))


def only(messages: list[MessageOut]) -> MessageOut:
    (message,) = messages
    return message


# ---------------------------------------------------------------- a turn


async def test_a_message_is_answered_in_one_transaction(tmp_path: Path) -> None:
    async with running(tmp_path, Script().on("hello", "Hello yourself."), claim_ms=60_000) as runner:
        (asked_by,) = runner.post("hello")
        await runner.done(asked_by)

        reply = only(list(runner.messages()))
        assert (reply.content, reply.route) == (ChatOut(text="Hello yourself."), ROUTE)
        assert (reply.in_reply_to, reply.turn_id, reply.seq) == ("m2", "m2", 3)
        assert [(ack.message_id, ack.status) for ack in runner.ack_rows()] == [("m2", "completed")]
        assert await runner.stop() == 0


async def test_what_is_written_is_heard_live_without_gaps(tmp_path: Path) -> None:
    words = ["One ", "two ", "<internal>hush</internal>", '<message to="ops">elsewhere</message>', "three."]
    steps = [do("delta", text=word) for word in words]
    script = Script().on("slowly", *steps, SLOW).on(None, *steps, do("result", text="".join(words)))
    async with running(tmp_path, script) as runner:
        await runner.heard(bell.Changed)
        await runner.done(*runner.post("count"))
        assert runner.texts(ROUTE) == ["One two\n\nthree."]
        assert runner.texts(OPS.route) == ["elsewhere"]

        (asked_by,) = runner.post("slowly")
        await runner.until(lambda: heard_of(runner, asked_by) == "One two\n\nthree.")


def heard_of(runner: Runner, turn_id: str) -> str:
    """The live text of a turn, as long as nothing of it is missing."""
    text = ""
    for frame in runner.live():
        if frame.turn_id == turn_id:
            assert frame.offset == len(text)
            text += frame.text
    return text


async def test_a_flood_of_words_is_few_frames(tmp_path: Path) -> None:
    script = Script().on(None, *(do("delta", text=f"{n} ") for n in range(1_000)), SLOW)
    async with running(tmp_path, script) as runner:
        await runner.heard(bell.Changed)
        runner.post("count")
        text = "".join(f"{n} " for n in range(1_000)).strip()
        await runner.until(lambda: "".join(frame.text for frame in runner.live()) == text)
        assert runner.live()[0].text == "0"
        assert len(runner.live()) < 100


async def test_what_was_written_before_a_question_is_heard_before_it(tmp_path: Path) -> None:
    script = Script().on("ask", do("delta", text="Let me "), do("delta", text="ask first."), ask())
    async with running(tmp_path, script) as runner:
        await runner.heard(bell.Changed)
        before = len(runner.frames)
        runner.post("ask")
        await runner.until(lambda: bell.Changed() in runner.frames[before:])
        asked = runner.frames.index(bell.Changed(), before)
        heard = [frame.text for frame in runner.frames[before:asked] if isinstance(frame, bell.LiveText)]
        assert "".join(heard) == "Let me ask first."


async def test_the_first_answer_of_a_runner_is_heard_live_as_well(tmp_path: Path) -> None:
    async with running(tmp_path, start=False) as runner:
        (asked_by,) = runner.post("one two three")
        runner.start()
        await runner.done(asked_by)
        await runner.heard(bell.LiveText)
        assert "You said: one two three".startswith("".join(frame.text for frame in runner.live()))


async def test_messages_that_wait_together_are_one_turn(tmp_path: Path) -> None:
    async with running(tmp_path, start=False) as runner:
        ids = runner.post("one", "two")
        runner.start()
        await runner.done(*ids)
        assert runner.texts() == ["You said: one\nYou said: two"]
        assert {ack.turn_id for ack in runner.ack_rows()} == {"m2"}


async def test_a_message_of_a_megabyte(tmp_path: Path) -> None:
    """Its answer is one delta, of which a bell can carry only a part; the row carries all of it."""
    text = "x" * 1_500_000
    async with running(tmp_path, poll_slow_ms=600_000) as runner:
        await runner.heard(bell.Changed)
        (asked_by,) = runner.post(text)
        await runner.until(lambda: runner.frames.count(bell.Changed()) == 2)
        assert isinstance(runner.frames[-1], bell.Changed)
        await runner.done(asked_by)
        assert runner.texts() == [f"You said: {text}"]


async def test_an_answer_of_odd_characters(tmp_path: Path) -> None:
    text = "\x00 \x07 \u2028 \ufffe \U0001f600 end"
    async with running(tmp_path, Script().on(None, do("delta", text=text), text)) as runner:
        await runner.heard(bell.Changed)
        await runner.done(*runner.post("\x00 odd"))
        assert runner.texts() == [text]
        await runner.until(lambda: "".join(frame.text for frame in runner.live()) == text)


async def test_a_row_that_cannot_be_decoded_is_failed_and_the_next_one_answered(tmp_path: Path) -> None:
    async with running(tmp_path, start=False) as runner:
        bad = runner.rows.make("bad").model_copy(
            update={"content": ChatIn.model_construct(sender="", text="bad")}
        )
        runner.post(bad, "good")
        runner.start()
        await runner.done("m2", "m4")
        assert runner.acks() == {"m2": "failed", "m4": "completed"}
        assert runner.texts() == ["You said: good"]


async def test_context_is_told_and_done_with(tmp_path: Path) -> None:
    async with running(tmp_path, Script().on("aside", "I was told."), start=False) as runner:
        asides = runner.post(*["aside"] * (MAX_PENDING + 5), trigger=False)
        (note,) = runner.post(SystemIn(system=Note(text="a note")), trigger=False)
        (asked_by,) = runner.post("hello")
        runner.start()
        await runner.done(*asides, note, asked_by)
        assert runner.texts() == ["You said: hello"], "context asks nothing"


async def test_a_second_result_says_more(tmp_path: Path) -> None:
    async with running(tmp_path, Script().on(None, "First.", "Second.")) as runner:
        runner.post("hello")
        assert await runner.sent(2) == ["First.", "Second."]
        assert runner.acks() == {"m2": "completed"}


# ---------------------------------------------------------------- claims and liveness


async def test_a_turn_that_lasts_is_claimed_and_what_it_held_is_done_again(tmp_path: Path) -> None:
    async with running(tmp_path, Script().on("slow", SLOW), claim_ms=20) as runner:
        (slow,) = runner.post("slow")
        await runner.until(lambda: runner.acks() == {slow: "processing"})
        assert await runner.stop(signal.SIGKILL) == -signal.SIGKILL

        runner.start()
        await runner.until(lambda: runner.acks() == {})
        await runner.until(lambda: runner.acks() == {slow: "processing"})
        assert runner.texts() == []


async def test_follow_ups_do_not_put_off_the_claim(tmp_path: Path) -> None:
    async with running(tmp_path, Script().on("slow", SLOW), claim_ms=400) as runner:
        (slow,) = runner.post("slow")

        async def chatter() -> None:
            while True:
                runner.post("and?")
                await asyncio.sleep(0.1)

        chatting = asyncio.create_task(chatter())
        await runner.until(lambda: runner.acks().get(slow) == "processing")
        chatting.cancel()


async def test_a_stall_shows(tmp_path: Path) -> None:
    """Nothing but the provider's own events is a sign of life while a turn runs."""
    async with running(tmp_path, Script().on("slow", do("progress", message="Thinking"), SLOW)) as runner:
        await runner.heard(bell.Changed)
        runner.post("slow")
        await runner.until(lambda: bell.Activity(turn_id="m2", progress="Thinking") in runner.frames)
        await runner.until(lambda: runner.acks() == {"m2": "processing"})
        before = runner.workspace.heartbeat.stat().st_mtime_ns
        runner.post("are you there?")
        await runner.until(lambda: runner.acks().get("m4") == "processing")
        assert runner.workspace.heartbeat.stat().st_mtime_ns == before


async def test_each_event_is_a_sign_of_life(tmp_path: Path) -> None:
    async with running(tmp_path) as runner:
        await runner.heard(bell.Changed)
        os.utime(runner.workspace.heartbeat, (1, 1))
        await runner.done(*runner.post("hello"))
        assert runner.workspace.heartbeat.stat().st_mtime > 1


# ---------------------------------------------------------------- follow-ups and threads


async def test_a_follow_up_is_completed_with_the_turn_that_used_it(tmp_path: Path) -> None:
    script = Script().on("first", ask(), "{tool}").on("second", "Got the second.")
    async with running(tmp_path, script) as runner:
        (first,) = runner.post("first")
        await runner.asked()
        (second,) = runner.post("second")
        await runner.until(lambda: runner.acks().get(second) == "processing")
        assert runner.acks()[first] == "processing"
        runner.answer()
        await runner.done(first, second)

        assert runner.texts() == ["Ada answered: red", "Got the second."]
        assert runner.turns() == {first: first, second: second, "m6": first}


async def test_a_query_is_resumed_after_it_was_idle(tmp_path: Path) -> None:
    async with running(tmp_path, idle_ms=0) as runner:
        for n in range(3):
            await runner.done(*runner.post(f"number {n}"))
            runner.frames.clear()
            await runner.until(lambda: is_between_queries(runner))
        assert await runner.stop() == 0
        assert runner.continuation().endswith("-3"), "three queries, one conversation"


def is_between_queries(runner: Runner) -> bool:
    """Only a runner without one lets go of its inbox when it is asked to."""
    runner.bell.ring(bell.CloseInbound())
    return bell.Quiet(busy=False) in runner.frames


async def test_another_thread_waits_for_its_own_turn_and_ends_an_idle_query_at_once(tmp_path: Path) -> None:
    script = Script().on("first", ask(), "Here.").on("other", "There.")
    async with running(tmp_path, script, idle_ms=600_000) as runner:
        (first,) = runner.post("first")
        await runner.asked()
        (other,) = runner.post("other", route=OTHER_THREAD)
        (more,) = runner.post("more")
        runner.answer()
        await runner.done(first, other, more)

        assert [text for text in runner.texts() if text] == ["Here.", "There.", "You said: more"]
        assert runner.texts(OTHER_THREAD) == ["There."]


async def test_a_thread_that_is_never_quiet_leaves_room_for_another(tmp_path: Path) -> None:
    script = Script().on("other", "There.").on(None, do("stall", seconds=0.05), "Here.")
    async with running(tmp_path, script, idle_ms=600_000) as runner:
        runner.post("more")

        async def chatter() -> None:
            while True:
                runner.post("more")
                await asyncio.sleep(0.01)

        chatting = asyncio.create_task(chatter())
        await runner.sent(1)
        (other,) = runner.post("other", route=OTHER_THREAD)
        await runner.done(other)
        chatting.cancel()
        assert runner.texts(OTHER_THREAD) == ["There."]


async def test_whoever_is_to_leave_finishes_its_turn_and_takes_on_no_other(tmp_path: Path) -> None:
    async with running(tmp_path, Script().on("first", ask(), "{tool}"), idle_ms=600_000) as runner:
        (first,) = runner.post("first")
        await runner.asked()
        runner.bell.ring(bell.Leave())
        # Its answer to this says that it has heard the other.
        runner.bell.ring(bell.CloseInbound())
        await runner.heard(bell.Quiet)
        (later,) = runner.post("later")
        runner.answer()
        assert await runner.ended() == 0
        assert runner.texts() == ["Ada answered: red"]
        assert runner.acks()[first] == "completed" and later not in runner.acks()
        runner.start()
        await runner.done(later)


async def test_whoever_is_to_leave_and_has_nothing_to_do_leaves(tmp_path: Path) -> None:
    async with running(tmp_path, idle_ms=600_000) as runner:
        await runner.done(*runner.post("hello"))
        runner.bell.ring(bell.Leave())
        assert await runner.ended() == 0


async def test_what_comes_in_a_long_turn_makes_few_turns(tmp_path: Path) -> None:
    async with running(tmp_path, Script().on("first", ask(), "{tool}"), idle_ms=600_000) as runner:
        (first,) = runner.post("first")
        await runner.asked()
        ids: list[str] = []

        async def push(text: str) -> None:
            ids.extend(runner.post(text))
            await runner.until(lambda: ids[-1] in runner.acks())

        for number in range(MAX_OPEN_TURNS - 1):
            await push(f"early {number}")
        ids += runner.post("late 1")
        ids += runner.post("late 2")
        runner.answer()
        await runner.done(first, *ids)
        turns = runner.turns()
        assert [turns[i] for i in ids] == [*ids[:-1], ids[-2]]


async def test_a_command_of_the_provider_gets_a_query_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path, provider="tests.fakes.providers:NativeProvider", idle_ms=600_000) as runner:
        await runner.done(*runner.post("hello"))
        await runner.done(*runner.post(ChatIn(sender="Ada", text="/compact", native=True)))
        assert runner.texts()[-1] == "I received the command /compact"


# ---------------------------------------------------------------- interrupt and clear


@pytest.mark.parametrize("by_frame", [True, False])
async def test_a_turn_is_interrupted(tmp_path: Path, by_frame: bool) -> None:
    script = Script().on("slow", do("delta", text="So far"), do("delta", text=" "), SLOW)
    async with running(tmp_path, script, poll_slow_ms=600_000) as runner:
        await runner.heard(bell.Changed)
        (slow,) = runner.post("slow")
        await runner.until(lambda: [frame.text for frame in runner.live()] == ["So far"])
        row = runner.rows.make(stop(), trigger=False)
        if by_frame:
            runner.host.post([row])
            runner.bell.ring(bell.InterruptTurn())
        else:
            runner.post(row)
        await runner.done(slow, row.id)
        assert runner.texts() == [f"So far\n\n{STOPPED}"]

        await runner.done(*runner.post("hello"))
        assert runner.texts()[-1] == "You said: hello"


async def test_an_interrupt_stops_what_was_pushed_as_well(tmp_path: Path) -> None:
    async with running(tmp_path, Script().on("slow", SLOW)) as runner:
        (slow,) = runner.post("slow")
        await runner.until(lambda: slow in runner.acks())
        (more,) = runner.post("more")
        await runner.until(lambda: more in runner.acks())
        (row,) = runner.post(stop(slow), trigger=False)
        await runner.done(slow, more, row)
        assert runner.texts() == [STOPPED]


async def test_an_interrupt_that_came_before_the_turn_began(tmp_path: Path) -> None:
    async with running(tmp_path, start=False) as runner:
        (aside,) = runner.post("aside", trigger=False)
        stopped = runner.post("one", "two")
        (row,) = runner.post(stop(), trigger=False)
        (later,) = runner.post("later")
        runner.start()
        await runner.done(*stopped, row, later)
        assert runner.texts() == [STOPPED, "You said: later"]
        assert runner.turns()[aside] == later, "context is not what was stopped"


async def test_an_interrupt_that_comes_too_late_stops_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, Script().on("slow", SLOW), idle_ms=600_000) as runner:
        (hello,) = runner.post("hello")
        await runner.done(hello)
        (late,) = runner.post(stop(), trigger=False)
        await runner.done(late)
        (slow,) = runner.post("slow")
        await runner.until(lambda: slow in runner.acks())
        (stale,) = runner.post(stop(hello), trigger=False)
        await runner.done(stale)
        assert (runner.acks()[slow], runner.texts()) == ("processing", ["You said: hello"])


async def test_a_clear_is_carried_out_in_order(tmp_path: Path) -> None:
    script = Script().on("slow", ask(), "Done.")
    async with running(tmp_path, script, idle_ms=600_000) as runner:
        (slow,) = runner.post("slow")
        await runner.asked()
        (aside,) = runner.post("aside", trigger=False)
        (clear,) = runner.post(SystemIn(system=Clear()), trigger=False)
        (after,) = runner.post("after")
        await runner.until(lambda: runner.acks().get(slow) == "processing")
        runner.answer()
        await runner.done(slow, aside, clear, after)
        assert runner.texts() == ["Done.", "You said: after"]
        assert runner.turns()[aside] == clear, "what was said before it is forgotten as well"
        assert await runner.stop() == 0
        assert runner.continuation().endswith("-1"), "what came after it knows nothing of before"


# ---------------------------------------------------------------- tools


async def test_a_question_is_asked_and_answered(tmp_path: Path) -> None:
    async with running(tmp_path, Script().on("ask", ask(), "{tool}")) as runner:
        (first,) = runner.post("ask")
        await runner.asked()
        found = runner.snapshot()
        assert found is not None
        question = found.messages[0].content
        assert isinstance(question, ActionOut)
        await runner.until(lambda: (s := runner.snapshot()) is not None and s.tool_deadline is not None)
        assert runner.snapshot().tool_deadline == question.do.expires_at  # type: ignore[union-attr]
        (row,) = runner.answer()
        await runner.done(first, row)
        assert runner.texts() == ["Ada answered: red"]
        assert runner.snapshot().tool_deadline is None  # type: ignore[union-attr]


async def test_a_question_that_nobody_answers(tmp_path: Path) -> None:
    async with running(tmp_path, Script().on("ask", ask(timeout_seconds=1), "{tool}")) as runner:
        await runner.done(*runner.post("ask"))
        assert runner.texts() == ["Nobody answered within 1 seconds."]


async def test_an_answer_after_a_restart_is_a_message(tmp_path: Path) -> None:
    script = Script().on("ask", ask()).on("red", "Red it is.")
    async with running(tmp_path, script) as runner:
        (first,) = runner.post("ask")
        await runner.asked()
        await runner.stop(signal.SIGKILL)
        runner.host.post(changes=[StatusChange(first, "failed")])
        (row,) = runner.answer()
        runner.start()
        await runner.done(row)
        assert runner.texts() == ["Red it is."]


async def test_an_answer_is_taken_even_behind_a_row_in_backoff(tmp_path: Path) -> None:
    async with running(tmp_path, Script().on("ask", ask(), "{tool}")) as runner:
        (first,) = runner.post("ask")
        await runner.asked()
        runner.post("later", tries=1, process_after=int(time.time() * 1000) + 600_000)
        runner.answer()
        await runner.done(first)
        assert runner.texts() == ["Ada answered: red"]


async def test_a_file_is_sent(tmp_path: Path) -> None:
    step = do("tool", name="send_file", arguments={"path": "report.txt", "text": "Here"})
    async with running(tmp_path, Script().on(None, step, "{tool}")) as runner:
        (runner.workspace.work / "report.txt").write_text("numbers")
        await runner.done(*runner.post("report"))
        sent, said = runner.messages()
        assert sent.content == ChatOut(
            text="Here",
            attachments=[Attachment(name="report.txt", media_type="text/plain", size=7, path="report.txt")],
        )
        assert (runner.workspace.sent(sent.id) / "report.txt").read_text() == "numbers"
        assert isinstance(said.content, ChatOut)
        assert said.content.text == f"Sent report.txt (7 bytes) as message #{sent.seq}."


@pytest.mark.parametrize(
    ("to", "told"),
    [("ops", "Sent as message #3."), ("nowhere", "There is no destination 'nowhere'. Known: ops")],
)
async def test_a_message_goes_to_a_destination(tmp_path: Path, to: str, told: str) -> None:
    step = do("tool", name="send_message", arguments={"text": "psst", "to": to})
    async with running(tmp_path, Script().on(None, step, "{tool}")) as runner:
        await runner.done(*runner.post("tell them"))
        assert told in runner.texts(ROUTE)[-1]
        assert runner.texts(OPS.route) == (["psst"] if to == "ops" else [])
