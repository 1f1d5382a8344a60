"""The chat completions API: its requests, what is refused, its answers whole and streamed."""
