"""Asking people, and waiting for what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from agent.protocol.messages import MAX_OPTIONS, MAX_QUESTION_CHARS, ActionOut, AskQuestion, Label
from agent.tools.base import Desk, Parameters, Tool


class Ask(Parameters):
    """Arguments of ask_user_question."""

    title: Annotated[Label, Field(description="A few words, shown above the question")]
    question: Annotated[str, Field(min_length=1, max_length=MAX_QUESTION_CHARS)]
    options: Annotated[
        Sequence[Label], Field(max_length=MAX_OPTIONS, description="Answers to choose from")
    ] = ()
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 300


def ask_user_question(desk: Desk) -> Tool[Ask]:
    """Asks the people at the origin and waits for the first answer."""

    async def run(given: Ask) -> str:
        question_id = desk.new_id()
        deadline = desk.clock() + given.timeout_seconds * 1000
        question = AskQuestion(
            question_id=question_id,
            title=given.title,
            question=given.question,
            options=list(given.options),
            expires_at=deadline,
        )
        desk.send(ActionOut(do=question), kind="action", route=desk.origin)
        answer = await desk.answer(question_id, deadline)
        if answer is None or answer.answer is None:
            return f"Nobody answered within {given.timeout_seconds} seconds."
        return f"{answer.answered_by or 'Somebody'} answered: {answer.answer}"

    return Tool(
        "ask_user_question",
        "Ask the people you are talking to a question and wait for the answer. With options, they choose by "
        "button. For what you cannot find out or must not decide by yourself.",
        Ask,
        run,
    )
