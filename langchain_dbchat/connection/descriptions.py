"""Read how the workspace describes what it serves: the task, the model behind it, and the APIs that serve it.

Rule 1. The task of an agent says its wire format: MLflow's ResponsesAgent, ChatAgent and ChatModel
(mlflow.org/docs/latest/genai/serving/responses-agent; databricks-ai-bridge, ``chat_models.py``).
Rule 2. The APIs of a foundation model are in ``api_types`` of its served entity, which not every workspace reports
(databricks/ucode).
Rule 3. The name of the served entity says the model: ``system.ai.claude-sonnet-4-5``, ``claude-3.7``, ``gpt-5.2``. An
endpoint's own name is free text.
Rule 4. A model service of the AI gateway has ``supported_api_types``, and its name is ``model-services/<its name>``
(``GET /api/2.1/unity-catalog/model-services``; databricks/ucode, omnigent).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_dbchat.models.families import GENERIC, family_of

if TYPE_CHECKING:
    from langchain_dbchat.models.families import WireName

_TASKS: dict[str, WireName] = {
    "agent/v1/responses": "responses",
    "agent/v2/chat": "agent",
    "agent/v1/chat": "chat",
}
_API_TYPES: tuple[tuple[str, WireName], ...] = (
    ("chat/completions", "chat"),
    ("responses", "responses"),
    ("messages", "messages"),
)
"""The ends of the names of APIs, such as ``openai/v1/responses``."""
_EMBEDDINGS = "embeddings"
_SERVICE = "model-services/"


@dataclass(frozen=True, slots=True)
class EndpointDescription:
    """What the workspace says of an endpoint.

    Attributes:
        name: The endpoint's name.
        task: Its task, such as ``"llm/v1/chat"``; empty if the workspace does not say.
        family: The name of the model's row; that of an unknown model if no entity's name is known.
        wires: The wire formats that serve it, as far as the workspace says.
    """

    name: str
    task: str
    family: str
    wires: tuple[WireName, ...]


def read_description(entry: Mapping[str, Any]) -> EndpointDescription:
    """Read the description of one endpoint.

    Args:
        entry: What ``GET /api/2.0/serving-endpoints/{name}`` answers, or one entry of the list.

    Returns:
        The description.
    """
    task = entry.get("task")
    task = task if isinstance(task, str) else ""
    entities = list(_entities(entry))
    family = next(filter(None, map(_family, names_of(entry))), GENERIC.name)
    wires = (_TASKS[task],) if task in _TASKS else tuple(dict.fromkeys(wire for it in entities for wire in _wires(it)))
    return EndpointDescription(str(entry.get("name") or ""), task, family, wires)


def read_service(entry: Mapping[str, Any]) -> EndpointDescription:
    """Read the description of a model service of the AI gateway.

    Args:
        entry: One entry of the list of services.

    Returns:
        The description. A service whose only API makes embeddings has their task, and any other one that of a chat.
    """
    name = str(entry.get("name") or "").removeprefix(_SERVICE)
    types = [api for api in _list(entry.get("supported_api_types")) if isinstance(api, str)]
    embeds = bool(types) and all(api.endswith(_EMBEDDINGS) for api in types)
    task = f"llm/v1/{_EMBEDDINGS}" if embeds else "llm/v1/chat"
    return EndpointDescription(name, task, _family(name) or GENERIC.name, tuple(dict.fromkeys(_wires_of(types))))


def names_of(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the models behind an endpoint.

    Args:
        entry: Its description, as the workspace sends it.
    """
    for entity in _entities(entry):
        yield from _names(entity)


def _entities(entry: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    config = entry.get("config")
    entities = config.get("served_entities") if isinstance(config, Mapping) else None
    for entity in _list(entities):
        if isinstance(entity, Mapping):
            yield entity


def _names(entity: Mapping[str, Any]) -> Iterator[str]:
    for record in (entity.get("foundation_model"), entity.get("external_model"), entity):
        if isinstance(record, Mapping):
            for key in ("name", "entity_name"):
                if isinstance(record.get(key), str):
                    yield record[key]


def _wires(entity: Mapping[str, Any]) -> Iterator[WireName]:
    model = entity.get("foundation_model")
    yield from _wires_of(_list(model.get("api_types")) if isinstance(model, Mapping) else [])


def _wires_of(types: list[Any]) -> Iterator[WireName]:
    for api in types:
        yield from (wire for end, wire in _API_TYPES if isinstance(api, str) and api.endswith(end))


def _list(value: Any) -> list[Any]:
    """Return a value that should be a list; an empty list if it is not one."""
    return value if isinstance(value, list) else []


def _family(name: str) -> str | None:
    plain = re.sub(r"[._\s]+", "-", name.lower()).removeprefix("system-ai-").removeprefix("databricks-")
    row = family_of(f"databricks-{plain}").name
    return None if row == GENERIC.name else row
