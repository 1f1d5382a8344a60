"""Translate settings of other clients whose value has another form here, and say what to do instead of the rest.

Rule 1. A setting with the same meaning and form is another name of a field (`marks`). Here are the others, from the
constructors of databricks-langchain 0.22 (``ChatDatabricks``, ``DatabricksEmbeddings``), langchain-openai 1.7
(``ChatOpenAI``, ``OpenAIEmbeddings``), langchain-litellm 0.11, ellmer 0.4 (``chat_databricks()``) and chatlas 0.23.
Rule 2. None has no effect, because it is the default of most of these settings.
Rule 3. A value is translated only if it then does what it does there. Any other value raises, with the setting to use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["REQUEST_FIELDS", "foreign_names", "translate"]

_URI = "databricks"

REQUEST_FIELDS = frozenset(
    {
        "audio",
        "context_management",
        "encoding_format",
        "include",
        "modalities",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "truncation",
        "user",
        "web_search_options",
    }
)
"""Fields of the request that are constructor arguments elsewhere; here they become a part of ``extra_body``."""


def _of_target_uri(value: Any) -> dict[str, Any]:
    """Return the profile that an MLflow URI names (mlflow.org, "Authentication to Databricks")."""
    if value in ("", _URI):
        return {}
    scheme, mark, name = value.partition("://") if isinstance(value, str) else ("", "", "")
    if scheme != _URI or not mark or not name.strip("/"):
        raise ValueError(
            f"target_uri={value!r} is not a URI of a workspace. Leave it out, or give 'databricks://<profile>'; other "
            "servers are called with base_url=..."
        )
    if ":" in name:
        raise ValueError(
            "target_uri names a secret scope, which this client does not read. Read the secret with dbutils.secrets, "
            "and give host=... and token=..."
        )
    return {"config_profile": name.strip("/")}


def _of_responses_api(value: Any) -> dict[str, Any]:
    return {"api": "responses"} if _flag("use_responses_api", value) else {}


def _of_drop_params(value: Any) -> dict[str, Any]:
    return {"strict_params": not _flag("drop_params", value)}


def _of_reasoning(value: Any) -> dict[str, Any]:
    """Return the effort of OpenAI's ``reasoning``; its other fields belong to the Responses API."""
    if not isinstance(value, Mapping):
        raise ValueError(f"reasoning={value!r} is not a mapping. Give reasoning_effort='low', 'medium' or 'high'.")  # noqa: TRY004  # pydantic reports a ValueError
    rest = {key: below for key, below in value.items() if key != "effort" and below is not None}
    found: dict[str, Any] = {} if value.get("effort") is None else {"reasoning_effort": value["effort"]}
    return {**found, "extra_body": {"reasoning": rest}} if rest else found


def _of_chunk_size(value: Any) -> dict[str, Any]:
    """Return the number of texts of one request; OpenAI's default of 1000 is more than Databricks accepts."""
    from langchain_dbchat.models.embedding_models import MAX_INPUTS  # noqa: PLC0415  # chat models do not need it

    return {"batch_size": min(value, MAX_INPUTS) if isinstance(value, int) else value}


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name}={value!r} is neither True nor False.")  # noqa: TRY004  # pydantic reports a ValueError
    return value


_TRANSLATED: dict[str, Callable[[Any], dict[str, Any]]] = {
    "target_uri": _of_target_uri,
    "use_responses_api": _of_responses_api,
    "drop_params": _of_drop_params,
    "reasoning": _of_reasoning,
    "chunk_size": _of_chunk_size,
}

_TOKENS = "tokens are counted by the server"
_WITHOUT_EFFECT: dict[str, tuple[frozenset[Any] | None, str]] = {
    "tiktoken_model_name": (None, _TOKENS),
    "tiktoken_enabled": (None, _TOKENS),
    "allowed_special": (None, _TOKENS),
    "disallowed_special": (None, _TOKENS),
    "check_embedding_ctx_length": (None, _TOKENS),
    "custom_llm_provider": (
        frozenset({"databricks", "openai", "litellm_proxy"}),
        "This client calls Databricks, or with base_url=... an OpenAI-compatible server, such as a LiteLLM proxy.",
    ),
    "use_previous_response_id": (
        frozenset({False}),
        "The whole conversation is sent with each request, because serving endpoints store no responses.",
    ),
    "skip_empty": (
        frozenset({False}),
        "Leave empty texts out of the list. Here each text gets a row; an empty one gets that of a space.",
    ),
}
"""Settings that have nothing to change here: the values that are accepted (None: all), and what to do otherwise."""

_INSTEAD = {
    "openai_organization": "Give default_headers={'OpenAI-Organization': ...}.",
    "organization": "Give default_headers={'OpenAI-Organization': ...}.",
    "disabled_params": "extra_body={'<field>': None} leaves a field out of every request.",
    "stream_chunk_timeout": "Give timeout=Timeouts(idle=<seconds between two events>).",
    "http_socket_options": "Give http_client=httpx.Client(transport=httpx.HTTPTransport(socket_options=[...])), and "
    "http_async_client for async calls.",
    "api_version": "Give default_query={'api-version': ...}.",
    "openai_api_version": "Give default_query={'api-version': ...}.",
    "openai_api_type": "Leave it out: base_url=... says which server is called.",
    "deployment": "Name the endpoint with model=...",
    "base_model": "Name the model behind a custom endpoint with family=..., such as family='claude'.",
    "retry_min_seconds": "Pauses follow the server's Retry-After; bound all of them with retry_deadline=<seconds>.",
    "retry_max_seconds": "Pauses follow the server's Retry-After; bound all of them with retry_deadline=<seconds>.",
    "query_input_type": "Give query_params={'input_type': ...}.",
    "document_input_type": "Give documents_params={'input_type': ...}.",
    "model_list": "Read a LiteLLM configuration with langchain_dbchat.from_litellm_config(...).",
    "system_prompt": "It is the first message of a conversation here: llm.invoke([('system', ...), ('human', ...)]), "
    "or create_agent(llm, tools, system_prompt=...).",
    "params": "Each of its entries is a setting of its own: temperature=..., top_p=..., max_tokens=..., seed=..., "
    "stop=...; log_probs is logprobs, stop_sequences is stop, reasoning_tokens is "
    "thinking={'type': 'enabled', 'budget_tokens': ...}.",
    "echo": "Nothing is printed here. Print what llm.stream(...) yields, or give callbacks=[...].",
}
"""Settings whose meaning is expressed in another way here."""


def foreign_names() -> frozenset[str]:
    """Return the names that `translate` knows."""
    return frozenset({*_TRANSLATED, *_WITHOUT_EFFECT, *_INSTEAD})


def translate(name: str, value: Any, fields: frozenset[str]) -> dict[str, Any] | None:
    """Translate a setting of another client.

    Args:
        name: Its name, which is not the name of a field.
        value: Its value.
        fields: The fields of the class.

    Returns:
        The settings that it means, by the names of their fields; empty if it has no effect. None if no other client
        has such a setting, or if the class does not have these fields.

    Raises:
        ValueError: If its value has an effect there that is not a setting's here; the text says what to do.
    """
    if name in _TRANSLATED:
        found = {} if value is None else _TRANSLATED[name](value)
        return found if fields.issuperset(found) else None
    if name in _WITHOUT_EFFECT:
        harmless, instead = _WITHOUT_EFFECT[name]
        if value is None or harmless is None or (isinstance(value, (str, bool)) and value in harmless):
            return {}
        raise ValueError(f"{name}={value!r} has no meaning here. {instead}")
    if name in _INSTEAD:
        if value is None:
            return {}
        raise ValueError(f"{name} is a setting of another client. {_INSTEAD[name]}")
    return None
