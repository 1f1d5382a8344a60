"""The metadata of an answer: its id, model, finish reason and usage, and the fields that this package does not know.

Rule 1. Nothing is lost. An unknown field of an answer is kept in ``response_metadata`` under its own name
    (``custom_outputs``, ``search_results``, Azure's ``content_filter_results``, vLLM's ``stop_reason``). Null, empty
    text, an empty list and an empty object are left out.
Rule 2. The server's id is ``response_metadata["id"]`` and never the id of a message, because LangGraph's
    ``add_messages`` replaces the message that has the same id, and some servers count their answers from 1 after each
    restart. LangChain gives each message an id of its own.
Rule 3. Only the last chunk of a stream contains this metadata (each chunk has ``model_provider``). `fields` merges the
    values of several events.
Rule 4. A server's field with a name that this package uses itself gets the prefix ``server_``.
Rule 5. The id of an agent's trace is ``response_metadata["trace_id"]``, wherever the server put it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.dialects.shared.answer.fields import Fields
from langchain_dbchat.dialects.shared.answer.usage import decode_usage
from langchain_dbchat.dialects.shared.blocks.message_keys import PROVIDER
from langchain_dbchat.dialects.shared.blocks.storable import storable
from langchain_dbchat.dialects.shared.request.agent_inputs import TRACE_FIELDS, trace_id_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages.ai import UsageMetadata
    from typing_extensions import Self

    from langchain_dbchat.dialects.dialect import Target

__all__ = ["KEEP_ALIVE", "AnswerFacts"]

KEEP_ALIVE = ("ping", "heartbeat", "keepalive", "keep-alive", "keep_alive")
"""Types of events that only keep the connection alive."""

_OWN_NAMES = frozenset(
    {
        "model_provider",
        "model_name",
        "model_family",
        "finish_reason",
        "served_model",
        "request_id",
        "token_usage",
        "id",
        "logprobs",
        "output_version",
    }
)

_CUT = frozenset({"length", "max_tokens", "content_filter", "refusal"})
"""Finish reasons of an answer that the model did not end itself."""


class AnswerFacts:
    """The metadata of one answer.

    Args:
        target: The called model.
        request_id: The response's ``x-request-id``.
    """

    __slots__ = ("_usage", "finish_reason", "id", "kept", "request_id", "served_model", "target", "usage")

    def __init__(self, target: Target, request_id: str | None) -> None:
        self.target = target
        self.id: str | None = None
        self.request_id = request_id
        self.served_model: str | None = None
        self.finish_reason: str | None = None
        self.usage: Mapping[str, Any] | None = None
        self._usage: tuple[Mapping[str, Any], dict[str, Any]] | None = None  # the usage, and what a message has of it
        self.kept = Fields(fragments=False)

    def copy(self) -> Self:
        """Return a copy, to which a choice of the same answer adds its own metadata."""
        self._token_usage()
        other = type(self)(self.target, self.request_id)
        other._usage = self._usage  # noqa: SLF001  # an instance of this class
        other.id, other.served_model, other.usage = self.id, self.served_model, self.usage
        other.kept = self.kept.copy()
        return other

    @property
    def cut(self) -> bool:
        """Return whether a limit ended the answer."""
        return self.finish_reason in _CUT

    def usage_metadata(self) -> UsageMetadata | None:
        """Return the token usage in LangChain's format, if the answer has one."""
        return decode_usage(self.usage) if self.usage else None

    def llm_output(self) -> dict[str, Any]:
        """Return the ``llm_output`` of a whole answer, which LangChain adds to the metadata of the message."""
        return {"model_name": self.target.model, **self._token_usage()}

    def _token_usage(self) -> dict[str, Any]:
        if not self.usage:
            return {}
        if self._usage is None or self._usage[0] is not self.usage:  # once for all choices of an answer
            self._usage = (self.usage, storable(dict(self.usage)))
        return {"token_usage": dict(self._usage[1])}

    def metadata(self) -> dict[str, Any]:
        """Return the ``response_metadata`` of the message."""
        metadata: dict[str, Any] = {
            "model_provider": PROVIDER,
            "model_name": self.target.model,
            "model_family": self.target.family.name,
        }
        if self.finish_reason is not None:
            metadata["finish_reason"] = self.finish_reason
        if self.served_model is not None:
            metadata["served_model"] = self.served_model
        if self.id is not None:
            metadata["id"] = self.id
        if self.request_id is not None:
            metadata["request_id"] = self.request_id
        metadata.update(self._token_usage())
        for key, value in self.kept.whole().items():
            metadata[f"server_{key}" if key in _OWN_NAMES else key] = value
            if key in TRACE_FIELDS and (trace_id := trace_id_in({key: value})):
                metadata["trace_id"] = trace_id
        return metadata
