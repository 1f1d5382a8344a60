"""Record the traffic of a real workspace once, and replay it in tests; pytest gets both from the package's plugin.

* ``recorder``: a server in front of a workspace that writes down what passes, without secrets.
* ``replayer``: a server that answers from such a file, and from nothing else.
* ``recording``: the file; ``masking``: what is left out of it.

The local workspace, whose answers need no recording, is in `langchain_dbchat.local`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_dbchat.testing.recorder import RecordingWorkspace
    from langchain_dbchat.testing.replayer import ReplayWorkspace

__all__ = ["RecordingWorkspace", "ReplayWorkspace"]


def __getattr__(name: str) -> Any:
    """Load the servers on first use, so that a missing extra is named."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from langchain_dbchat.local.extra import named_extra  # noqa: PLC0415  # see the docstring

    with named_extra():
        from langchain_dbchat.testing.recorder import RecordingWorkspace  # noqa: PLC0415  # see the docstring
        from langchain_dbchat.testing.replayer import ReplayWorkspace  # noqa: PLC0415  # see the docstring
    return {"RecordingWorkspace": RecordingWorkspace, "ReplayWorkspace": ReplayWorkspace}[name]
