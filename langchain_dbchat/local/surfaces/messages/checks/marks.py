"""Marks for prompt caching (docs/wire.md, 2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_dbchat.local.surfaces.messages.refusals import invalid, unknown_field
from langchain_dbchat.local.surfaces.messages.request import blocks_of

if TYPE_CHECKING:
    from langchain_dbchat.local.surfaces.messages.request import MessagesRequestBody

MOST = 4
LIFETIMES = ("5m", "1h")


def check_marks(request: MessagesRequestBody) -> None:
    """Refuse more marks than there may be, marks of another form, and a long lifetime behind a short one."""
    marks: list[Any] = []
    system = request.body.get("system")
    for name, holders in (
        ("tools", request.body.get("tools") or []),
        ("system", system if isinstance(system, list) else []),
        ("messages", [block for message in request.messages for block in blocks_of(message)]),
    ):
        marks += [(name, holder["cache_control"]) for holder in holders if holder.get("cache_control") is not None]
    if len(marks) > MOST:
        raise invalid(f"A maximum of {MOST} blocks with cache_control may be provided. Found {len(marks)}.")
    lifetimes = [_lifetime(name, mark) for name, mark in marks]
    if lifetimes != sorted(lifetimes, reverse=True):
        raise invalid("a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block.")


def _lifetime(name: str, mark: Any) -> int:
    if not isinstance(mark, dict) or mark.get("type") != "ephemeral":
        raise invalid(f"{name}: cache_control.type: Input should be 'ephemeral'")
    for key in mark:
        if key not in {"type", "ttl"}:
            raise unknown_field(f"{name}: cache_control.ephemeral.{key}")
    ttl = mark.get("ttl", LIFETIMES[0])
    if ttl not in LIFETIMES:
        raise invalid(f"{name}: cache_control.ephemeral.ttl: Input should be '5m' or '1h'")
    return LIFETIMES.index(ttl)
