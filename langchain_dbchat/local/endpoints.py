"""The endpoints of a workspace: which name serves which model, and what the control plane shows (docs/wire.md, 1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.models import CHAT, EMBEDDING, ServedEmbedder, ServedModel

if TYPE_CHECKING:
    from collections.abc import Mapping


Served = ServedModel | ServedEmbedder

API_TYPES = {"claude": "anthropic/v1/messages", "gpt": "openai/v1/responses", "gemini": "gemini/v1/generateContent"}


class EndpointRegistry:
    """The names of the endpoints and the models behind them.

    Args:
        extra: More endpoints: name to model name, e.g. ``{"support": "claude-sonnet-4-6"}``.
        retired: Whether models that Databricks has retired are served too.

    Raises:
        ValueError: If ``extra`` names an unknown model.
    """

    def __init__(self, extra: Mapping[str, str] | None = None, *, retired: bool = False) -> None:
        known: dict[str, Served] = {model.name: model for model in CHAT}
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
        chat = isinstance(served, ServedModel)
        entity: dict[str, Any] = {"name": served.name, "type": "FOUNDATION_MODEL"}
        if isinstance(served, ServedModel) and served.family.name == "external":
            entity = {
                "name": served.name,
                "type": "EXTERNAL_MODEL",
                "external_model": {"name": served.name, "provider": "openai", "task": "llm/v1/chat"},
            }
        else:
            entity["entity_name"] = f"system.ai.{served.name}"
            entity["foundation_model"] = self._foundation(served)
        return {
            "name": name,
            "creator": "local@example.com",
            "state": {"ready": "READY", "config_update": "NOT_UPDATING"},
            "task": "llm/v1/chat" if chat else "llm/v1/embeddings",
            "config": {"served_entities": [entity]},
        }

    @staticmethod
    def _foundation(served: Served) -> dict[str, Any]:
        kind = "chat/completions" if isinstance(served, ServedModel) else "embeddings"
        alone = isinstance(served, ServedModel) and served.messages_only
        native = API_TYPES.get(served.family.name) if isinstance(served, ServedModel) else None
        return {
            "name": f"system.ai.{served.name}",
            "display_name": served.name.replace("-", " ").title(),
            "ai_gateway_v2_supported": True,
            "api_types": [*([] if alone else [f"mlflow/v1/{kind}"]), *([native] if native else [])],
        }

    def entries(self) -> list[dict[str, Any]]:
        """Return all endpoints as the control plane lists them."""
        return [entry for entry in (self.entry(name) for name in sorted(self.endpoints)) if entry]

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


def _endpoint_name(served: Served) -> str:
    """Return an endpoint's name: Databricks' own are called ``databricks-<model>``, external ones have any name."""
    external = isinstance(served, ServedModel) and served.family.name == "external"
    return served.name if external else f"databricks-{served.name}"
