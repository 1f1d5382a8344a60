"""What the workspace speaks: one folder for each API, and one line here."""

from __future__ import annotations

from langchain_dbchat.local.surfaces import chat_completions, embeddings, responses

SURFACES = (chat_completions.SURFACE, embeddings.SURFACE, responses.SURFACE)
