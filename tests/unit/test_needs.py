"""What the client says a request needs is what the API asks for."""

from __future__ import annotations

from pathlib import Path

from api.access.scopes import RULES
from backend import create_app
from client.needs import scope_needed
from redis_db import RedisDB
from settings import Settings


def test_every_route_needs_what_the_api_s_table_says(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path), RedisDB())
    routes = [
        (method, route)
        for route in app.url_map.iter_rules()
        for method in (route.methods or set()) - {"HEAD", "OPTIONS"}
        if RULES[route.endpoint].scope is not None
    ]
    assert len(routes) > 100
    with app.test_request_context():
        adapter = app.url_map.bind("localhost")
        for method, route in routes:
            given = {name: 1 if name == "version" else "x" for name in route.arguments}
            path = adapter.build(route.endpoint, given, method=method)
            assert scope_needed(method, path) is RULES[route.endpoint].scope, (method, route.rule)
