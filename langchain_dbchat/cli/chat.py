"""``dbchat chat``: a conversation in the terminal.

Rule 1. Ctrl-C stops the answer and keeps the text that had arrived; at the prompt it clears the line. Ctrl-D and
``/exit`` end the conversation.
Rule 2. An error is one paragraph, and the conversation goes on: the question that failed is not part of it.
Rule 3. A line that begins with ``/`` is a command, a row of `_COMMANDS`. A line that ends with a backslash goes on.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from langchain_dbchat.cli.chat_models import add_model, chat_model
from langchain_dbchat.cli.connection import NotSignedInError
from langchain_dbchat.cli.exit_codes import ExitCode, UsageError
from langchain_dbchat.cli.line_editor import LineEditor
from langchain_dbchat.cli.models import list_chat_models
from langchain_dbchat.cli.output import error_line
from langchain_dbchat.cli.usage import usage_line
from langchain_dbchat.errors import DatabricksError

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.messages import AIMessageChunk, BaseMessage
    from rich.console import Console

    from langchain_dbchat.cli.interruptible import InterruptibleLoop

__all__ = ["add_arguments", "chat"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``dbchat chat`` to a parser."""
    add_model(parser)


def chat(options: argparse.Namespace) -> int:
    """Talk with a model; /help in it lists its commands."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("dbchat chat needs a terminal. In a pipe, use dbchat ask.")
    from langchain_dbchat.cli.answer_view import terminal_console  # noqa: PLC0415  # loads rich
    from langchain_dbchat.cli.interruptible import InterruptibleLoop  # noqa: PLC0415  # loads asyncio

    with InterruptibleLoop() as loop:
        _Conversation(options, terminal_console(), loop).talk()
    return ExitCode.OK


class _Conversation:
    """A conversation with a model in a terminal.

    Args:
        options: The options of the command line.
        console: Where the answers are drawn.
        loop: Where the answers are received.
    """

    def __init__(self, options: argparse.Namespace, console: Console, loop: InterruptibleLoop) -> None:
        self._options = options
        self._llm = chat_model(options)
        self._system: str = options.system or ""
        self._messages: list[BaseMessage] = []
        self._console = console
        self._loop = loop
        self._editor = LineEditor()

    def talk(self) -> None:
        """Read lines and answer them, until the user ends it."""
        self.note(f"{self._name()}. /help lists the commands; Ctrl-D ends.")
        with self._editor:
            while self._goes_on():
                pass

    def note(self, text: str) -> None:
        """Print a text that is not part of an answer."""
        self._console.print(text, style="dim")

    def change_model(self, name: str) -> None:
        """Go on with another endpoint; without a name, list the endpoints."""
        if not name:
            self.note(f"The model is {self._name()}. /model NAME changes it to one of:")
            self.note(", ".join(list_chat_models(self._options)))
            return
        self._options = argparse.Namespace(**{**vars(self._options), "model": name})
        self._llm = chat_model(self._options)
        self.note(f"The model is {self._name()}.")

    def change_system(self, text: str) -> None:
        """Set the system message; without a text, remove it."""
        self._system = text
        self.note("The system message is set." if text else "There is no system message.")

    def clear(self, _: str) -> None:
        """Forget what was said."""
        self._messages.clear()
        self.note("The conversation is empty; the model and the system message are as before.")

    def help(self, _: str) -> None:
        """List the commands."""
        for row in _COMMANDS:
            self.note(f"{row.usage:<14}{row.explained}")
        self.note("Ctrl-C stops an answer. A line that ends with \\ goes on in the next one.")

    def _name(self) -> str:
        return self._llm.model or "The model of this address"

    def _goes_on(self) -> bool:
        """Read a line, take it, and print what goes wrong; return whether the conversation goes on."""
        try:
            line = self._editor.read()
            return line is not None and self._take(line.strip())
        except KeyboardInterrupt:
            self.note("Stopped.")
        except NotSignedInError as absent:
            error_line(absent.error)
        except (DatabricksError, UsageError, ValueError) as error:
            error_line(error)
        return True

    def _take(self, text: str) -> bool:
        """Run a command or answer a question; return whether the conversation goes on."""
        word, _, rest = text.partition(" ")
        if word in {"/exit", "/quit"}:
            return False
        if not text.startswith("/"):
            if text:
                self._loop.run(lambda: self._answer(text))
            return True
        command = next((row for row in _COMMANDS if row.usage.split()[0] == word), None)
        if command is None:
            self.note(f"There is no command {word}. /help lists the commands.")
        elif command.run is not None:
            command.run(self, rest.strip())
        return True

    async def _answer(self, question: str) -> None:
        """Ask a question, draw the answer, and keep both."""
        from langchain_core.messages import (  # noqa: PLC0415  # `dbchat --help` needs none
            AIMessage,
            HumanMessage,
            SystemMessage,
            message_chunk_to_message,
        )

        asked = [*self._messages, HumanMessage(question)]
        began = time.monotonic()
        answer, is_whole = await self._stream([SystemMessage(self._system), *asked] if self._system else asked)
        if answer is None or not (is_whole or str(answer.text).strip()):
            self.note("Stopped.")
            return
        if not is_whole:
            # What had arrived of its reasoning has no signature yet, so only the text can be sent back.
            self._messages = [*asked, AIMessage(str(answer.text))]
            self.note("Stopped; what had arrived is part of the conversation.")
            return
        self._messages = [*asked, message_chunk_to_message(answer)]
        self.note(usage_line(answer, self._llm.model, time.monotonic() - began))

    async def _stream(self, messages: list[BaseMessage]) -> tuple[AIMessageChunk | None, bool]:
        """Draw an answer; return it as far as it arrived, and whether it is whole."""
        import asyncio  # noqa: PLC0415  # `dbchat --help` needs none

        from langchain_dbchat.cli.answer_view import AnswerView  # noqa: PLC0415  # loads rich

        whole: AIMessageChunk | None = None
        with AnswerView(self._console) as view:
            try:
                async for chunk in self._llm.astream(messages):
                    whole = chunk if whole is None else whole + chunk
                    view.add(chunk)
            except asyncio.CancelledError:  # Ctrl-C
                return whole, False
        return whole, True


class _SlashCommand(NamedTuple):
    """A command within a conversation.

    Attributes:
        usage: How it is written.
        explained: What it does.
        run: Runs it, with the words after it; None for the one that ends the conversation.
    """

    usage: str
    explained: str
    run: Callable[[_Conversation, str], None] | None


_COMMANDS = (
    _SlashCommand("/model NAME", "go on with another endpoint; without a name, list them", _Conversation.change_model),
    _SlashCommand("/system TEXT", "set the system message; without a text, remove it", _Conversation.change_system),
    _SlashCommand("/clear", "forget what was said", _Conversation.clear),
    _SlashCommand("/help", "list the commands", _Conversation.help),
    _SlashCommand("/exit", "end the conversation, as Ctrl-D does", None),
)
