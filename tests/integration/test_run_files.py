"""The files a run has left are measured and deleted, and nobody else's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.saved import save_models
from trainers.artifact_files import ArtifactFiles, new_file
from trainers.places import open_folder
from trainers.run_files import FileSizes, RunFiles

STEP = "step-000000000010"


@pytest.fixture(params=["apart", "together", "remote"])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str, str]:
    memory = f"memory://{tmp_path.name}"
    places = {
        "apart": (str(tmp_path / "models"), str(tmp_path / "checkpoints"), str(tmp_path / "artifacts")),
        "together": (str(tmp_path), str(tmp_path), str(tmp_path)),
        "remote": (f"{memory}/m", f"{memory}/c", f"{memory}/a"),
    }
    return places[request.param]


def run_files(urls: tuple[str, str, str]) -> RunFiles:
    return RunFiles(model_url=urls[0], checkpoint_url=urls[1], artifact_url=urls[2])


def fill(urls: tuple[str, str, str], run_id: str) -> None:
    models, checkpoints = (open_folder(url, run_id) for url in urls[:2])
    files = ArtifactFiles(urls[2])
    for name, is_checkpoint in (("epoch/1", True), ("plot.png", False)):
        file = new_file(run_id, name, is_checkpoint=is_checkpoint)
        files.write(file, [b"12", b"3"] if is_checkpoint else [b"45"], lambda *_: None)
    models.write("best", {"a": b"12", "card.json": b"345"})
    models.write("last", {"a": b"6"})
    checkpoints.write(STEP, {"a": b"1234"})


def test_everything_of_a_run_is_measured_and_deleted_and_nothing_of_another(
    urls: tuple[str, str, str],
) -> None:
    fill(urls, "run1")
    fill(urls, "run2")
    files = run_files(urls)
    assert files.measure("run1") == FileSizes(6, 4, 5, None)
    assert files.delete("run1") == FileSizes(6, 4, 5, None)
    assert files.measure("run1").are_none
    assert [open_folder(url, "run1").list_names() for url in urls] == [[], [], []]
    assert files.measure("run2") == FileSizes(6, 4, 5, None)
    assert files.delete("run1") == FileSizes(0, 0, 0, None)


def test_what_a_person_put_there_stays(urls: tuple[str, str, str]) -> None:
    fill(urls, "run1")
    open_folder(urls[0], "run1").write("notes", {"a": b"mine"})
    assert run_files(urls).delete("run1") == FileSizes(6, 4, 5, None)
    assert open_folder(urls[0], "run1").list_names() == ["notes"]


def test_half_a_checkpoint_of_a_killed_process_goes_too(tmp_path: Path) -> None:
    leftover = tmp_path / "c" / "run1" / f".{STEP}.4711"
    leftover.mkdir(parents=True)
    (leftover / "half").write_bytes(b"torn")
    run_files((str(tmp_path / "m"), str(tmp_path / "c"), str(tmp_path / "a"))).delete("run1")
    assert not (tmp_path / "c" / "run1").exists()


def test_a_place_that_cannot_be_emptied_is_told_and_the_other_is_emptied(tmp_path: Path) -> None:
    save_models(tmp_path / "m", "run1")
    (tmp_path / "c" / "run1").mkdir(parents=True)
    (tmp_path / "c" / "run1" / STEP).write_text("a file where a folder should be")
    sizes = run_files((str(tmp_path / "m"), str(tmp_path / "c"), str(tmp_path / "a"))).delete("run1")
    assert sizes.problem is not None
    assert "checkpoints in run1" in sizes.problem
    assert not (tmp_path / "m" / "run1").exists()


def test_deletions_at_the_same_time_are_no_problem_to_each_other(tmp_path: Path) -> None:
    urls = (str(tmp_path / "m"), str(tmp_path / "c"), str(tmp_path / "a"))
    for step in range(200):
        open_folder(urls[1], "run1").write(f"step-{step:012d}", {"a": b"1"})
    files = run_files(urls)
    with ThreadPoolExecutor(4) as pool:
        sizes = list(pool.map(files.delete, ["run1"] * 4))
    assert {size.problem for size in sizes} == {None}
    assert not (tmp_path / "c" / "run1").exists()


def test_a_place_without_a_driver_is_unknown_not_empty(tmp_path: Path) -> None:
    files = run_files(("nosuchscheme://x", str(tmp_path), str(tmp_path)))
    sizes = files.measure("run1")
    assert (sizes.model_bytes, sizes.checkpoint_bytes, sizes.are_none) == (None, 0, False)
    assert "models in run1" in (sizes.problem or "")
