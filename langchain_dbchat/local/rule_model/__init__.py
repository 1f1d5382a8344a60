"""What decides the answers: a script, the rule-based model, or another server in its place."""

__all__ = [
    "answer",
    "answer_source",
    "backend",
    "conversation",
    "model",
    "own_agents",
    "prompt_cache",
    "reasoning_signer",
    "request",
    "schema_filler",
    "schemas",
    "script",
    "script_step",
    "tokens",
    "vectors",
]
