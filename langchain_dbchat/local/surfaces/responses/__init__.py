"""The Responses API, which this workspace refuses: as Databricks does, or because it is not implemented here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.local.models import ServedModel
from langchain_dbchat.local.refusals import plain
from langchain_dbchat.local.surfaces.surface import InferenceRequest, Surface

if TYPE_CHECKING:
    from starlette.responses import Response

__all__ = ["SURFACE", "answer"]


async def answer(request: InferenceRequest) -> Response:
    """Refuse a request (docs/wire.md, 1.1, 6.2)."""
    if request.entry == "gateway":
        raise plain(404, "NOT_FOUND", "Supervisor API is not enabled")
    _, served, _ = request.resolved
    if isinstance(served, ServedModel) and served.family.error_style == "gpt":
        raise plain(501, "NOT_IMPLEMENTED", "The local workspace does not serve the Responses API.")
    raise plain(400, "BAD_REQUEST", "Responses API passthrough is not supported")


SURFACE = Surface(
    paths={"/serving-endpoints/responses": "openai", "/ai-gateway/mlflow/v1/responses": "gateway"}, answer=answer
)
