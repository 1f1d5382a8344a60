"""Content blocks: read every spelling once, and what they share."""

__all__ = [
    "block_fields",
    "call_arguments",
    "citations",
    "content",
    "content_blocks",
    "documents",
    "json_text",
    "message_keys",
    "openai_tools",
    "reasoning",
    "server_tools",
    "spoken",
    "stand_ins",
    "tool_uses",
]
