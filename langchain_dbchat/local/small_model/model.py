"""SmolLM2 in the place of an echo: it writes the text of an answer that no rule has.

Rule 1. The rules decide first. Calls of tools, schemas, contexts, sums and everything else that a rule answers never
reach the small model.
Rule 2. It is sent the texts of the conversation alone, the newest that fit into `SENT_BYTES`. A token is one byte or
more, so they always fit into its context.
Rule 3. It writes `MOST_TOKENS` at most. An answer that is cut there ends with an ellipsis and as a whole one, because
the user has set no such limit.
Rule 4. Its answer says that it comes from a small model, once in a conversation, where the user's limits allow it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.rule_model.answer import FinishPiece, TextPiece
from langchain_dbchat.local.rule_model.backend import Backend
from langchain_dbchat.local.rule_model.conversation import NOTICE, wants_bare_answer
from langchain_dbchat.local.rule_model.model import CurrentTurn
from langchain_dbchat.local.rule_model.request import text_of
from langchain_dbchat.local.small_model.process import ModelProcess
from langchain_dbchat.local.small_model.weights import cache_folder, prepared_weights

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from langchain_dbchat.local.rule_model.answer import Piece
    from langchain_dbchat.local.rule_model.request import ModelRequest

SMALL_NOTICE = "(Written by SmolLM2 on this machine, a very small model that is often wrong.)"
ELLIPSIS = " ..."
CONTEXT_TOKENS = 4_096
MOST_TOKENS = 120
SENT_BYTES = 3_500
SEED = 1
SAMPLING = {"temperature": 0.2, "top_p": 0.9, "frequency_penalty": 0.5}
"""As its authors advise (https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct), and with a penalty, because it
repeats itself."""
PACKAGES = frozenset({"dasllama", "gguf", "platformdirs"})
"""What the extra ``small-model`` installs."""


class SmallModel:
    """SmolLM2-135M-Instruct, served by dasllama on this machine from `start` to `stop`."""

    def __init__(self) -> None:
        self._process: ModelProcess | None = None
        self._backend: Backend | None = None

    def start(self) -> None:
        """Prepare the weights, which takes some seconds the first time, and start the model.

        Raises:
            ImportError: A package is missing; the text says how to install it.
            RuntimeError: The weights cannot be prepared, or the model does not start.
        """
        try:
            from dasllama import tool_path  # noqa: PLC0415  # only this backend needs it

            folder = cache_folder()
            weights = prepared_weights(folder)
        except ModuleNotFoundError as error:
            if error.name not in PACKAGES:
                raise
            raise ImportError(
                f"The backend smollm2 needs the package {error.name!r}. Install it with: "
                'pip install "langchain-dbchat[small-model]"'
            ) from error
        except OSError as error:
            raise RuntimeError(f"The weights of SmolLM2 cannot be prepared: {error}") from error
        program = str(tool_path("dasllama-server"))
        options = ("--gpu", "off", "--ctx", f"{CONTEXT_TOKENS}", "--streams", "2", "--model", str(weights))
        self._process = ModelProcess(folder, (program, *options))
        self._backend = Backend(self._process.start())

    def stop(self) -> None:
        """End the model."""
        if self._process is not None:
            self._process.stop()
        self._process = self._backend = None

    async def pieces(self, request: ModelRequest, choice: int, used_tokens: int) -> AsyncIterator[Piece]:
        """Yield the pieces of an answer's text, and its end.

        Args:
            request: The request.
            choice: The number of the answer; the first is 0.
            used_tokens: How many tokens of the request's limit its reasoning has used, fewer than all.

        Raises:
            Refused: 502 when the model does not answer.
            RuntimeError: It is not running.
        """
        if self._backend is None:
            raise RuntimeError("The small model is not running.")
        is_limited = request.max_tokens is not None and request.max_tokens - used_tokens <= MOST_TOKENS
        sent = replace(
            request,
            messages=sent_messages(request.messages),
            tools=[],
            response_format={},
            max_tokens=(request.max_tokens or 0) - used_tokens if is_limited else MOST_TOKENS,
            sampling={**SAMPLING, **_temperature(request.sampling), "seed": SEED + choice},
        )
        async for piece in self._backend.pieces(sent):
            if isinstance(piece, TextPiece):
                yield piece
            elif isinstance(piece, FinishPiece):
                is_cut = piece.finish == "length"
                if is_cut and not is_limited:
                    yield TextPiece(ELLIPSIS)
                if not is_limited and _needs_notice(request):
                    yield TextPiece(f" {SMALL_NOTICE}")
                yield FinishPiece("length" if is_cut and is_limited else "stop")


def sent_messages(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the texts of a conversation that the model is sent: the newest that fit, without notices.

    Args:
        messages: All messages; the last one of the user is cut if it does not fit.
    """
    kept: list[dict[str, Any]] = []
    left = SENT_BYTES
    for message in reversed(messages):
        text = text_of(message).replace(NOTICE, "").replace(SMALL_NOTICE, "").strip().encode()
        if message.get("role") not in {"system", "user", "assistant"} or not text:
            continue
        if kept and len(text) > left:
            break
        kept.append({"role": message["role"], "content": text[:left].decode("utf-8", "ignore")})
        left -= len(text)
    return kept[::-1]


def _temperature(sampling: dict[str, Any]) -> dict[str, Any]:
    return {name: sampling[name] for name in ("temperature", "top_p") if sampling.get(name) is not None}


def _needs_notice(request: ModelRequest) -> bool:
    said = any(SMALL_NOTICE in text_of(one) for one in request.messages if one.get("role") == "assistant")
    return not (said or request.stop or wants_bare_answer(CurrentTurn(request.messages).talk))
