"""The real nginx with deploy/nginx.conf, before two programs that answer what they were asked."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from werkzeug.serving import make_server

from backend import create_app
from redis_db import RedisDB
from schema.access import Scope, TokenRequest
from settings import Settings
from tests.manifests import DEPLOY
from tests.ports import own_ports
from tests.programs import wait_until
from tests.tls import make_certificate

NGINX = shutil.which("nginx", path="/usr/local/sbin:/usr/sbin:/sbin:/usr/bin")
pytestmark = pytest.mark.skipif(
    NGINX is None, reason="nginx is not installed. Run: apt-get install nginx-light"
)


API = "api.wattle.example.org"


class _Echo(BaseHTTPRequestHandler):
    """Answers with its name, the path and the headers that came."""

    name: str

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        told = {"name": self.name, "path": self.path, "headers": dict(self.headers.items())}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@dataclass
class Proxy:
    plain_port: int
    tls_port: int
    client: httpx.Client

    trusting: ssl.SSLContext

    def ask(self, host: str, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        url = f"https://127.0.0.1:{self.tls_port}{path}"
        return self.client.request(
            method, url, headers={"Host": host, **headers}, json={} if method == "POST" else None
        )

    def ask_from(self, address: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Ask the API from an address of this machine."""
        transport = httpx.HTTPTransport(verify=self.trusting, local_address=address)
        with httpx.Client(transport=transport, headers={"Host": API, **headers}) as client:
            url = f"https://127.0.0.1:{self.tls_port}{path}"
            return client.get(url) if body is None else client.post(url, json=body)


def config_of(places: dict[str, str], folder: Path) -> str:
    """deploy/nginx.conf with other ports and files."""
    text = (DEPLOY / "nginx.conf").read_text()
    for asked, given in {
        **places,
        "/var/log/nginx/wattle.log": f"{folder}/access.log",
        "/run/nginx.pid": f"{folder}/pid",
        "worker_processes auto;": "worker_processes 1;",
        "http {": f"http {{ client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;",
    }.items():
        assert asked in text
        text = text.replace(asked, given)
    return text


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    programs = {}
    for name in ("api", "page"):
        handler = type(name, (_Echo,), {"name": name})
        programs[name] = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=programs[name].serve_forever, daemon=True).start()
    with nginx(tmp_path, programs["api"].server_port, programs["page"].server_port) as started:
        yield started
    for each in programs.values():
        each.shutdown()
        each.server_close()


@contextmanager
def nginx(tmp_path: Path, api_port: int, page_port: int) -> Iterator[Proxy]:
    """Start nginx before two programs."""
    certificate = make_certificate(tmp_path)
    plain_port, tls_port = own_ports(2)
    places = {
        "127.0.0.1:5000": f"127.0.0.1:{api_port}",
        "127.0.0.1:8501": f"127.0.0.1:{page_port}",
        "listen 80;": f"listen 127.0.0.1:{plain_port};",
        "listen 443 ssl;": f"listen 127.0.0.1:{tls_port} ssl;",
        "/etc/nginx/tls/wattle.pem": str(certificate.file),
        "/etc/nginx/tls/wattle.key": str(certificate.key_file),
    }
    (tmp_path / "nginx.conf").write_text(config_of(places, tmp_path))
    command = [str(NGINX), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    errors = tmp_path / "errors"
    process = subprocess.Popen([*command, "-g", f"daemon off; error_log {errors};"])
    trusting = ssl.create_default_context(cafile=str(certificate.file))
    with httpx.Client(verify=trusting, trust_env=False) as client:
        try:
            wait_until(lambda: answers(client, plain_port), timeout_s=30, what=str(errors))
            yield Proxy(plain_port, tls_port, client, trusting)
        finally:
            process.terminate()
            process.wait(20)


def answers(client: httpx.Client, port: int) -> bool:
    try:
        return client.get(f"http://127.0.0.1:{port}/").is_redirect
    except httpx.HTTPError:
        return False


def test_each_name_has_its_program_which_learns_who_asks_and_with_which_token(proxy: Proxy) -> None:
    page = proxy.ask("wattle.example.org", "/runs").json()
    assert (page["name"], page["path"]) == ("page", "/runs")

    given = {"Authorization": "Bearer a-token", "Idempotency-Key": "k", "X-Forwarded-For": "10.9.9.9"}
    api = proxy.ask("api.wattle.example.org", "/train", "POST", **given).json()

    assert (api["name"], api["path"]) == ("api", "/train")
    told = api["headers"]
    assert (told["Authorization"], told["Idempotency-Key"]) == ("Bearer a-token", "k")
    assert (told["Host"], told["X-Forwarded-Proto"]) == ("api.wattle.example.org", "https")
    # Who asks may not say who it is.
    assert told["X-Forwarded-For"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "path"), [("api.wattle.example.org", "/ws"), ("wattle.example.org", "/_stcore/stream")]
)
def test_a_websocket_is_passed_on_as_one(proxy: Proxy, host: str, path: str) -> None:
    told = proxy.ask(host, path, Connection="Upgrade", Upgrade="websocket").json()["headers"]
    assert (told["Upgrade"], told["Connection"].lower()) == ("websocket", "upgrade")


def test_plain_http_leads_to_tls_and_metrics_stay_inside(proxy: Proxy) -> None:
    plain = proxy.client.get(
        f"http://127.0.0.1:{proxy.plain_port}/runs?q=a", headers={"Host": "wattle.example.org"}
    )
    assert plain.headers["Location"] == "https://wattle.example.org/runs?q=a"
    assert proxy.ask("api.wattle.example.org", "/metrics").status_code == 404


@pytest.fixture
def before_wattle(db: RedisDB, tmp_path: Path) -> Iterator[Proxy]:
    """The same before the real API, which trusts it."""
    settings = Settings(
        data_dir=tmp_path, allowed_hosts=(API,), trusted_proxies=("127.0.0.1",), refusals_per_minute=2
    )
    server = make_server("127.0.0.1", 0, create_app(settings, db), threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    with nginx(tmp_path, server.server_port, server.server_port) as started:
        yield started
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_trusted_nginx_tells_who_asks_to_the_limits_and_to_the_audit_log(
    before_wattle: Proxy, db: RedisDB
) -> None:
    greedy = [before_wattle.ask_from("127.0.0.9", "/api/runs").status_code for _ in range(3)]
    assert greedy == [401, 401, 429]
    # Neither does it hold up others, nor does another address in the header help.
    assert before_wattle.ask_from("127.0.0.8", "/api/runs").status_code == 401
    given = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"}
    assert before_wattle.ask_from("127.0.0.9", "/api/runs", **given).status_code == 429

    token = db.tokens.create(TokenRequest(name="ada", scope=Scope.ADMIN))
    shown = {"Authorization": f"Bearer {token.secret}", **given}
    assert before_wattle.ask_from("127.0.0.9", "/api/tokens", {"name": "x"}, **shown).status_code == 201
    assert [entry.address for entry in db.audit.list()] == ["127.0.0.9"]
