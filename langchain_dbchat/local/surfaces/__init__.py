"""The APIs of the workspace: one folder for each, and one line here."""

from __future__ import annotations

from langchain_dbchat.local.surfaces import agents, chat_completions, embeddings, messages, responses

__all__ = ["SURFACES", "surface"]

SURFACES = (
    chat_completions.SURFACE,
    embeddings.SURFACE,
    messages.SURFACE,
    *responses.SURFACES,
    agents.SURFACE,
    agents.APP,
)
