"""Tables: which model a name stands for (`names`), what its family accepts (`families`), what it does (`profiles`)."""

__all__ = ["embedding_models", "families", "names", "profiles"]
