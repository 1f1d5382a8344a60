"""The command ``dbchat``."""
