"""What the workspace speaks: one folder for each API."""
