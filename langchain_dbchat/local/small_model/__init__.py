"""A small language model on this machine, which writes the answers that no rule has."""

__all__ = ["SMOLLM2", "model"]

SMOLLM2 = "smollm2"
"""The name of this backend."""
