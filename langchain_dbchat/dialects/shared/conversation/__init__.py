"""Read a conversation as turns, with each call's results directly behind it."""

__all__ = [
    "block_turns",
    "call_ids",
    "call_results",
    "conversation",
    "turns",
]
