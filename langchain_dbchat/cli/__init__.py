"""The command `dbchat`."""
