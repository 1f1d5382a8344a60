"""What decides the answers: the rule-based model, or another server in its place."""
