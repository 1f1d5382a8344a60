"""Make models from the configuration file of a LiteLLM proxy.

Rule 1. An entry of ``model_list`` is a deployment: ``model_name`` is the name that users know, ``litellm_params`` are
its settings (docs.litellm.ai/docs/proxy/configs). Settings of the deployment override those of ``litellm_settings`` and
``router_settings``.
Rule 2. ``os.environ/NAME`` is replaced by the variable, only in the entries that are used. A missing variable raises,
because without it the request would be signed as another user. ``environment_variables`` of the file go first.
Rule 3. Several deployments of one name, and names in ``fallbacks``, are called in their order if one before fails
(LangChain's ``with_fallbacks``). Embeddings have no fallbacks, so several deployments raise.
Rule 4. A name is looked up as the proxy does: ``model_group_alias``, then the entries of that name, then those whose
``model_name`` has a ``*`` that fits. What fits it replaces the ``*`` of ``model`` (docs.litellm.ai,
"Wildcard Routing").
Rule 5. What only a proxy does (budgets, limits per key, prices, routing, logging) is left out. What would change an
answer and cannot be expressed raises.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from langchain_dbchat.chat_models import ChatDatabricksCompat
from langchain_dbchat.connection.given import is_setting
from langchain_dbchat.embeddings import DatabricksEmbeddings
from langchain_dbchat.errors import ConfigurationError
from langchain_dbchat.models.embedding_models import embedding_model_of

__all__ = ["from_litellm_config"]

_VARIABLE = "os.environ/"
_DATABRICKS = "databricks/"
_COMPATIBLE = ("litellm_proxy/", "openai/", "hosted_vllm/", "custom_openai/")
"""The providers that have OpenAI's API at ``api_base``."""

_OF_THE_PROXY = frozenset(
    {
        "additional_drop_params", "allowed_openai_params", "blocked", "budget_duration",
        "configurable_clientside_auth_params", "cooldown_time", "custom_llm_provider", "id", "max_budget",
        "max_file_size_mb", "max_parallel_requests", "merge_reasoning_content_in_choices", "model_info", "order",
        "region_name", "rpm", "tags", "tpm", "use_in_pass_through", "use_litellm_proxy", "weight",
    }
)  # fmt: skip
"""Settings of a deployment for the proxy's router."""

_PROXY_PATTERN = re.compile(r"^litellm_|^auto_router_|_cost(_|$)|^(default|key)_.*_limit$")
"""The names of more of them: prices, limits for each key, and what LiteLLM notes for itself."""

_NUMBERS = frozenset({"max_retries", "num_retries", "request_timeout", "stream_timeout", "timeout"})
"""Settings whose number may be text, as in an environment variable."""

_RENAMED = {
    "databricks_user_agent": "user_agent",
    "num_retries": "max_retries",
    "request_timeout": "timeout",
}

_NOT_EXPRESSED = {
    "mock_response": "Use langchain_dbchat.local for answers without a server.",
    "context_window_fallbacks": "Give the fallback with llm.with_fallbacks([...], exceptions_to_handle=(...)).",
    "content_policy_fallbacks": "Give the fallback with llm.with_fallbacks([...], exceptions_to_handle=(...)).",
    "cache": "Give cache=... to the model, or set langchain_core.globals.set_llm_cache(...).",
    "cache_control_injection_points": "Use langchain_dbchat.integrations.prompt_caching, or mark blocks yourself.",
    "guardrails": "Configure guardrails on the endpoint, or on the AI gateway.",
    "mock_timeout": "Use langchain_dbchat.local.Fault for a server that does not answer.",
}


def from_litellm_config(config: str | Path | Mapping[str, Any], model_name: str | None = None) -> Any:
    """Make the model that a LiteLLM configuration has under a name.

    Args:
        config: The path of the YAML file, or its content.
        model_name: The ``model_name`` of the deployment; None if the file has one name only.

    Returns:
        A `ChatDatabricksCompat`; with fallbacks if there are several deployments. For a deployment of an embedding
        model a `DatabricksEmbeddings`.

    Raises:
        ConfigurationError: If the file has no such deployment, if a variable is missing, or if the deployment has
            another provider or a setting that cannot be expressed.
    """
    content = _load(config)
    if content.get("include"):
        raise ConfigurationError("The configuration includes other files. Give a file that contains all of it.")
    names = list(dict.fromkeys(str(entry.get("model_name")) for entry in _entries(content)))
    if model_name is None:
        if len(names) != 1:
            raise ConfigurationError(f"model_list has {len(names)} names. Choose one with model_name=: {names}.")
        model_name = names[0]
    if "*" in model_name:
        raise ConfigurationError(f"{model_name!r} stands for many models. Name one of them with model_name=.")
    model_name = _unaliased(content, model_name)
    called = dict.fromkeys((model_name, *_fallbacks(content, model_name)))
    defaults = _defaults(content)
    models = [_make(content, entry, defaults) for name in called for entry in _of(content, name)]
    first, *rest = models
    if not rest:
        return first
    if any(isinstance(model, DatabricksEmbeddings) for model in models):
        raise ConfigurationError(
            f"{model_name!r} has {len(models)} deployments, and embeddings have no fallbacks, because rows of two "
            "models cannot be compared. Keep one of them."
        )
    return first.with_fallbacks(rest)


def _load(config: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(config, Mapping):
        return config
    import yaml  # noqa: PLC0415  # a mapping needs no parser; langchain-core depends on it

    try:
        content = yaml.safe_load(Path(config).expanduser().read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"The LiteLLM configuration cannot be read: {error}") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{config} is not UTF-8. Save it as UTF-8 (PowerShell: -Encoding utf8).") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date or a number that is none
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise ConfigurationError(f"{config}{where} is not YAML.") from None  # the error may quote a secret
    if not isinstance(content, Mapping):
        raise ConfigurationError(f"{config} is not the configuration of a LiteLLM proxy: it has no model_list.")
    return content


def _entries(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    entries = content.get("model_list")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, Mapping) for entry in entries):
        raise ConfigurationError("The configuration has no model_list with deployments.")
    return entries


def _of(content: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return the deployments of a name."""
    entries = _entries(content)
    found = [entry for entry in entries if str(entry.get("model_name")) == name]
    found = found or _fitting(entries, name)
    if not found:
        names = list(dict.fromkeys(str(entry.get("model_name")) for entry in entries))
        raise ConfigurationError(f"model_list has no model_name {name!r}. It has {names}.")
    return found


def _fitting(entries: list[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    """Return the deployments whose ``*`` fits a name, those with the longest name first, with the ``*`` replaced."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        pattern = str(entry.get("model_name"))
        head, star, tail = pattern.partition("*")
        given = entry.get("litellm_params")
        if not star or not isinstance(given, Mapping) or not (name.startswith(head) and name.endswith(tail)):
            continue
        fits = name[len(head) : len(name) - len(tail)]
        if fits:
            model = str(given.get("model"))
            fits = fits.removeprefix(_DATABRICKS) if model.startswith(_DATABRICKS) else fits
            model = model.replace("*", fits, 1)
            found.setdefault(pattern, []).append({**entry, "litellm_params": {**given, "model": model}})
    return found[max(found, key=len)] if found else []


def _unaliased(content: Mapping[str, Any], name: str) -> str:
    """Return the name that an alias of the router means."""
    for section in (_section(content, "router_settings"), _section(content, "litellm_settings")):
        meant = _section(section, "model_group_alias").get(name)
        meant = meant.get("model") if isinstance(meant, Mapping) else meant
        if isinstance(meant, str):
            return meant
    return name


def _section(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = content.get(name)
    return section if isinstance(section, Mapping) else {}


def _defaults(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of all deployments."""
    ours, routers = _section(content, "litellm_settings"), _section(content, "router_settings")
    for section in (ours, routers):
        for name, instead in _NOT_EXPRESSED.items():
            if section.get(name):
                raise ConfigurationError(f"{name} of the LiteLLM configuration cannot be expressed. {instead}")
    found: dict[str, Any] = {}
    for section in (routers, ours):
        for name in ("num_retries", "timeout", "request_timeout", "drop_params"):
            if section.get(name) is not None:
                found[_RENAMED.get(name, name)] = section[name]
    return found


def _fallbacks(content: Mapping[str, Any], name: str) -> list[str]:
    """Return the names that are called after a name has failed."""
    sections = (_section(content, "litellm_settings"), _section(content, "router_settings"))
    for key in (name, "*"):
        for section in sections:
            for entry in section.get("fallbacks") or []:
                if isinstance(entry, Mapping) and key in entry:
                    return _names(content, entry[key])
    return next((_names(content, found) for found in (part.get("default_fallbacks") for part in sections) if found), [])


def _names(content: Mapping[str, Any], given: Any) -> list[str]:
    """Return the names of fallbacks, without aliases."""
    names: list[str] = []
    for one in given if isinstance(given, list) else [given]:
        if isinstance(one, Mapping) and set(one) != {"model"}:
            raise ConfigurationError(f"A fallback with settings of its own ({sorted(one)}) cannot be expressed.")
        names.append(_unaliased(content, str(one["model"] if isinstance(one, Mapping) else one)))
    return names


def _make(content: Mapping[str, Any], entry: Mapping[str, Any], defaults: Mapping[str, Any]) -> Any:
    given = entry.get("litellm_params")
    if not isinstance(given, Mapping) or not isinstance(given.get("model"), str):
        raise ConfigurationError(f"The deployment {entry.get('model_name')!r} has no litellm_params with a model.")
    found = {**defaults, **_credentials(content, given), **given}
    wrong = [name for name in found if not isinstance(name, str)]
    if wrong:
        raise ConfigurationError(f"litellm_params of {entry.get('model_name')!r}: the name {wrong[0]!r} is not a text.")
    params = _resolved(found, _section(content, "environment_variables"))
    model, address = _split(params["model"], params.get("custom_llm_provider"))
    mode = _section(entry, "model_info").get("mode")
    is_embedding = mode == "embedding" or (mode is None and embedding_model_of(model).pattern is not None)
    cls: type[Any] = DatabricksEmbeddings if is_embedding else ChatDatabricksCompat
    base = params.get("api_base") or params.get("base_url")
    settings: dict[str, Any] = {"model": model} if base is None else {"model": model, address: base}
    if base is None and address == "base_url":
        raise ConfigurationError(f"{params['model']!r} needs api_base, the address of an OpenAI-compatible server.")
    if mode == "responses" and not is_embedding:
        settings["api"] = "responses"
    settings.update(_settings(cls, str(entry.get("model_name")), params))
    return cls(**settings)


def _settings(cls: type[Any], deployment: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a deployment, without its model and its address; unknown ones are fields of the body."""
    settings: dict[str, Any] = {}
    extra: dict[str, Any] = dict.fromkeys(params.get("additional_drop_params") or ())
    for key, value in params.items():
        name = _RENAMED.get(key, key)
        if value is None or key in _OF_THE_PROXY or _PROXY_PATTERN.search(key):
            continue
        if key in _NOT_EXPRESSED and value:
            raise ConfigurationError(f"{key} of {deployment!r} cannot be expressed. {_NOT_EXPRESSED[key]}")
        if key in _NOT_EXPRESSED or key in {"model", "api_base", "base_url", "stream_timeout"}:
            continue
        if name == "drop_params" and cls is DatabricksEmbeddings:
            continue
        (settings if is_setting(cls, name) else extra)[name] = _number(key, value) if key in _NUMBERS else value
    if params.get("stream_timeout") is not None:
        settings["timeout"] = _with_idle(settings.get("timeout"), _number("stream_timeout", params["stream_timeout"]))
    if extra:
        settings["extra_body"] = {**settings.get("extra_body", {}), **extra}
    return settings


def _with_idle(timeout: Any, idle: Any) -> Any:
    """Return the timeouts with LiteLLM's ``stream_timeout``, which counts between the events of a stream."""
    from langchain_dbchat.transport.timeouts import Timeouts  # noqa: PLC0415  # few deployments have it

    return replace(Timeouts.of(timeout), idle=idle)


def _number(key: str, value: Any) -> Any:
    """Return a number that is text as a number."""
    if not isinstance(value, str):
        return value
    try:
        return int(value) if key.endswith("_retries") else float(value)
    except ValueError:
        raise ConfigurationError(f"{key} of the LiteLLM configuration is not a number.") from None


def _split(name: str, provider: Any) -> tuple[str, str]:
    """Return the model's name without its provider, and the setting that its address is."""
    for prefix in (_DATABRICKS, *_COMPATIBLE):
        if name.startswith(prefix) or provider == prefix[:-1]:
            return name.removeprefix(prefix), "host" if prefix == _DATABRICKS else "base_url"
    raise ConfigurationError(
        f"{name!r} is not a model of Databricks. This client calls databricks/<endpoint>, and OpenAI-compatible "
        f"servers ({', '.join(_COMPATIBLE)}) with api_base."
    )


def _credentials(content: Mapping[str, Any], params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings that ``litellm_credential_name`` means."""
    name = params.get("litellm_credential_name")
    if name is None:
        return {}
    for entry in content.get("credential_list") or []:
        if isinstance(entry, Mapping) and entry.get("credential_name") == name:
            return _section(entry, "credential_values")
    raise ConfigurationError(f"credential_list has no credential_name {name!r}.")


def _resolved(value: Any, variables: Mapping[str, Any]) -> Any:
    """Replace ``os.environ/NAME`` in a value."""
    if isinstance(value, Mapping):
        return {key: _resolved(below, variables) for key, below in value.items()}
    if isinstance(value, list):
        return [_resolved(below, variables) for below in value]
    if not isinstance(value, str) or not value.startswith(_VARIABLE):
        return value
    name = value.removeprefix(_VARIABLE)
    given = variables.get(name)
    if not given or str(given).startswith(_VARIABLE):
        given = os.environ.get(str(given or "").removeprefix(_VARIABLE) or name)
    if not given:
        raise ConfigurationError(f"The LiteLLM configuration reads the environment variable {name}, which is not set.")
    return given
