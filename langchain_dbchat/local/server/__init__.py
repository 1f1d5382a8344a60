"""The HTTP server: the workspace object, who may call, the middleware, the routes, the endpoints, the terminal."""

__all__ = ["identity", "request_log", "server_thread", "terminal", "workspace"]
