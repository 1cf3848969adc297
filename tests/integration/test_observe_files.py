"""The files for Prometheus and Grafana name what a real scrape has, and Prometheus' own tools take them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import redis
import yaml
from prometheus_client.parser import text_string_to_metric_families

from backend import create_app
from cli.redis_server import RedisServer
from redis_db import RedisDB
from schema import GpuState
from settings import Settings
from tests.records import TORCH_WORKER, epoch, running
from tests.tools import need

FOLDER: Final = Path(__file__).resolve().parents[2] / "deploy" / "observe"
RULES: Final = FOLDER / "alerts.yml"
TOKEN_FILE: Final = "/run/secrets/metrics-token"  # noqa: S105 - where compose.yaml puts it
GPU: Final = GpuState(
    name="H", memory_used_bytes=3, memory_total_bytes=9, utilisation=0.5, power_w=300, temperature_c=40
)


def list_rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def list_panels() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    return panels


def list_queries() -> list[str]:
    """Every query of the dashboard as Prometheus gets it from Grafana."""
    targets = [target for panel in list_panels() for target in panel.get("targets", ())]
    return [target["expr"].replace("$__rate_interval", "1m") for target in targets]


def exposition(server: RedisServer, folder: Path) -> str:
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", "512mb")
    with RedisDB(server.url) as store:
        lease = running(store)
        store.runs.record_epoch(lease, epoch(1, energy_kwh=0.001, co2_g=0.4))
        worker = TORCH_WORKER.model_copy(update={"gpu": GPU, "power_w": 320.0})
        store.workers.beat(worker, ttl_s=600, spool_bytes=0)
        store.archiving.note_round({"ended_at": "1.0", "good_at": "1.0", "bytes": "7"}, result="ok")
        api = create_app(Settings(data_dir=folder), store).test_client()
        api.get("/healthz")
        return api.get("/metrics").text


def promtool(*arguments: str, told: str | None = None) -> None:
    """Run Prometheus' own tool; skips where it is not installed."""
    tool = need("promtool", "apt-get install prometheus")
    ended = subprocess.run([tool, *arguments], input=told, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_metric_that_is_used_is_in_a_real_scrape(own_redis: RedisServer, tmp_path: Path) -> None:
    families = list(text_string_to_metric_families(exposition(own_redis, tmp_path)))
    real = {sample.name for family in families for sample in family.samples}
    labels = {label for family in families for sample in family.samples for label in sample.labels}
    queries = [*list_queries(), *(rule["expr"] for rule in list_rules())]
    used = set(re.findall(r"\bwattle_\w+", " ".join(queries)))
    assert used <= real
    assert {name for name in real if not name.endswith(("_created", "_sum", "_count"))} <= used
    grouped = {label for by in re.findall(r"by \(([^)]*)\)", " ".join(queries)) for label in by.split(", ")}
    matched = set(re.findall(r"[{,](\w+)=", " ".join(queries)))
    assert grouped | matched <= labels | {"job"}


def test_every_panel_has_queries_a_place_and_a_description() -> None:
    panels = list_panels()
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        if panel["type"] != "row":
            assert panel["description"], panel["title"]
            assert panel["targets"], panel["title"]
    taken = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) == 23


def test_every_rule_says_how_bad_it_is_and_what_to_do() -> None:
    rules = list_rules()
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, rule["alert"]
        assert {"summary", "description"} <= rule["annotations"].keys(), rule["alert"]


def test_the_page_names_every_rule() -> None:
    text = (FOLDER.parents[1] / "docs" / "observe.md").read_text("utf-8")
    assert set(re.findall(r"`(Wattle[A-Z]\w+)`", text)) == {rule["alert"] for rule in list_rules()}


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.yml")), ids=lambda path: str(path.name))
def test_every_file_is_yaml(path: Path) -> None:
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_grafana_finds_its_source_and_its_dashboard() -> None:
    (source,) = yaml.safe_load((FOLDER / "provisioning/datasources/wattle.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((FOLDER / "provisioning/dashboards/wattle.yml").read_text())["providers"]
    assert (source["type"], provider["type"]) == ("prometheus", "file")


def test_promtool_takes_the_configuration_and_the_rules(tmp_path: Path) -> None:
    text = (FOLDER / "prometheus.yml").read_text()
    assert TOKEN_FILE in text
    (tmp_path / "token").write_text("of a test")
    own = text.replace(TOKEN_FILE, str(tmp_path / "token")).replace("- alerts.yml", f"- {RULES}")
    (tmp_path / "prometheus.yml").write_text(own)
    promtool("check", "config", str(tmp_path / "prometheus.yml"))
    promtool("check", "rules", str(RULES))


def test_promtool_takes_what_we_answer(own_redis: RedisServer, tmp_path: Path) -> None:
    promtool("check", "metrics", told=exposition(own_redis, tmp_path))


def test_promtool_takes_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{place}", "expr": query} for place, query in enumerate(list_queries())]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(path))


def test_rules_are_raised_when_they_should_be_and_not_before() -> None:
    promtool("test", "rules", str(Path(__file__).parents[1] / "data" / "alert_rules.yml"))
