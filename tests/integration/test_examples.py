"""The examples of docs/plugins.md are installed, offered, validated and trained."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from schema import EpochResult, Scalar, TrainingContext
from trainers import get_trainer, hyper_params_schema, load_trainer, validate_hyper_params
from trainers.params import HyperParams

ROOT = Path(__file__).resolve().parents[2]
SOFTMAX = ROOT / "docs" / "examples" / "softmax"
SCRIPTS = ROOT / "docs" / "examples" / "scripts"
PAGE = ROOT / "docs" / "plugins.md"


class SilentControl:
    """A Control that asks for nothing."""

    def after_step(self, step: int) -> None:
        del step

    def log(self, text: str) -> None:
        del text

    def describe(self, facts: Mapping[str, Scalar]) -> None:
        del facts


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The example as pip would leave it: its modules and its entry points on the search path."""
    project = tomllib.loads((SOFTMAX / "pyproject.toml").read_text())["project"]
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = project["entry-points"]["wattle.trainers"]
    lines = [f"{name} = {target}" for name, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[wattle.trainers]", *lines]))
    monkeypatch.syspath_prepend(str(SOFTMAX))
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("wattle_softmax", "wattle_softmax_training"):
        monkeypatch.delitem(sys.modules, module, raising=False)


def validate(scripts_dir: Path | None = None, **raw: object) -> HyperParams:
    return validate_hyper_params(
        raw, datasets_dir=Path("nowhere"), default_dataset=None, scripts_dir=scripts_dir
    )


def train(hyper_params: HyperParams) -> list[EpochResult]:
    context = TrainingContext(
        datasets_dir=Path("nowhere"), device="cpu", control=SilentControl(), scripts_dir=SCRIPTS
    )
    return list(load_trainer(hyper_params.trainer)(hyper_params, context))


@pytest.mark.usefixtures("installed")
def test_the_example_trainer_learns_the_digits() -> None:
    spec = get_trainer("softmax")
    schema = hyper_params_schema(spec, datasets_dir=Path("nowhere"), default_dataset=None)
    assert (spec.title, spec.is_simulated) == ("Softmax regression", False)
    assert schema["properties"]["batch_size"]["unit"] == "images"  # type: ignore[index, call-overload] # JSON

    results = train(validate(trainer="softmax", num_epochs=10))

    assert [result.epoch for result in results] == list(range(1, 11))
    assert results[-1].test_accuracy > 0.93
    assert results[-1].train_loss < results[0].train_loss


def test_offering_the_example_costs_no_numpy() -> None:
    code = "import sys; sys.path.append(sys.argv[1]); import wattle_softmax; sys.exit('numpy' in sys.modules)"
    command = [sys.executable, "-c", code, str(SOFTMAX)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def test_the_example_script_runs_under_wattle_and_alone() -> None:
    made = validate(SCRIPTS, trainer="script", script="perceptron.py", num_epochs=5, params={"rate": 0.2})
    results = train(made)
    assert [result.epoch for result in results] == [1, 2, 3, 4, 5]
    assert results[-1].test_accuracy > 0.95

    alone = subprocess.run(
        [sys.executable, SCRIPTS / "perceptron.py"], capture_output=True, text=True, check=True
    )
    assert len([json.loads(line) for line in alone.stdout.splitlines()]) == 5


def test_the_page_shows_the_files_as_they_are_and_names_every_variable_of_a_script() -> None:
    text = PAGE.read_text()
    for block in re.findall(r"```(?:python|toml)\n# (\S+)\n(.*?)```", text, flags=re.DOTALL):
        path, shown = block
        assert shown.strip() in (ROOT / path).read_text(), path
    given = (ROOT / "trainers" / "script_process.py").read_text()
    for variable in set(re.findall(r"WATTLE_[A-Z_]+", given)):
        assert f"`{variable}`" in text, variable
