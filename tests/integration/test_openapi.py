"""/openapi.json, /docs and docs/api.md say what the API does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from backend import create_app
from redis_db import RedisDB
from settings import Settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> FlaskClient:
    return create_app(Settings(data_dir=tmp_path), db).test_client()


@pytest.fixture
def document(api: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = api.get("/openapi.json").get_json()
    return found


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_every_route_is_in_the_document_and_in_the_docs(api: FlaskClient, document: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    routes = {
        re.sub(r"<(?:path:|int:)?([^>]+)>", r"{\1}", rule.rule)
        for rule in api.application.url_map.iter_rules()
        if not rule.rule.startswith(("/docs", "/openapi", "/live/static"))
    }
    assert routes == document["paths"].keys()
    for path in (*routes, "/docs", "/openapi.json"):
        assert f"`{path}`" in text or re.search(rf"`(GET|POST|DELETE) {re.escape(path)}`", text), path


def test_every_parameter_is_in_the_docs(document: dict[str, Any]) -> None:
    text = (ROOT / "docs" / "api.md").read_text().lower()
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                assert f"`{parameter['name']}`" in text or parameter["in"] == "path", parameter["name"]


def test_both_forms_of_a_run_are_described(document: dict[str, Any]) -> None:
    nested, flat = document["components"]["schemas"]["TrainBody"]["anyOf"]
    assert nested["required"] == ["hyper_params"]
    assert flat["not"] == {"required": ["hyper_params"]}


def test_bodies_are_required_and_failures_are_described(document: dict[str, Any]) -> None:
    train = document["paths"]["/train"]["post"]
    assert train["requestBody"]["required"] is True
    assert {"201", "400", "403", "409", "413", "415", "422", "503"} <= train["responses"].keys()
    error = train["responses"]["422"]["content"]["application/json"]["schema"]
    assert error == {"$ref": "#/components/schemas/ErrorReply"}


def test_what_a_deletion_may_answer_is_described(document: dict[str, Any]) -> None:
    deletion = document["paths"]["/api/runs/{iid}"]["delete"]
    assert {"200", "403", "404", "409", "415", "422", "503"} <= deletion["responses"].keys()
    assert "409" in document["paths"]["/api/runs/{iid}/deletion"]["get"]["responses"]


@pytest.mark.parametrize(
    ("path", "code"),
    [("/api/runs/{iid}/cancel", "200"), ("/api/runs/{iid}/rerun", "201"), ("/api/runs/bulk", "200")],
)
def test_every_write_describes_its_body_answer_and_refusals(
    document: dict[str, Any], path: str, code: str
) -> None:
    operation = document["paths"][path]["post"]
    assert operation["requestBody"]["required"] is True
    expected = {code, "400", "403", "409", "413", "415", "422", "503"} | ({"404"} if "{" in path else set())
    assert expected <= operation["responses"].keys()


def test_lists_are_asked_for_with_commas(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/experiments"]["get"]["parameters"]
    fields = next(parameter for parameter in parameters if parameter["name"] == "fields")
    assert (fields["style"], fields["explode"]) == ("form", False)


def test_the_document_does_not_depend_on_who_asked_first(api: FlaskClient) -> None:
    first = api.get("/openapi.json", headers={"Host": "localhost:1"}).get_json()
    assert "localhost" not in str(first)


def test_the_docs_page_is_made_of_our_own_files(api: FlaskClient) -> None:
    with api.get("/docs") as page:
        html = page.get_data(as_text=True)
    addresses = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert len(addresses) >= 4
    for address in addresses:
        if address.startswith("data:"):
            continue
        assert address.startswith("/")
        with api.get(address) as reply:
            assert reply.status_code == 200, address


def test_the_licence_of_the_docs_page_lies_beside_it() -> None:
    folder = ROOT / "api" / "static" / "swagger-ui"
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert "SmartBear" in (folder / "NOTICE").read_text()
