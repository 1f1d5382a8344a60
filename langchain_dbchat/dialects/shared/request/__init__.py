"""Write what a request has besides the conversation, and apply what an endpoint has refused."""

__all__ = [
    "agent_inputs",
    "converted_tools",
    "formats",
    "lessons",
    "merging",
    "names",
    "plain_fields",
    "refusals",
    "sent",
    "spellings",
    "thinking",
    "tools",
]
