"""Assemble an answer, whole or streamed, and make LangChain's messages of it."""

__all__ = [
    "answer",
    "answer_tools",
    "beside",
    "bounds",
    "calls",
    "chunks",
    "errors_within",
    "events",
    "facts",
    "fields",
    "parts",
    "segments",
    "standard_blocks",
    "steps",
    "stream",
    "translators",
    "usage",
    "wires",
]
