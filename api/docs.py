"""The page /docs, served from our own files, and the finish of /openapi.json."""

from __future__ import annotations

from typing import Any, cast

from apiflask import APIBlueprint
from flask import Response

from api.leaderboard import MIMETYPES
from schema import ErrorReply

docs = APIBlueprint(
    "docs",
    __name__,
    url_prefix="/docs",
    static_folder="static",
    static_url_path="/static",
    enable_openapi=False,
)

# Swagger UI sets style attributes and draws its icons from data: URLs; scripts come from our files alone.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
)
ERRORS = {
    "400": "Not JSON",
    "401": "An API token is needed, or the one shown is not valid",
    "403": "A host or origin that is not allowed, or a token that does not reach so far",
    "404": "No such run, model or worker",
    "409": "The request contradicts what is stored",
    "413": "The body is too large",
    "414": "The address with its query is too long",
    "415": "The body is not declared as JSON",
    "422": "A value is not valid; details name the field and the reason",
    "429": "A limit is used up; the message names it, Retry-After says when to come again",
    "503": "Redis cannot be reached; try again after Retry-After",
}
OF_BODY = ("400", "409", "413", "415", "422")
OF_DELETE = ("409", "415")
WRITES = frozenset({"post", "put", "patch"})
# Routes whose body names what may not be there.
NAMING_BODIES = {
    ("post", path)
    for path in ("/api/experiments", "/api/live/tickets", "/api/models", "/rpc/batch_update", "/rpc/reset")
}
# Routes that answer 200, not 201, where what is sent is there already.
REPEATABLE = {
    ("post", path)
    for path in (
        "/api/experiments",
        "/api/experiments/{iid}/notes",
        "/api/artifacts/{iid}/{name}",
        "/api/models",
    )
}
# What is answered where it is not JSON.
ANSWERS = {
    ("get", "/"): ("302", ("text/html",)),
    ("get", "/dashboard"): ("302", ("text/html",)),
    ("get", "/live"): ("200", ("text/html",)),
    ("get", "/api/leaderboard/export"): ("200", tuple(MIMETYPES.values())),
}
# Routes whose body is a file.
FILE_BODIES = {("post", "/api/artifacts/{iid}/{name}")}
FILE = {"type": "string", "format": "binary"}

Document = dict[str, Any]


@docs.get("")
def show_docs() -> Response:
    """Show every route, and try it."""
    response = docs.send_static_file("docs.html")
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    return response


def finish_openapi(spec: Document | str) -> Document | str:
    """Add what APIFlask leaves out: required bodies, explained parameters, comma lists, and failures."""
    document = cast("Document", spec)  # a str only when the spec format is YAML
    schemas = document["components"]["schemas"]
    error = ErrorReply.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(error.pop("$defs"))
    schemas["ErrorReply"] = error
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _finish_operation(method, path, operation)
    return document


def _finish_operation(method: str, path: str, operation: Document) -> None:
    for parameter in operation["parameters"]:
        if text := parameter["schema"].get("description"):
            parameter["description"] = text
        if parameter["schema"].get("type") == "array":
            parameter |= {"style": "form", "explode": False}
    codes = {"401", "403", "414", "429", "503"}
    if "{" in path or (method, path) in NAMING_BODIES:
        codes.add("404")
    if any(parameter["in"] != "path" for parameter in operation["parameters"]):
        codes.add("422")
    if (method, path) in FILE_BODIES:
        operation["requestBody"] = {"content": {"application/octet-stream": {"schema": FILE}}}
    if "requestBody" in operation:
        operation["requestBody"]["required"] = True
        codes.update(OF_BODY)
    elif method in WRITES:
        codes.add("415")
    if method == "delete":
        codes.update(OF_DELETE)
    if (method, path) in REPEATABLE:
        known = {"description": "It is there already; nothing was added"}
        operation["responses"]["200"] = {**operation["responses"]["201"], **known}
    if answer := ANSWERS.get((method, path)):
        code, kinds = answer
        # An empty schema: any value, as a file that is JSON has it.
        contents = {kind: {"schema": {} if kind == MIMETYPES["json"] else FILE} for kind in kinds}
        operation["responses"][code]["content"] = contents
    schema = {"$ref": "#/components/schemas/ErrorReply"}
    for code in sorted(codes - operation["responses"].keys()):
        operation["responses"][code] = {
            "description": ERRORS[code],
            "content": {"application/json": {"schema": schema}},
        }
