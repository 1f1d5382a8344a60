"""What decides the answers: the rule-based model, or another server in its place."""

__all__ = [
    "answer",
    "backend",
    "model",
    "prompt_cache",
    "reasoning_signer",
    "request",
    "schema_filler",
    "schemas",
    "tokens",
    "vectors",
]
