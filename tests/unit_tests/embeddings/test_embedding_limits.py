"""The limits that endpoints have shown."""

from __future__ import annotations

from langchain_dbchat.embeddings.limits import RequestLimit, forget, learn_limit, limit_of


def test_limits_are_kept_for_each_endpoint_and_only_lowered() -> None:
    forget()
    assert limit_of("h", "e") == RequestLimit()
    learn_limit("h", "e", RequestLimit(inputs=96))
    learn_limit("h", "e", RequestLimit(size=1000))
    learn_limit("h", "e", RequestLimit(inputs=200))
    assert limit_of("h", "e") == RequestLimit(96, 1000)
    assert limit_of("h", "f") == limit_of("i", "e") == RequestLimit()
    forget()
    assert limit_of("h", "e") == RequestLimit()
