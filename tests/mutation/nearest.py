"""Which tests are about which file of `transport/` and `auth/`: the nearest first, because they notice most changes."""

from __future__ import annotations

from pathlib import Path

__all__ = ["FOLDERS", "NEAREST"]

_ROOT = Path(__file__).resolve().parents[2]
_UNIT = "tests/unit_tests"
_CALLS = "tests/integration_tests"

# For each folder: the tests that are tried if the nearest ones notice nothing.
FOLDERS = {
    "auth": (f"{_UNIT}/auth", f"{_CALLS}/auth"),
    "transport": (f"{_UNIT}/transport", f"{_CALLS}/test_fault_proxy.py", "tests/wire"),
}

_SIGN_IN = ("auth/test_resolver.py", "auth/test_destinations.py", "auth/test_ways_of_signing_in.py")

# For each file: names of test files, in the order in which they are run.
_NAMES = {
    "auth/chain.py": ("auth/test_resolver.py", "auth/test_cli.py", "auth/test_doctor.py"),
    "auth/cli.py": ("auth/test_cli.py", "auth/test_ways_of_signing_in.py"),
    "auth/credentials.py": ("auth/test_credentials.py", "auth/test_resolver.py", "auth/test_ways_of_signing_in.py"),
    "auth/derived.py": ("auth/test_credentials.py", "auth/test_resolver.py"),
    "auth/destinations.py": ("auth/test_destinations.py", "auth/test_where_secrets_go.py"),
    "auth/endpoint_tokens.py": ("auth/test_route_optimized.py",),
    "auth/expiring.py": ("auth/test_tokens.py", "auth/test_cli.py", "auth/test_m2m.py", "auth/test_posit.py"),
    "auth/grants.py": ("auth/test_m2m.py", "auth/test_token_requests.py"),
    "auth/m2m.py": ("auth/test_m2m.py", "auth/test_token_requests.py"),
    "auth/oauth_only.py": ("test_apps.py", "auth/test_route_optimized.py"),
    "auth/posit.py": ("auth/test_posit.py", "auth/test_ways_of_signing_in.py"),
    "auth/profile_steps.py": ("auth/test_profiles.py", *_SIGN_IN),
    "auth/profiles.py": ("auth/test_profiles.py", *_SIGN_IN),
    "auth/resolver.py": _SIGN_IN,
    "auth/sdk.py": ("auth/test_sdk.py", "auth/test_principals_and_sdk.py"),
    "auth/search.py": (*_SIGN_IN, "auth/test_doctor.py"),
    "auth/secret.py": (
        "auth/test_credentials.py",
        "auth/test_m2m.py",
        "auth/test_resolver.py",
        "auth/test_secrets_stay.py",
    ),
    "auth/settings.py": _SIGN_IN,
    "auth/steps.py": _SIGN_IN,
    "auth/tokens.py": ("auth/test_tokens.py", "auth/test_m2m.py"),
    "transport/attempt.py": (
        "transport/test_channel.py",
        "transport/test_channel_streams.py",
        "transport/test_bounds.py",
    ),
    "transport/bounded_answers.py": ("transport/test_bounded_answers.py",),
    "transport/bounded_auth.py": ("transport/test_bounded_answers.py",),
    "transport/bare_threads.py": ("transport/test_bare_threads.py",),
    "transport/blocking.py": ("transport/test_blocking.py", "transport/test_channel.py"),
    "transport/cancelling.py": ("transport/test_user_clients.py",),
    "transport/channel.py": ("transport/test_channel.py", "transport/test_channel_streams.py"),
    "transport/client_request.py": ("transport/test_channel.py", "transport/test_user_clients.py"),
    "transport/clients.py": ("transport/test_clients.py", "transport/test_pool_safety.py"),
    "transport/deadlines.py": ("transport/test_channel_streams.py", "transport/test_bounds.py"),
    "transport/content.py": ("transport/test_body_memory.py", "transport/test_channel.py"),
    "transport/decompression.py": ("transport/test_bounds.py",),
    "transport/effects.py": ("transport/test_effects.py", "transport/test_exchange.py"),
    "transport/exchange.py": ("transport/test_exchange.py", "transport/test_channel.py", "auth/test_m2m.py"),
    "transport/failures.py": ("transport/test_timeouts.py", "transport/test_channel.py", "test_fault_proxy.py"),
    "transport/foreign_errors.py": ("transport/test_http2.py", "transport/test_user_clients.py"),
    "transport/headers.py": ("transport/test_channel.py", "transport/test_clients.py"),
    "transport/http/addresses.py": ("transport/test_addresses.py",),
    "transport/http/bodies.py": ("transport/test_transport.py", "transport/test_pool_safety.py"),
    "transport/http/http11.py": ("transport/test_http11.py", "transport/test_transport.py"),
    "transport/http/pool.py": ("transport/test_transport.py", "transport/test_pool_safety.py"),
    "transport/http/async_sockets.py": ("transport/test_sockets.py", "transport/test_transport.py"),
    "transport/http/sockets.py": ("transport/test_sockets.py", "transport/test_transport.py"),
    "transport/http/tls_sockets.py": ("transport/test_pool_safety.py", "transport/test_sockets.py"),
    "transport/http/transport.py": ("transport/test_transport.py", "transport/test_pool_safety.py"),
    "transport/limit.py": ("transport/test_limiter.py",),
    "transport/limiter.py": ("transport/test_limiter.py", "transport/test_pool_safety.py"),
    "transport/call_traces.py": ("transport/test_open_answers.py", "transport/test_user_clients.py"),
    "transport/open_answers.py": ("transport/test_open_answers.py",),
    "transport/user_pools.py": ("transport/test_ways_through_proxies.py", "transport/test_user_clients.py"),
    "transport/proxies.py": ("test_proxies_named.py", "auth/test_this_machine_without_a_proxy.py"),
    "transport/proxy_clients.py": ("test_proxies_named.py", "transport/test_clients.py"),
    "transport/messages.py": ("transport/test_exchange.py", "transport/test_channel.py", "auth/test_secrets_quoted.py"),
    "transport/request_size.py": ("test_request_size.py", "transport/test_channel.py"),
    "transport/sending.py": ("transport/test_user_clients.py", "transport/test_ways_through_proxies.py"),
    "transport/sent.py": ("auth/test_secrets_quoted.py",),
    "transport/signing.py": ("auth/test_credentials.py",),
    "transport/sse.py": ("transport/test_sse.py", "transport/test_whole_path.py"),
    "transport/stream.py": ("transport/test_channel_streams.py", "transport/test_channel.py"),
    "transport/stream_reader.py": (
        "transport/test_channel_streams.py",
        "transport/test_bounds.py",
        "transport/test_body_memory.py",
    ),
    "transport/timeouts.py": ("transport/test_timeouts.py",),
    "transport/tls.py": ("auth/test_surroundings.py", "transport/test_clients.py"),
    "transport/turns.py": ("transport/test_loop_share.py", "transport/test_channel_streams.py"),
    "transport/user_clients.py": (
        "auth/test_credentials.py",
        "transport/test_clients.py",
        "auth/test_token_requests.py",
    ),
    "transport/waits.py": ("transport/test_channel.py", "transport/test_blocking.py"),
}


def _path(name: str) -> str:
    unit = f"{_UNIT}/{name}"
    return unit if _ROOT.joinpath(unit).exists() else f"{_CALLS}/{name}"


_OF_ALL_THAT_SIGNS = "auth/test_credentials.py"
NEAREST = {
    file: tuple(dict.fromkeys(map(_path, (*names, *([_OF_ALL_THAT_SIGNS] if file.startswith("auth/") else [])))))
    for file, names in _NAMES.items()
}
