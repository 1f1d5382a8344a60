"""The routes of the workspace: those of the surfaces, and the control plane (docs/wire.md, 1.1, 1.4, 7, 11)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from langchain_dbchat.local.faults.plan import PlannedOutcome
from langchain_dbchat.local.refusals import Refused, plain
from langchain_dbchat.local.surfaces import SURFACES
from langchain_dbchat.local.surfaces.surface import InferenceRequest, json_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from langchain_dbchat.local.server.identity import Identity
    from langchain_dbchat.local.surfaces.surface import EntryPoint, Services, Surface

    Handler = Callable[[Request], Awaitable[Response]]

OUTCOME = "dbchat.outcome"
"""The key of an ASGI scope under which the middleware leaves what goes wrong with the request."""
GATEWAY_PATHS = ("/ai-gateway/", "/api/2.1/unity-catalog/model-services")
"""The paths that a workspace without the AI gateway does not have (docs/wire.md, 1.2)."""
LONGEST_PAGE = 100
LONGEST_NUMBER = 18
TRACE_HEADER = "x-mlflow-return-trace-id"
logger = logging.getLogger(__name__)


def create_app(services: Services, identity: Identity, surfaces: Sequence[Surface] = SURFACES) -> Starlette:
    """Return all routes, as an ASGI app."""
    rows: dict[str, tuple[EntryPoint, list[Surface]]] = {}
    for surface in surfaces:
        for path, entry in surface.paths.items():
            rows.setdefault(path, (entry, []))[1].append(surface)
    rows["/serving-endpoints/{name}/invocations"] = ("path", [one for one in surfaces if one.serves is not None])
    inference = [Route(path, _inference(services, *row), methods=["POST"]) for path, row in rows.items()]
    routes = [*inference, *_control_plane(services), *_sign_in(identity)]
    if not services.registry.gateway:
        routes = [route for route in routes if not route.path.startswith(GATEWAY_PATHS)]
    return Starlette(
        routes=[Route(one.path, _guarded(one.endpoint), methods=list(one.methods or ())) for one in routes],
        exception_handlers={Refused: _refused, HTTPException: _no_such_api},
    )


def _guarded(handler: Handler) -> Handler:
    """Return a handler that answers if it fails; Starlette's own guard would raise again and close the connection."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except (Refused, HTTPException):
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the workspace's
            return _failed(error)

    return handle


def _inference(services: Services, entry: EntryPoint, surfaces: Sequence[Surface]) -> Handler:
    """Return the handler of one path; of several surfaces, that of the kind of model behind the endpoint answers."""

    async def handle(request: Request) -> Response:
        name = request.path_params.get("name")
        outcome = request.scope.get(OUTCOME) or PlannedOutcome()
        traced = request.headers.get(TRACE_HEADER, "").lower() == "true"
        incoming = InferenceRequest(services, entry, await request.body(), name, outcome, traced)
        if len(surfaces) == 1:
            return await surfaces[0].answer(incoming)
        _, served, _ = incoming.resolved
        return await next((one for one in surfaces if one.serves is type(served)), surfaces[0]).answer(incoming)

    return handle


def _control_plane(services: Services) -> list[Route]:
    async def list_all(_request: Request) -> Response:
        return json_response({"endpoints": services.registry.entries()})

    async def show_one(request: Request) -> Response:
        name = request.path_params["name"]
        entry = services.registry.entry(name)
        if entry is None:
            raise plain(404, "RESOURCE_DOES_NOT_EXIST", f"Endpoint with name '{name}' does not exist.")
        return json_response(entry)

    async def show_app(request: Request) -> Response:
        name = request.path_params["name"]
        entry = services.registry.app_entry(name, _host(request))
        if entry is None:
            raise plain(404, "NOT_FOUND", f"App with name {name} does not exist or is deleted.")
        return json_response(entry)

    async def list_apps(request: Request) -> Response:
        found = (services.registry.app_entry(name, _host(request)) for name in services.registry.endpoints)
        return json_response({"apps": [entry for entry in found if entry is not None]})

    async def show_caller(_request: Request) -> Response:
        return json_response({"id": "1", "userName": "local@example.com", "active": True, "displayName": "Local"})

    async def list_services(request: Request) -> Response:
        start, size = (_number(request, key) for key in ("page_token", "page_size"))
        found = services.registry.services() if request.query_params.get("parent") == "schemas/system.ai" else []
        end = start + (min(size, LONGEST_PAGE) or LONGEST_PAGE)
        rest = {"next_page_token": str(end)} if end < len(found) else {}
        return json_response({"model_services": found[start:end], **rest})

    async def list_claude(_request: Request) -> Response:
        return json_response(services.registry.anthropic_models())

    return [
        Route("/ai-gateway/anthropic/v1/models", list_claude),
        Route("/api/2.1/unity-catalog/model-services", list_services),
        Route("/api/2.0/serving-endpoints", list_all),
        Route("/api/2.0/serving-endpoints:foundation-models", list_all),
        Route("/api/2.0/serving-endpoints/{name}", show_one),
        Route("/api/2.0/apps", list_apps),
        Route("/api/2.0/apps/{name}", show_app),
        Route("/api/2.0/preview/scim/v2/Me", show_caller),
    ]


def _sign_in(identity: Identity) -> list[Route]:
    async def show_config(request: Request) -> Response:
        return json_response({"oidc_endpoint": f"{_host(request)}/oidc", "workspace_id": "1", "cloud": "AWS"})

    async def show_oidc(request: Request) -> Response:
        return json_response(identity.discovery(_host(request)))

    async def issue_token(request: Request) -> Response:
        return json_response(identity.issue(request.headers.get("authorization"), await request.body()))

    return [
        Route("/.well-known/databricks-config", show_config),
        Route("/oidc/.well-known/oauth-authorization-server", show_oidc),
        Route("/oidc/v1/token", issue_token, methods=["POST"]),
    ]


def _number(request: Request, key: str) -> int:
    given = request.query_params.get(key) or "0"
    if not given.isdecimal() or len(given) > LONGEST_NUMBER:
        raise plain(400, "INVALID_PARAMETER_VALUE", f"{key}={given!r} is not valid.")
    return int(given)


def _host(request: Request) -> str:
    return str(request.base_url).rstrip("/")


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101  # registered for this class alone
    return json_response(error.body, error.status, error.headers)


def _failed(error: Exception) -> Response:
    """Return the answer to an error in the workspace itself, which must not look like one of the caller's."""
    logger.error("The local workspace failed", exc_info=error)
    text = f"The local workspace failed: {type(error).__name__}: {error}"
    return json_response({"error_code": "INTERNAL_ERROR", "message": text}, 500)


async def _no_such_api(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = f"No API found for '{request.method} {request.url.path}'"
    return json_response({"error_code": "ENDPOINT_NOT_FOUND", "message": message}, status)
