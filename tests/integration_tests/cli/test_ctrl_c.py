"""Ctrl-C stops an answer of `dbchat chat` at whatever line it comes, and the conversation goes on.

The signal is raised at a chosen line of an answer, so nothing depends on time. Lines of langchain-core, rich and the
standard library count as ours do.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import signal
import sys
from collections.abc import Iterator
from functools import partial
from types import FrameType
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage

from kit.scripted import Received, Scripted, ScriptedServer, sse
from kit.sign_in import PAT
from langchain_dbchat.cli import chat
from langchain_dbchat.cli.interruptible import InterruptibleLoop

pytest.importorskip("rich")
if sys.platform == "win32":  # pragma: no cover  # a loop cannot have the signal there
    pytest.skip("needs signals of an event loop", allow_module_level=True)

from rich.console import Console

POINTS = 60
BEYOND = 10**9  # lines


def _chunk(text: str, finish: str | None = None) -> dict[str, object]:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def _answer(_: Received) -> Scripted:
    return Scripted(sse(_chunk("here"), _chunk("", "stop")))


class _Lines:
    """Raises the signal at a line, counted from the beginning."""

    def __init__(self, line: int) -> None:
        self.count, self._line = 0, line

    def __call__(self, _: FrameType, event: str, __: Any) -> _Lines:
        if event == "line":
            self.count += 1
            if self.count == self._line:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return self


class _Keyboard:
    """Types one question, then reports the end of the input."""

    def __init__(self) -> None:
        self._lines = iter(["question", None])

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def read(self) -> str | None:
        """The next line."""
        return next(self._lines)


@pytest.fixture
def conversation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A function that holds a conversation, and returns what the screen shows."""
    with ScriptedServer(_answer) as server, InterruptibleLoop() as loop:
        monkeypatch.setenv("DATABRICKS_HOST", server.url)
        monkeypatch.setenv("DATABRICKS_TOKEN", PAT)
        parser = argparse.ArgumentParser()
        chat.add_arguments(parser)
        options = parser.parse_args(["--model", "m", "--api", "chat"])

        def hold(lines: _Lines, **more: Any) -> str:
            screen = io.StringIO()
            talk = chat._Conversation(options, Console(file=screen, width=79), loop)
            talk._editor = _Keyboard()  # type: ignore[assignment]  # no terminal
            talk._llm = talk._llm.model_copy(update=more)
            before = sys.gettrace()
            sys.settrace(lines)
            try:
                went_on = talk._goes_on()
            finally:
                sys.settrace(before)
            assert went_on
            talk.note("The screen works.")
            assert [message.type for message in talk._messages] in ([], ["human", "ai"])
            return screen.getvalue()

        yield hold


# After the answer, while the prompt has not come yet, the interrupt may hit a finalizer, where Python drops it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_at_any_line_of_an_answer(conversation: Any) -> None:
    whole = _Lines(BEYOND)
    conversation(_Lines(BEYOND))  # imports
    assert "here" in conversation(whole)
    stopped = 0
    # The first line of `_goes_on` is that of its `try`, which is not within it yet.
    for line in range(2, whole.count, max(whole.count // POINTS, 1)):
        shown = conversation(_Lines(line))
        stopped += "Stopped" in shown
        assert "Stopped" in shown or "here" in shown, shown
        assert shown.endswith("The screen works.\n")
    assert stopped > POINTS // 2


class _WithFinalizer(BaseCallbackHandler):
    """Loses an object while a call begins; Ctrl-C is pressed while the object's finalizer runs."""

    run_inline = True  # in the thread of the loop, which is the one that has signals

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        class Lost:
            def __del__(self) -> None:
                signal.raise_signal(signal.SIGINT)
                for _ in range(1_000):  # Python looks for signals when a loop jumps back
                    pass

        Lost()


def test_within_a_finalizer_where_an_exception_would_be_lost(conversation: Any) -> None:
    shown = conversation(_Lines(BEYOND), callbacks=[_WithFinalizer()])
    assert "Stopped." in shown
    assert "here" not in shown


@pytest.mark.parametrize("handles", [False, True])
def test_where_a_loop_has_no_signals_an_interrupt_ends_the_coroutine(
    monkeypatch: pytest.MonkeyPatch, *, handles: bool
) -> None:
    """As on Windows: the exception is raised in the loop, at whatever callback it runs."""

    def without_signals(*_: Any) -> None:
        raise NotImplementedError

    def interrupted() -> None:
        raise KeyboardInterrupt

    cancelled = []

    async def wait() -> str:
        loop = asyncio.get_running_loop()
        loop.call_soon(interrupted)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            if not handles:
                raise
        return "handled"

    async def result() -> str:
        return "x"

    with InterruptibleLoop() as loop:
        monkeypatch.setattr(loop._loop, "add_signal_handler", without_signals)
        if handles:
            assert loop.run(wait) == "handled"
        else:
            with pytest.raises(KeyboardInterrupt):
                loop.run(wait)
        assert loop.run(result) == "x"
    assert cancelled


@pytest.mark.parametrize("before", [signal.default_int_handler, signal.SIG_IGN], ids=["default", "ignored"])
def test_a_coroutine_that_ends_by_ctrl_c_is_an_interrupt_and_the_loop_goes_on(
    before: Any, request: pytest.FixtureRequest
) -> None:
    """A shell ignores Ctrl-C for what it starts in the background."""
    request.addfinalizer(partial(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, before)))

    async def press() -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(60)

    async def result() -> HumanMessage:
        return HumanMessage("x")

    async def press_at_the_end() -> None:
        signal.raise_signal(signal.SIGINT)

    with InterruptibleLoop() as loop:
        with pytest.raises(KeyboardInterrupt):
            loop.run(press)
        loop.run(press_at_the_end)
        assert loop.run(result).content == "x"
    assert signal.getsignal(signal.SIGINT) is before
