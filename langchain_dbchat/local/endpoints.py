"""The endpoints of a workspace: which name serves which model, and what the control plane shows (docs/wire.md, 1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.agents import LocalAgent
from langchain_dbchat.local.models import CHAT, EMBEDDING, ServedEmbedder, ServedModel

if TYPE_CHECKING:
    from collections.abc import Mapping


Served = ServedModel | ServedEmbedder | LocalAgent
APPS = "/apps/"
"""The path below which the workspace serves its apps; real ones have hosts of their own."""

API_TYPES = {"claude": "anthropic/v1/messages", "gpt": "openai/v1/responses", "gemini": "gemini/v1/generateContent"}


class EndpointRegistry:
    """The names of the endpoints and the models behind them.

    Args:
        extra: More endpoints: name to model name, e.g. ``{"support": "claude-sonnet-4-6"}``.
        agents: The agents: name to agent.
        retired: Whether models that Databricks has retired are served too.
        gateway: Whether the workspace has the AI gateway.

    Raises:
        ValueError: If ``extra`` names an unknown model.
    """

    def __init__(
        self,
        extra: Mapping[str, str] | None = None,
        agents: Mapping[str, LocalAgent] | None = None,
        *,
        retired: bool = False,
        gateway: bool = True,
    ) -> None:
        self.gateway = gateway
        known: dict[str, ServedModel | ServedEmbedder] = {model.name: model for model in CHAT}
        known |= {model.name: model for model in EMBEDDING}
        self.endpoints: dict[str, Served] = {
            _endpoint_name(served): served
            for served in known.values()
            if retired or isinstance(served, ServedEmbedder) or not served.retired
        }
        for name, model in (extra or {}).items():
            short = model.removeprefix("databricks-").removeprefix("system.ai.")
            if short not in known:
                raise ValueError(
                    f"Endpoint {name!r} wants the model {model!r}, which the local workspace does not have."
                )
            self.endpoints[name] = known[short]
        self.endpoints |= agents or {}

    def find(self, name: str, *, on_gateway: bool) -> Served | None:
        """Return what an endpoint serves; only the gateway knows ``system.ai`` names (docs/wire.md, 1.2)."""
        if on_gateway and name.startswith("system.ai."):
            name = "databricks-" + name.removeprefix("system.ai.")
        return self.endpoints.get(name)

    def entry(self, name: str) -> dict[str, Any] | None:
        """Return one endpoint as the control plane shows it."""
        served = self.endpoints.get(name)
        if served is None:
            return None
        if isinstance(served, LocalAgent):
            model = f"main.agents.{name.replace('-', '_')}"
            return _entry(name, served.task, {"name": f"{name}-1", "entity_name": model, "entity_version": "1"})
        entity: dict[str, Any] = {"name": served.name, "type": "FOUNDATION_MODEL"}
        if _is_external(served):
            entity = {
                "name": served.name,
                "type": "EXTERNAL_MODEL",
                "external_model": {"name": served.name, "provider": "openai", "task": "llm/v1/chat"},
            }
        else:
            entity["entity_name"] = f"system.ai.{served.name}"
            entity["foundation_model"] = self._foundation(served)
        return _entry(name, "llm/v1/chat" if isinstance(served, ServedModel) else "llm/v1/embeddings", entity)

    def app_entry(self, name: str, host: str) -> dict[str, Any] | None:
        """Return one app as the control plane shows it; None if the workspace has no such app."""
        served = self.endpoints.get(name)
        if not isinstance(served, LocalAgent) or not served.is_app:
            return None
        return {
            "name": name,
            "id": f"local-{name}",
            "url": f"{host}{APPS}{name}",
            "compute_status": {"state": "ACTIVE", "message": "App compute is running."},
            "app_status": {"state": "RUNNING", "message": "App has status: App is running"},
        }

    def _foundation(self, served: ServedModel | ServedEmbedder) -> dict[str, Any]:
        return {
            "name": f"system.ai.{served.name}",
            "display_name": served.name.replace("-", " ").title(),
            "ai_gateway_v2_supported": self.gateway,
            "api_types": _api_types(served),
        }

    def entries(self) -> list[dict[str, Any]]:
        """Return all endpoints as the control plane lists them."""
        return [entry for entry in (self.entry(name) for name in sorted(self.endpoints)) if entry]

    def services(self) -> list[dict[str, Any]]:
        """Return the gateway's model services as Unity Catalog lists them (docs/wire.md, 1.4)."""
        served = (one for one in self.endpoints.values() if not isinstance(one, LocalAgent))
        models = {one.name: one for one in served if not _is_external(one)}
        return [
            {"name": f"model-services/system.ai.{name}", "supported_api_types": _api_types(models[name])}
            for name in sorted(models)
        ]

    def anthropic_models(self) -> dict[str, Any]:
        """Return the Claude models as the gateway's Anthropic API lists them (docs/wire.md, 1.1, row K)."""
        names = sorted(
            served.name
            for served in self.endpoints.values()
            if isinstance(served, ServedModel) and served.family.name == "claude"
        )
        data = [
            {"type": "model", "id": f"system.ai.{name}", "display_name": name.replace("-", " ").title()}
            for name in dict.fromkeys(names)
        ]
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return {"data": data, "has_more": False, "first_id": first, "last_id": last}


def _entry(name: str, task: str, entity: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "creator": "local@example.com",
        "state": {"ready": "READY", "config_update": "NOT_UPDATING"},
        "task": task,
        "config": {"served_entities": [entity]},
    }


def _api_types(served: ServedModel | ServedEmbedder) -> list[str]:
    """Return the APIs that serve a model, by the names that the control plane has for them."""
    if isinstance(served, ServedEmbedder):
        return ["mlflow/v1/embeddings"]
    native = API_TYPES.get(served.family.name)
    alone = served.messages_only or served.responses_only
    return [*([] if alone else ["mlflow/v1/chat/completions"]), *([native] if native else [])]


def _is_external(served: ServedModel | ServedEmbedder) -> bool:
    return isinstance(served, ServedModel) and served.family.name == "external"


def _endpoint_name(served: ServedModel | ServedEmbedder) -> str:
    """Return an endpoint's name: Databricks' own are called ``databricks-<model>``, external ones have any name."""
    return served.name if _is_external(served) else f"databricks-{served.name}"
