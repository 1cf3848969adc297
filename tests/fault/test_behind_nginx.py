"""The real nginx with deploy/nginx.conf before a real backend and a real page, as docs/production.md says."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.integration.test_proxy import config_of
from tests.live import LiveBackend
from tests.ports import own_port, own_ports
from tests.programs import ROOT, Programs, wait_until
from tests.provide_browser import REMEDY, find_browser
from tests.tls import make_certificate
from tests.tools import need

pytestmark = pytest.mark.slow

API, PAGE = "api.wattle.example.org", "wattle.example.org"
ADMIN = "an-admin-token-of-this-test-long-enough"
ADMIN_SHOWN = {"Authorization": f"Bearer {ADMIN}"}


@dataclass
class Site:
    """What somebody elsewhere reaches: two names behind one port."""

    port: int
    trusting: ssl.SSLContext
    programs: Programs

    def ask(self, host: str, path: str, method: str = "GET", **given: object) -> httpx.Response:
        headers = {"Host": host, **dict(given.pop("headers", {}))}  # type: ignore[call-overload] # of a test
        with httpx.Client(verify=self.trusting, trust_env=False, timeout=60) as client:
            url = f"https://127.0.0.1:{self.port}{path}"
            return client.request(method, url, headers=headers, **given)  # type: ignore[arg-type] # as above

    def socket(self, host: str, path: str, *protocols: str, origin: str = "") -> ClientConnection:
        """Open a WebSocket by a name that nobody can look up here."""
        return connect(
            f"wss://{host}{path}",
            address=("127.0.0.1", self.port), ssl=self.trusting, server_hostname="127.0.0.1",
            origin=Origin(origin or f"https://{host}"),
            subprotocols=[Subprotocol(each) for each in protocols] or None, proxy=None, open_timeout=60,
        )  # fmt: skip


@pytest.fixture
def site(programs: Programs, tmp_path: Path) -> Iterator[Site]:
    nginx = need("nginx", "apt-get install nginx-light")
    page_port = own_port()
    behind_a_proxy = {
        "require_token": True,
        "admin_token": ADMIN,
        "allowed_hosts": f"127.0.0.1,localhost,{API}",
        "page_url": f"https://{PAGE}",
        "live_url": f"https://{API}",
    }
    with LiveBackend(programs, **behind_a_proxy) as backend:
        api_url = f"http://127.0.0.1:{backend.port}"
        made = backend.http.post(
            "/api/tokens", json={"name": "the page", "scope": "submit"}, headers=ADMIN_SHOWN
        )
        programs.start(
            *("-m", "streamlit", "run", "frontend.py", "--server.address", "127.0.0.1"),
            *("--server.port", str(page_port), "--server.headless", "true"),
            api_url=api_url, live_url=f"https://{API}", api_token=made.raise_for_status().json()["secret"],
        )  # fmt: skip
        certificate = make_certificate(tmp_path)
        plain_port, tls_port = own_ports(2)
        places = {
            "127.0.0.1:5000": f"127.0.0.1:{backend.port}",
            "127.0.0.1:8501": f"127.0.0.1:{page_port}",
            "listen 80;": f"listen 127.0.0.1:{plain_port};",
            "listen 443 ssl;": f"listen 127.0.0.1:{tls_port} ssl;",
            "/etc/nginx/tls/wattle.pem": str(certificate.file),
            "/etc/nginx/tls/wattle.key": str(certificate.key_file),
        }
        (tmp_path / "nginx.conf").write_text(config_of(places, tmp_path))
        command = [nginx, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
        process = subprocess.Popen([*command, "-g", f"daemon off; error_log {tmp_path}/errors;"])
        found = Site(tls_port, ssl.create_default_context(cafile=str(certificate.file)), programs)
        try:
            wait_until(lambda: is_up(found), timeout_s=120, what=programs.output(), every_s=0.3)
            yield found
        finally:
            process.terminate()
            process.wait(20)


def is_up(site: Site) -> bool:
    try:
        return site.ask(PAGE, "/_stcore/health").text == "ok"
    except httpx.HTTPError:
        return False


def test_a_stranger_gets_no_further_than_the_door_and_who_has_a_token_trains(site: Site) -> None:
    assert site.ask(API, "/healthz").status_code == 200
    for path in ("/api/runs", "/experiments"):
        assert site.ask(API, path).status_code == 401
    assert site.ask(API, "/metrics", headers=ADMIN_SHOWN).status_code == 404
    with pytest.raises(InvalidStatus) as refused:
        site.socket(API, "/ws")
    assert refused.value.response.status_code == 401

    asked = {"hyper_params": {"demo": True, "num_epochs": 2}}
    run_id = site.ask(API, "/train", "POST", json=asked, headers=ADMIN_SHOWN).raise_for_status().json()["iid"]
    site.programs.start_worker()
    wait_until(
        lambda: site.ask(API, f"/status/{run_id}", headers=ADMIN_SHOWN).json()["status"] == "done",
        timeout_s=120, what=run_id, every_s=0.3,
    )  # fmt: skip


def test_the_live_socket_opens_for_who_has_a_token(site: Site) -> None:
    with pytest.raises(InvalidStatus) as refused:
        site.socket(API, "/ws", "wattle", "wattle.token.of-another-place")
    assert refused.value.response.status_code == 401
    with site.socket(API, "/ws", "wattle", f"wattle.token.{ADMIN}") as opened:
        assert opened.subprotocol == "wattle"
        assert json.loads(opened.recv(timeout=60))


def test_the_page_opens_its_socket_for_its_own_site_and_no_other(site: Site) -> None:
    told = site.ask(PAGE, "/")
    assert told.status_code == 200
    assert told.headers["Strict-Transport-Security"]
    with site.socket(PAGE, "/_stcore/stream", "streamlit") as stream:
        assert stream.subprotocol == "streamlit"
    with pytest.raises(InvalidStatus) as refused:
        site.socket(PAGE, "/_stcore/stream", "streamlit", origin="https://evil.example.org")
    assert refused.value.response.status_code == 403


def test_a_browser_sees_the_runs_that_the_token_of_the_page_reaches(site: Site) -> None:
    if find_browser() is None:
        pytest.skip(f"There is no Chromium. {REMEDY}")
    body = {"hyper_params": {"demo": True, "num_epochs": 2}, "options": {"tags": ["behind-a-proxy"]}}
    site.ask(API, "/train", "POST", json=body, headers=ADMIN_SHOWN).raise_for_status()
    names = ", ".join(f"MAP {name}:443 127.0.0.1:{site.port}" for name in (PAGE, API))
    ended = subprocess.run(
        [sys.executable, "-m", "tests.browser.one_visit", f"https://{PAGE}/runs", names, "1 run ·"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["heading"] == "Runs"
    assert "Its API token has the scope submit" in told["text"]
    assert told["complaints"] == []
