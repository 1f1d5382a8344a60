"""Mark the prompts of an agent for prompt caching, as LangChain agents' middleware.

Rule 1. Only models whose row has `cache_control` are marked: Databricks documents prompt caching for its Claude models
(docs.databricks.com/aws/en/machine-learning/foundation-model-apis/score-foundation-models). GPT, Gemini and GLM cache
by themselves.
Rule 2. A mark caches all that is before it, in the order tools, system message, messages. So there is one mark at
the end of the system message, which also caches the tools, and one at the end of the conversation. Anthropic permits
four marks in a request; marks that the user has set are kept and counted.
Rule 3. The caller's messages are not changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

from langchain.agents.middleware import AgentMiddleware

from langchain_dbchat.chat_models import ChatDatabricksCompat
from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.errors.user_warnings import warn
from langchain_dbchat.models.families import family_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from langchain.agents.middleware import ModelRequest, ModelResponse
    from langchain_core.messages import BaseMessage

__all__ = ["DatabricksPromptCachingMiddleware"]

_MOST_MARKS = 4
_MessageT = TypeVar("_MessageT", bound="BaseMessage")


class DatabricksPromptCachingMiddleware(AgentMiddleware[Any, Any, Any]):
    """Cache the prompts of an agent on a Claude model, as `AnthropicPromptCachingMiddleware` does for ChatAnthropic.

    Args:
        ttl: How long the cache is kept: ``"5m"`` (default) or ``"1h"``.
        min_messages_to_cache: Shorter conversations, counted with the system message, are not cached. Default 0.
        unsupported_model_behavior: What to do with a model that has no such marks: ``"ignore"``, ``"warn"``
            (default) or ``"raise"``.

    Raises:
        ConfigurationError: In a call, if the model has no such marks and the behaviour is ``"raise"``.

    Example:
        >>> from langchain.agents import create_agent
        >>> from langchain_dbchat import ChatDatabricksCompat
        >>> from langchain_dbchat.integrations.prompt_caching import DatabricksPromptCachingMiddleware
        >>> from langchain_dbchat.local import LocalWorkspace
        >>> with LocalWorkspace() as workspace:
        ...     llm = ChatDatabricksCompat(
        ...         model="databricks-claude-sonnet-4-6", host=workspace.host, token=workspace.token
        ...     )
        ...     agent = create_agent(llm, [], middleware=[DatabricksPromptCachingMiddleware()])
        ...     state = agent.invoke({"messages": [("human", "Hello!")]})
        ...     workspace.requests[-1].json["messages"][-1]["content"][-1]["cache_control"]
        {'type': 'ephemeral', 'ttl': '5m'}
    """

    def __init__(
        self,
        ttl: Literal["5m", "1h"] = "5m",
        min_messages_to_cache: int = 0,
        unsupported_model_behavior: Literal["ignore", "warn", "raise"] = "warn",
    ) -> None:
        super().__init__()
        self.ttl = ttl
        self.min_messages_to_cache = min_messages_to_cache
        self.unsupported_model_behavior = unsupported_model_behavior

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Mark a request, and call the model with it.

        Args:
            request: The request.
            handler: Calls the model.

        Returns:
            The model's answer.
        """
        return handler(self._marked(request))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Do the same as `wrap_model_call` without blocking the event loop."""
        return await handler(self._marked(request))

    def _marked(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        if not self._is_supported(request.model):
            return request
        system, messages = request.system_message, request.messages
        if len(messages) + (system is not None) < self.min_messages_to_cache:
            return request
        mark = {"type": "ephemeral", "ttl": self.ttl}
        free = _MOST_MARKS - sum(map(_marks, [*([system] if system is not None else []), *messages]))
        changed: dict[str, Any] = {}
        if messages and free > 0 and (last := _with_mark(messages[-1], mark)) is not messages[-1]:
            changed["messages"] = [*messages[:-1], last]
            free -= 1
        if system is not None and free > 0:
            changed["system_message"] = _with_mark(system, mark)
        return request.override(**changed) if changed else request

    def _is_supported(self, model: Any) -> bool:
        named = isinstance(model, ChatDatabricksCompat)
        if named and family_of(model.model, None if model.family == "discover" else model.family).cache_control:
            return True
        who = repr(model.model) if named else type(model).__name__
        text = f"{who} has no marks for prompt caching, so nothing is marked. Databricks documents them for Claude."
        if self.unsupported_model_behavior == "raise":
            raise ConfigurationError(text)
        if self.unsupported_model_behavior == "warn":
            warn(text)
        return False


def _marks(message: BaseMessage) -> int:
    blocks = message.content if isinstance(message.content, list) else []
    return sum(isinstance(block, dict) and "cache_control" in block for block in blocks)


def _with_mark(message: _MessageT, mark: dict[str, str]) -> _MessageT:
    """Return a copy of a message with a mark on its last block; the message itself if it has none or is marked."""
    content = message.content
    blocks: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    if not blocks or content == "" or _marks(message):
        return message
    last = {"type": "text", "text": blocks[-1]} if isinstance(blocks[-1], str) else blocks[-1]
    return message.model_copy(update={"content": [*blocks[:-1], {**last, "cache_control": mark}]})
