"""Tables of what each model family accepts (`families`) and of what each model can do (`profiles`)."""

__all__ = ["embedding_models", "families", "profiles"]
