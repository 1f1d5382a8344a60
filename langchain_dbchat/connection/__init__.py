"""Where requests go and who sends them: worked out once, then kept."""
