"""The hyper_params door: what it fills in, what it refuses, and that it costs no torch."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from errors import InvalidInput
from trainers import HyperParams, get_trainer, hyper_params_schema, list_trainers, validate_hyper_params
from trainers.datasets import DATASETS, list_missing
from trainers.params import CnnHyperParams, DatasetName


def validate(datasets_dir: Path, default_dataset: str | None = None, /, **raw: object) -> CnnHyperParams:
    hyper_params = validate_hyper_params(raw, datasets_dir=datasets_dir, default_dataset=default_dataset)
    assert isinstance(hyper_params, CnnHyperParams)
    return hyper_params


def refusal(datasets_dir: Path, /, **raw: object) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        validate(datasets_dir, **raw)
    assert caught.value.details
    return dict(caught.value.details)


def put_mnist(datasets_dir: Path) -> None:
    """Sparse files of the right sizes."""
    for file in DATASETS["mnist"].files:
        path = datasets_dir / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            stream.truncate(file.size_bytes or 0)


def test_the_shortest_body_is_complete_afterwards(tmp_path: Path) -> None:
    filled = validate(tmp_path, optimizer="Adam", learning_rate=0.001, num_epochs=3)
    assert filled.model_dump() == {
        "trainer": "cnn",
        "dataset": "digits",
        "image_folder": None,
        "image_side": 64,
        "network": "small_cnn",
        "dropout": 0.0,
        "optimizer": "adam",
        "learning_rate": 0.001,
        "weight_decay": 0.0,
        "momentum": 0.9,
        "nesterov": True,
        "schedule": "constant",
        "warmup_epochs": 0.0,
        "step_epochs": 10,
        "step_factor": 0.1,
        "batch_size": 64,
        "label_smoothing": 0.0,
        "augmentation": "none",
        "compile": "off",
        "gpus": 1,
        "precision": "auto",
        "deterministic": False,
        "validation_fraction": 0.0,
        "patience": None,
        "min_delta": 0.0,
        "target_accuracy": None,
        "num_epochs": 3,
        "seed": 0,
        "max_energy_wh": None,
        "max_co2_g": None,
        "max_duration_s": None,
    }


def test_what_was_filled_in_is_valid_as_it_stands(tmp_path: Path) -> None:
    filled = validate(tmp_path)
    stored = json.loads(filled.model_dump_json())
    assert validate_hyper_params(stored, datasets_dir=tmp_path, default_dataset="mnist") == filled


def test_names_may_be_in_any_case(tmp_path: Path) -> None:
    filled = validate(tmp_path, trainer="CNN", optimizer=" AdamW ", dataset="MNIST", network="ResNet9")
    assert (filled.trainer, filled.optimizer, filled.dataset, filled.network) == (
        "cnn",
        "adamw",
        "mnist",
        "resnet9",
    )


def test_mnist_is_the_default_once_it_is_whole_on_disk(tmp_path: Path) -> None:
    put_mnist(tmp_path)
    assert validate(tmp_path).dataset == "mnist"
    with (tmp_path / DATASETS["mnist"].files[0].path).open("r+b") as stream:
        stream.truncate(1000)
    assert [file.path for file in list_missing(DATASETS["mnist"], tmp_path)] == [
        DATASETS["mnist"].files[0].path
    ]
    assert validate(tmp_path).dataset == "digits"


def test_the_setting_outranks_what_is_on_disk_and_the_body_outranks_the_setting(tmp_path: Path) -> None:
    put_mnist(tmp_path)
    assert validate(tmp_path, "Fashion_MNIST").dataset == "fashion_mnist"
    assert validate(tmp_path, "fashion_mnist", dataset="digits").dataset == "digits"


def test_a_wrong_setting_is_named_as_the_cause(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'imagenet' comes from the settings of this host"):
        validate(tmp_path, "imagenet")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", 0),
        ("learning_rate", -0.1),
        ("learning_rate", 10.1),
        ("learning_rate", True),
        ("learning_rate", "0.1"),
        ("learning_rate", None),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("learning_rate", 10**400),
        ("weight_decay", -1e-9),
        ("momentum", 1),
        ("num_epochs", 0),
        ("num_epochs", 10_001),
        ("num_epochs", 10**4000),
        ("num_epochs", True),
        ("num_epochs", 3.0),
        ("num_epochs", "3"),
        ("num_epochs", [3]),
        ("batch_size", 0),
        ("batch_size", 65_537),
        ("batch_size", True),
        ("batch_size", "64"),
        ("batch_size", "automatic"),
        ("batch_size", None),
        ("seed", -1),
        ("seed", 2**32),
        ("validation_fraction", 0.51),
        ("optimizer", "lion"),
        ("optimizer", 5),
        ("optimizer", "\ud800"),
        ("dataset", {"a": 1}),
        ("network", None),
        ("trainer", 7),
        ("trainer", "\ud800"),
        ("\ud800", 1),
        ("", 1),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(tmp_path: Path, field: str, value: object) -> None:
    details = refusal(tmp_path, **{field: value})
    printable = field.encode("utf-8", "backslashreplace").decode()
    assert list(details) == [f"hyper_params.{printable}"]
    json.dumps(details, ensure_ascii=False).encode()


def test_every_wrong_field_is_reported_at_once(tmp_path: Path) -> None:
    assert set(refusal(tmp_path, learning_rate=-1, batch_size="big", seed=0)) == {
        "hyper_params.learning_rate",
        "hyper_params.batch_size",
    }


def test_a_batch_size_is_a_number_or_auto_in_any_case(tmp_path: Path) -> None:
    assert validate(tmp_path, batch_size=128).batch_size == 128
    assert validate(tmp_path, batch_size=" Auto ", network="resnet9").batch_size == "auto"
    reason = refusal(tmp_path, batch_size="big")["hyper_params.batch_size"]
    assert reason == 'should be a whole number from 1 to 65,536, or "auto"'


def test_an_unknown_field_is_answered_with_the_near_ones(tmp_path: Path) -> None:
    assert "did you mean learning_rate?" in refusal(tmp_path, lerning_rate=1)["hyper_params.lerning_rate"]
    assert "validation_fraction" in refusal(tmp_path, qqq=1)["hyper_params.qqq"]


def test_a_thousand_unknown_fields_get_a_short_answer(tmp_path: Path) -> None:
    details = refusal(tmp_path, **{f"{n}{'x' * 10_000}": n for n in range(1000)})
    assert len(details) == 20
    assert all(len(field) < 100 for field in details)


def test_an_unknown_dataset_is_answered_with_the_list_and_the_near_one(tmp_path: Path) -> None:
    message = refusal(tmp_path, dataset="mnits")["hyper_params.dataset"]
    assert all(name in message for name in DATASETS)
    assert message.endswith("did you mean mnist?")


def test_an_unknown_trainer_is_answered_with_the_near_one() -> None:
    with pytest.raises(InvalidInput, match="did you mean cnn"):
        get_trainer("ccn")


@pytest.mark.parametrize("folder", [None, "../photos", "photos/../..", "/etc", "\\\\host\\share", ""])
def test_the_dataset_image_folder_needs_a_folder_in_the_datasets_folder(
    tmp_path: Path, folder: str | None
) -> None:
    details = refusal(tmp_path, dataset="image_folder", image_folder=folder)
    assert list(details) == ["hyper_params.image_folder"]
    assert validate(tmp_path, dataset="image_folder", image_folder="a/b").image_folder == "a/b"


def test_resnet9_refuses_batches_of_one_image(tmp_path: Path) -> None:
    assert list(refusal(tmp_path, network="resnet9", batch_size=1)) == ["hyper_params.batch_size"]
    assert validate(tmp_path, network="small_cnn", batch_size=1).batch_size == 1


@pytest.mark.parametrize(("field", "value"), [("patience", 3), ("target_accuracy", 0.9)])
def test_stopping_early_needs_a_validation_part(tmp_path: Path, field: str, value: float) -> None:
    details = refusal(tmp_path, **{field: value})
    assert list(details) == [f"hyper_params.{field}"]
    assert "set validation_fraction" in details[f"hyper_params.{field}"]
    filled = validate(tmp_path, **{field: value, "validation_fraction": 0.1})
    assert getattr(filled, field) == value


def test_the_names_of_datasets_and_their_table_agree() -> None:
    assert get_args(DatasetName) == tuple(DATASETS)


def test_a_form_can_be_made_from_the_schema(tmp_path: Path) -> None:
    spec = list_trainers()[0]
    schema = hyper_params_schema(spec, datasets_dir=tmp_path, default_dataset="cifar10")
    properties = schema["properties"]
    assert isinstance(properties, dict)
    names = list(properties)
    assert names[:3] == ["trainer", "dataset", "image_folder"]
    assert names[-5:] == ["num_epochs", "seed", "max_energy_wh", "max_co2_g", "max_duration_s"]
    assert set(names) == set(spec.hyper_params.model_fields)
    bounds = {"enum", "const", "maximum", "exclusiveMaximum", "maxLength"}
    for field in properties.values():
        assert isinstance(field, dict)
        assert {"title", "description", "default"} <= set(field)
        shapes = field.get("anyOf", [field])
        assert isinstance(shapes, list)
        shape = shapes[0]
        assert isinstance(shape, dict)
        assert shape.get("type") == "boolean" or bounds & set(shape)
    assert "fake" not in properties["dataset"]["enum"]  # type: ignore[index, call-overload, operator] # checked above
    assert properties["dataset"]["default"] == "cifar10"  # type: ignore[index, call-overload] # checked above
    assert properties["batch_size"]["unit"] == "images"  # type: ignore[index, call-overload] # checked above


def test_the_schema_of_a_trainer_that_has_only_the_inherited_fields_is_complete(tmp_path: Path) -> None:
    assert HyperParams.host_defaults(datasets_dir=tmp_path, preferred_dataset="digits") == {}
    assert set(HyperParams.model_fields) == {
        "trainer", "num_epochs", "seed", "max_energy_wh", "max_co2_g", "max_duration_s",
    }  # fmt: skip


def test_validating_imports_no_heavy_library() -> None:
    script = """
import sys
from pathlib import Path
from trainers import list_trainers, validate_hyper_params
import trainers.datasets, trainers.params
list_trainers()
validate_hyper_params({}, datasets_dir=Path("nowhere"), default_dataset=None)
print(sorted({"torch", "torchvision", "numpy", "sklearn", "scipy"} & set(sys.modules)))
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
