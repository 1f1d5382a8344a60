"""What can go wrong on purpose, and the proxy that makes it happen."""

__all__ = ["body_changer", "fault", "named", "plan", "proxy"]
