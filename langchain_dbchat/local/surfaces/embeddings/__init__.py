"""The embeddings API (docs/wire.md, 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_dbchat.local.models import ServedEmbedder
from langchain_dbchat.local.refusals import plain
from langchain_dbchat.local.rule_model import vectors
from langchain_dbchat.local.surfaces.embeddings.checks import check_inputs, count_inputs
from langchain_dbchat.local.surfaces.surface import InferenceRequest, Surface, json_response

if TYPE_CHECKING:
    from starlette.responses import Response

__all__ = ["SURFACE", "answer"]


async def answer(request: InferenceRequest) -> Response:
    """Answer a request with vectors, those of a script or of the backend if there are some."""
    name, served, body = request.resolved
    if not isinstance(served, ServedEmbedder):
        raise plain(400, "BAD_REQUEST", f"Bad request: {name} does not serve embeddings")
    inputs = check_inputs(served, name, body)
    instruction = body.get("instruction") or ""
    texts = [f"{instruction} {text}" if instruction else text for text in inputs]
    counts = count_inputs(served, texts)
    rows = await request.services.source.vectors(name, texts)
    if rows is None:
        size = body.get("dimensions") or vectors.DIMENSIONS
        rows = [vectors.embed(text, norm=served.norm, dimensions=size, window=served.window) for text in texts]
    data = [{"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(rows)]
    usage = {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}
    return json_response({"object": "list", "model": served.name, "data": data, "usage": usage})


SURFACE = Surface(
    paths={"/serving-endpoints/embeddings": "openai", "/ai-gateway/mlflow/v1/embeddings": "gateway"},
    answer=answer,
    serves=ServedEmbedder,
)
