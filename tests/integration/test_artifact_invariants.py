"""Whatever happens to files and models in whatever order: counts, bytes, notes and stages agree."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random

import pytest
import redis

from errors import Conflict, NotFound, TooLarge
from redis_db import NewFile, NewModel, RedisDB
from schema import ArtifactQuery, ExperimentRequest, ModelArtifact, Stage, Status
from store.models import source_of

MOST_BYTES = 40
NAMES = ("a", "b/c")
MODELS = ("x", "y")
STAGES: tuple[Stage, ...] = ("candidate", "production", "production", "archived")


class Users:
    """People and programs who do anything, also to what is gone."""

    def __init__(self, db: RedisDB, raw: redis.Redis, seed: int) -> None:
        self.db, self.raw, self.random = db, raw, Random(seed)  # noqa: S311 - steps of a test
        self.runs = [self._begin() for _ in range(3)]
        self.files: set[str] = set()
        self.given: set[tuple[str, str, int]] = set()
        self.count = 0

    def _begin(self) -> str:
        return self.db.external.begin(ExperimentRequest(name="a")).run.run_id

    def step(self) -> None:
        """Do something; it may be refused."""
        acts: list[Callable[[], None]] = [
            *(self.upload,) * 4, self.remove, self.sweep, *(self.register,) * 2, self.promote, self.forget,
            self.use, self.delete_run,
        ]  # fmt: skip
        with suppress(Conflict, NotFound, TooLarge):
            self.random.choice(acts)()

    def upload(self) -> None:
        run_id, name = self.random.choice(self.runs), self.random.choice(NAMES)
        self.count += 1
        file = f"{run_id}/artifacts/n/{self.count}"
        size_bytes = self.random.randrange(12)
        self.db.artifacts.begin(run_id, file, 0, most_bytes=MOST_BYTES)
        self.files.add(file)
        if self.random.random() < 0.2:
            return  # killed
        new = NewFile(file, size_bytes, f"{size_bytes:064x}", "a/b")
        try:
            recorded = self.db.artifacts.record(
                run_id, name, ArtifactQuery(kind="model"), new, most_bytes=MOST_BYTES
            )
            if is_kept := recorded.is_new:
                place = (run_id, name, recorded.artifact.version)
                assert place not in self.given
                self.given.add(place)
        except (Conflict, NotFound, TooLarge):
            is_kept = False
        if not is_kept:
            self._drop(file)

    def remove(self) -> None:
        run_id, name = self.random.choice(self.runs), self.random.choice(NAMES)
        self._drop(self.db.artifacts.delete(run_id, name, self.random.randrange(1, 6)))

    def sweep(self) -> None:
        for file in self.db.artifacts.condemn(older_than_s=self.random.choice((0.0, 3_600.0))):
            self._drop(file)

    def register(self) -> None:
        kept = self.db.artifacts.get(self.random.choice(self.runs), self.random.choice(NAMES)).artifact
        facts = kept.model_dump(include=set(ModelArtifact.model_fields))
        new = NewModel(kept.run_id, "default", ModelArtifact.model_validate(facts), {})
        self.db.models.record(self.random.choice(MODELS), new)

    def promote(self) -> None:
        stage = self.random.choice(STAGES)
        self.db.models.set_stage(self.random.choice(MODELS), self.random.randrange(1, 9), stage, None)

    def forget(self) -> None:
        self.db.models.delete(self.random.choice(MODELS), self.random.randrange(1, 9))

    def use(self) -> None:
        model = f"{self.random.choice(MODELS)}:{self.random.randrange(1, 9)}"
        self.db.models.use(self.random.choice(self.runs), [model])

    def delete_run(self) -> None:
        place = self.random.randrange(len(self.runs))
        run_id = self.runs[place]
        with suppress(Conflict):
            self.db.external.end(run_id, Status.DONE)
        self.db.controls.delete(run_id)
        self._drop(run_id)
        self.runs[place] = self._begin()

    def _drop(self, file: str) -> None:
        self.files = {own for own in self.files if own != file and not own.startswith(f"{file}/")}
        self.db.artifacts.settle(file)

    def check(self) -> None:
        """Say what does not agree."""
        noted = {str(file) for file in self.raw.zrange("artifacts:unsettled", 0, -1)}
        recorded: set[str] = set()
        for run_id in self.runs:
            shown = self.db.artifacts.list(run_id, limit=500).artifacts
            kept = [self.db.artifacts.get(run_id, one.name, one.version) for one in shown]
            recorded |= {one.file for one in kept}
            stated = int(str(self.raw.hget(f"run:{run_id}:artifacts:facts", "bytes") or 0))
            assert stated == sum(one.size_bytes for one in shown) <= MOST_BYTES
            assert self.raw.hlen(f"run:{run_id}:artifacts") == self.raw.zcard(f"run:{run_id}:artifacts:order")
            places = {f"{one.name}:{one.version}" for one in shown}
            assert self.db.models.list_needed(run_id) <= places
        # Every file has a record or is noted, and no record is without its file.
        assert recorded <= self.files
        assert not recorded & noted
        assert {file for file in self.files - recorded if file not in noted} == set()
        self._check_models()

    def _check_models(self) -> None:
        versions = self.db.models.list(limit=500).versions
        for version in versions:
            model = f"{version.name}:{version.version}"
            assert self.raw.hget(f"run:{version.run_id}:models", model) == source_of(version.artifact)
            assert version.stage == version.history[-1].stage
            for run_id in version.used_by:
                assert self.raw.sismember(f"run:{run_id}:inputs", model)
        for name in MODELS:
            live = [one.version for one in versions if (one.name, one.stage) == (name, "production")]
            stated = self.raw.hget("models:facts", f"production:{name}")
            assert live == ([] if stated is None else [int(str(stated))])


def test_names_without_versions_are_forgotten_and_no_number_is_given_twice(
    db: RedisDB, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.artifacts.MAX_FORGETTABLE", 5)
    run_id = db.external.begin(ExperimentRequest(name="a")).run.run_id
    facts = f"run:{run_id}:artifacts:facts"
    given = {name: [record(db, run_id, name, step) for step in range(2)] for name in ("kept", "gone")}
    for version in given["gone"]:
        db.artifacts.delete(run_id, "gone", version)
    for number in range(50):
        db.artifacts.delete(run_id, f"n:{number}", record(db, run_id, f"n:{number}", 0))
        assert sum(field.startswith("version:") for field in fields(raw, facts)) <= 2 + 5 + 6
    assert "version:gone" not in fields(raw, facts)
    assert record(db, run_id, "gone", 0) not in given["gone"]
    assert record(db, run_id, "kept", 2) == 3
    db.external.end(run_id, Status.DONE)
    db.controls.delete(run_id)
    assert not raw.exists(facts)


def record(db: RedisDB, run_id: str, name: str, step: int) -> int:
    file = f"{run_id}/artifacts/{name}/{step}"
    db.artifacts.begin(run_id, file, 0, most_bytes=MOST_BYTES)
    query, new = ArtifactQuery(kind="file", step=step), NewFile(file, 1, "0" * 64, "a/b")
    return db.artifacts.record(run_id, name, query, new, most_bytes=MOST_BYTES).artifact.version


def fields(raw: redis.Redis, key: str) -> list[str]:
    return [str(field) for field in raw.hkeys(key)]


@pytest.mark.parametrize("seed", range(4))
def test_records_files_and_stages_agree_after_every_step(
    db: RedisDB, raw: redis.Redis, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.artifacts.MAX_FORGETTABLE", -4)  # each name as soon as it has no version
    users = Users(db, raw, seed)
    for _ in range(40):
        for _ in range(5):
            users.step()
        users.check()
