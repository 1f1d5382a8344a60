"""``dbchat ask``: one question, one answer, for people and for pipes.

Rule 1. The question is the arguments, the standard input, or the arguments followed by the standard input.
Rule 2. At a terminal the answer is drawn as Markdown. Anywhere else the standard output has the answer alone, as it
arrives, without thinking.
Rule 3. With ``--schema`` the output is JSON that fits the schema; with ``--json`` it is one object with the answer, its
usage and its cost.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from langchain_dbchat.cli.chat_models import add_model, chat_model
from langchain_dbchat.cli.exit_codes import ExitCode, UsageError
from langchain_dbchat.cli.output import error_line
from langchain_dbchat.cli.question import image_block, read_schema_argument, whole_question
from langchain_dbchat.cli.usage import dollars_of

if TYPE_CHECKING:
    import argparse

    from langchain_core.messages import AIMessage, BaseMessage

    from langchain_dbchat.chat_models import ChatDatabricksCompat

__all__ = ["add_arguments", "ask"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``dbchat ask`` to a parser."""
    parser.add_argument("question", nargs="*", help="the question; the standard input is added to it")
    parser.add_argument("--image", action="append", default=[], metavar="FILE|URL", help="an image; may be repeated")
    parser.add_argument("--schema", metavar="FILE|JSON", help="a JSON schema; the answer is JSON that fits it")
    parser.add_argument("--json", action="store_true", help="print the answer, its usage and its cost as JSON")
    add_model(parser)


def ask(options: argparse.Namespace) -> int:
    """Ask one question; works in pipes."""
    from langchain_core.messages import HumanMessage, SystemMessage  # noqa: PLC0415  # `dbchat --help` does not need it

    question = whole_question(options.question)
    schema = None if options.schema is None else read_schema_argument(options.schema)
    images = [image_block(place) for place in options.image]
    content: str | list[Any] = [{"type": "text", "text": question}, *images] if images else question
    messages: list[BaseMessage] = [SystemMessage(options.system)] if options.system else []
    messages.append(HumanMessage(content))
    llm = chat_model(options)
    if schema is not None:
        return _structured(llm, messages, schema, as_json=options.json)
    if options.json:
        _print_json(_record(llm.invoke(messages), llm.model))
    elif sys.stdout.isatty():
        _draw(llm, messages)
    else:
        _write(llm, messages)
    return ExitCode.OK


def _structured(
    llm: ChatDatabricksCompat, messages: list[BaseMessage], schema: dict[str, Any], *, as_json: bool
) -> int:
    """Print an answer that fits a schema."""
    try:
        asker = llm.with_structured_output(schema, include_raw=True)
    except (TypeError, ValueError) as error:
        raise UsageError(f"--schema: {error}") from error
    result: Any = asker.invoke(messages)
    raw, parsed = result["raw"], result["parsed"]
    if result["parsing_error"] is not None:
        error_line(result["parsing_error"])
        return ExitCode.FAILED
    _print_json({**_record(raw, llm.model), "parsed": parsed} if as_json else parsed)
    return ExitCode.OK


def _record(message: AIMessage, model: str) -> dict[str, Any]:
    """Return what a script may want to know of an answer."""
    thinking = [str(block.get("reasoning") or "") for block in message.content_blocks if block["type"] == "reasoning"]
    return {
        "model": model,
        "text": str(message.text),
        "reasoning": "".join(thinking) or None,
        "finish_reason": message.response_metadata.get("finish_reason"),
        "usage": message.usage_metadata,
        "dollars": dollars_of(message, model),
        "id": message.id,
    }


def _draw(llm: ChatDatabricksCompat, messages: list[BaseMessage]) -> None:
    """Draw the answer in the terminal while it arrives."""
    from langchain_dbchat.cli.answer_view import AnswerView, terminal_console  # noqa: PLC0415  # loads rich
    from langchain_dbchat.cli.interruptible import InterruptibleLoop  # noqa: PLC0415  # loads asyncio

    async def draw() -> None:
        with AnswerView(terminal_console()) as view:
            async for chunk in llm.astream(messages):
                view.add(chunk)

    with InterruptibleLoop() as loop:
        loop.run(draw)


def _write(llm: ChatDatabricksCompat, messages: list[BaseMessage]) -> None:
    """Write the text of the answer while it arrives."""
    last = ""
    for chunk in llm.stream(messages):
        last = str(chunk.text) or last
        sys.stdout.write(str(chunk.text))
        sys.stdout.flush()
    if not last.endswith("\n"):
        sys.stdout.write("\n")


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
