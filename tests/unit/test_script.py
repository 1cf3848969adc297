"""Which scripts may run, and what their reports may say. Nothing is started here."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import InvalidInput, TrainerDied, TrainingFailed
from trainers import list_trainers, validate_hyper_params
from trainers.script import ScriptHyperParams, _failed, find_script


@pytest.fixture
def scripts_dir(tmp_path: Path) -> Path:
    """A folder of scripts, with a secret beside it."""
    (tmp_path / "secret.py").write_text("")
    folder = tmp_path / "scripts"
    (folder / "mnist").mkdir(parents=True)
    (folder / "mnist" / "train.py").write_text("")
    (folder / "alias.py").symlink_to(folder / "mnist" / "train.py")
    (folder / "leak.py").symlink_to(tmp_path / "secret.py")
    (folder / "way_out").symlink_to(tmp_path)
    (folder / "loop.py").symlink_to(folder / "loop.py")
    (folder / "folder.py").mkdir()
    return folder


def validate(scripts_dir: Path | None, **raw: object) -> ScriptHyperParams:
    made = validate_hyper_params(
        {"trainer": "script", **raw},
        datasets_dir=Path("nowhere"),
        default_dataset=None,
        scripts_dir=scripts_dir,
    )
    assert isinstance(made, ScriptHyperParams)
    return made


def test_the_trainer_is_offered_only_where_it_has_a_folder(scripts_dir: Path) -> None:
    assert "script" not in [spec.name for spec in list_trainers()]
    assert "script" in [spec.name for spec in list_trainers(scripts_dir=scripts_dir)]
    with pytest.raises(InvalidInput, match="set WATTLE_SCRIPTS_DIR"):
        validate(None, script="mnist/train.py")


def test_a_script_inside_the_folder_is_found_also_through_a_link_that_stays_inside(scripts_dir: Path) -> None:
    real = scripts_dir / "mnist" / "train.py"
    assert (
        find_script(scripts_dir, "mnist/train.py") == find_script(scripts_dir, "alias.py") == real.resolve()
    )
    made = validate(scripts_dir, script="mnist/train.py", args=["--fast"], params={"depth": 3})
    assert (made.args, made.params) == (("--fast",), {"depth": 3})
    assert (
        validate_hyper_params(
            made.model_dump(mode="json"),
            datasets_dir=scripts_dir,
            default_dataset=None,
            scripts_dir=scripts_dir,
        )
        == made
    )


@pytest.mark.parametrize(
    "script",
    [
        "leak.py", "way_out/secret.py", "../secret.py", "mnist/../../secret.py", "loop.py", "folder.py",
        "gone.py", "/etc/passwd", "/etc/x.py", "mnist/train", "", "-c.py", "a b.py", "a\0.py",
        "x" * 300 + ".py", 7,
    ],
)  # fmt: skip
def test_anything_else_is_refused_before_it_is_queued(scripts_dir: Path, script: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        validate(scripts_dir, script=script)
    assert [detail.field for detail in refused.value.details] == ["hyper_params.script"]


def test_the_folder_itself_may_be_a_link(scripts_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(scripts_dir)
    assert find_script(tmp_path / "current", "mnist/train.py").is_file()
    with pytest.raises(ValueError, match="leads out"):
        find_script(tmp_path / "current", "leak.py")


@pytest.mark.parametrize("args", [["a\0b"], ["x" * 2_000], ["x"] * 100, "--fast", [1]])
def test_arguments_are_short_texts(scripts_dir: Path, args: object) -> None:
    with pytest.raises(InvalidInput, match="args"):
        validate(scripts_dir, script="alias.py", args=args)


@pytest.mark.parametrize(
    ("exit_code", "kind"),
    [
        (1, TrainingFailed),
        (128, TrainingFailed),
        (255, TrainingFailed),
        (137, TrainerDied),
        (-9, TrainerDied),
    ],
)
def test_a_script_that_a_signal_ended_is_tried_again(exit_code: int, kind: type[TrainingFailed]) -> None:
    assert type(_failed("train.py", exit_code, [])) is kind
