"""What a real runner does with orders of the host's and with a provider's own commands, in order with what is said."""

from __future__ import annotations

from pathlib import Path

from agent.protocol.messages import ChatIn, Clear, SetModel, SystemIn
from tests.fakes.runner import Script, ask, running

NATIVE = "tests.fakes.providers:NativeProvider"
SAYS_ITS_MODEL = Script().on("slow", ask(), "{model}").on(None, "{model}")


def command(text: str) -> ChatIn:
    return ChatIn(sender="Ada", text=text, native=True)


def use(model: str | None) -> SystemIn:
    return SystemIn(system=SetModel(model=model))


# ---------------------------------------------------------------- the provider's own commands


async def test_a_command_reaches_a_provider_that_has_it(tmp_path: Path) -> None:
    async with running(tmp_path, provider=NATIVE, idle_ms=600_000, start=False) as runner:
        before, compact, after = runner.post("before", command("/compact tersely"), "after")
        runner.start()
        await runner.done(before, compact, after)
        assert runner.texts() == [
            "You said: before",
            "I received the command /compact tersely",
            "You said: after",
        ]
        assert runner.turns() == {before: before, compact: compact, after: after}


async def test_what_is_said_while_a_command_runs_waits_for_it(tmp_path: Path) -> None:
    script = Script().on("/compact", ask(), "Compacted.")
    async with running(
        tmp_path, provider=NATIVE, provider_options={"script": list(script)}, idle_ms=600_000
    ) as runner:
        (compact,) = runner.post(command("/compact"))
        await runner.asked()
        (after,) = runner.post("after")
        runner.answer()
        await runner.done(compact, after)
        assert runner.texts() == ["Compacted.", "You said: after"]


async def test_a_command_that_the_provider_does_not_have_is_answered_with_a_sentence(tmp_path: Path) -> None:
    async with running(tmp_path, start=False) as runner:
        before, compact, after = runner.post("before", command("/compact tersely"), "after")
        runner.start()
        await runner.done(before, compact, after)
        assert runner.texts() == [
            "You said: before",
            "This agent's provider knows no /compact.",
            "You said: after",
        ]
        (_, refusal, _) = runner.messages()
        assert (refusal.in_reply_to, refusal.turn_id) == (compact, compact)


# ---------------------------------------------------------------- the model


async def test_a_model_is_used_from_its_place_on_and_by_the_next_runner(tmp_path: Path) -> None:
    async with running(tmp_path, SAYS_ITS_MODEL, idle_ms=600_000, model="configured") as runner:
        (slow,) = runner.post("slow")
        await runner.asked()
        (order,) = runner.post(use("large"), trigger=False)
        (after,) = runner.post("after")
        runner.answer()
        await runner.done(slow, order, after)
        assert runner.texts() == ["configured", "large"]
        assert await runner.stop() == 0

        runner.start()
        (again,) = runner.post("again")
        await runner.done(again)
        assert runner.texts()[2:] == ["large"]
        (back,) = runner.post(use(None), trigger=False)
        (last,) = runner.post("last")
        await runner.done(back, last)
        assert runner.texts()[3:] == ["configured"]


async def test_a_model_ends_a_query_that_idles_and_keeps_its_memory(tmp_path: Path) -> None:
    async with running(tmp_path, SAYS_ITS_MODEL, idle_ms=600_000) as runner:
        await runner.done(*runner.post("one"))
        (order,) = runner.post(use("large"), trigger=False)
        await runner.done(order)
        await runner.done(*runner.post("two"))
        assert runner.texts() == ["mock", "large"]
        assert await runner.stop() == 0
        assert runner.continuation().endswith("-2")


async def test_a_clear_keeps_the_model(tmp_path: Path) -> None:
    async with running(tmp_path, SAYS_ITS_MODEL) as runner:
        await runner.done(*runner.post(use("large"), SystemIn(system=Clear()), trigger=False))
        await runner.done(*runner.post("one"))
        assert runner.texts() == ["large"]
