"""Averaged predictions: found by path or pattern, refused if they mean different things, equal in whatever order."""

import gc
import json
import shutil
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import allow_changes

from easytransfer_mtl.config.predict_settings import EvaluateSettings, PredictSettings, SubmitSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation import ensemble
from easytransfer_mtl.evaluation.ensemble import Ensemble, average, ensemble_of, mean_probabilities
from easytransfer_mtl.evaluation.inference import HeadOutput
from easytransfer_mtl.evaluation.model_class import ModelClass
from easytransfer_mtl.evaluation.prediction import Prediction, Predictor
from easytransfer_mtl.evaluation.stored_models import check_alike, find_models, stored_model_at
from easytransfer_mtl.files import read_json, write_json
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import CONTEST_TASKS, OCNLI

TEXTS = ["天地人", "日月", "山水火木金土", "心手口", "禾米竹", "人", "土土土木", "月水目耳田"]


class Other(MultiTaskModel):
    """Another class of the same variables."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Unlabelled files of TNEWS and OCNLI."""
    folder = tmp_path_factory.mktemp("files")
    lines = {
        "TNEWS": [f"{7 + row}\t{text}\n" for row, text in enumerate(TEXTS)],
        "OCNLI": [f"{1500 + row}\t{text}\t{TEXTS[-row]}\n" for row, text in enumerate(TEXTS)],
    }
    for name, content in lines.items():
        (folder / f"{name}.csv").write_text("".join(content), encoding="utf-8")
    return {name: folder / f"{name}.csv" for name in lines}


def predicted(members: str, files: dict[str, Path]) -> dict[str, Prediction]:
    return Ensemble(find_models(members)).predict_files(files)


def assert_same(one: Prediction, other: Prediction) -> None:
    assert (one.task, one.ids, one.labels) == (other.task, other.ids, other.labels)
    np.testing.assert_array_equal(one.probabilities, other.probabilities)


def test_one_model_is_itself_bit_for_bit(runs: Path, files: dict[str, Path]) -> None:
    alone, best = predicted(str(runs / "fold_1"), files), Predictor(str(runs / "fold_1/best"))
    for name, path in files.items():
        ids, *texts = zip(*(line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()), strict=True)
        assert_same(alone[name], best.predict(name, ids, list(zip(*texts, strict=True))))
        assert alone[name].probabilities.dtype == np.float32


def test_several_models_are_the_mean_in_any_order(runs: Path, files: dict[str, Path]) -> None:
    names = [str(runs / f"fold_{seed}/best") for seed in range(3)]
    each = [predicted(name, files) for name in names]
    together, turned = predicted(",".join(names), files), predicted(", ".join(names[::-1]), files)
    for name in files:
        mean = sum(item[name].probabilities.astype(np.float64) for item in each) / 3
        np.testing.assert_allclose(together[name].probabilities, mean, atol=1e-7)
        task = together[name].task
        assert together[name].labels == [task.label_enumerate_values[index] for index in mean.argmax(axis=1)]
        assert together[name].ids == each[0][name].ids
        assert_same(together[name], turned[name])
        assert len({tuple(item[name].labels) for item in each}) > 1


def test_the_mean_does_not_depend_on_the_order_to_the_last_bit() -> None:
    random = np.random.default_rng(0)
    parts = [random.dirichlet(np.full(7, 0.05), 50).astype(np.float32) for _ in range(9)]
    mean = mean_probabilities(parts)
    assert mean.dtype == np.float64 and mean.shape == (50, 7)
    np.testing.assert_allclose(mean, np.mean(parts, axis=0), atol=1e-6)
    for _ in range(5):
        np.testing.assert_array_equal(mean_probabilities([parts[place] for place in random.permutation(9)]), mean)


def test_labels_are_those_of_the_mean_and_not_of_the_majority() -> None:
    values = np.array([[[0.5, 0.4, 0.1]], [[0.5, 0.4, 0.1]], [[0.0, 0.9, 0.1]]], np.float32)
    result = average(OCNLI, [HeadOutput(value.argmax(axis=1), value) for value in values])
    assert result.predictions.tolist() == [1]


def test_one_model_at_a_time_is_in_memory(
    runs: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alive: list[weakref.ref[Any]] = []

    class Watched(Predictor):
        """Notes what of its forerunners is still there."""

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            assert [item() for item in alive] == [None] * len(alive)
            alive.append(weakref.ref(self.model))

    monkeypatch.setattr(ensemble, "Predictor", Watched)
    with caplog.at_level("INFO"):
        predicted(str(runs / "fold_*"), files)
    assert len(alive) == 3
    assert [line for line in caplog.messages if line.startswith("model ")] == [
        f"model {number + 1} of 3: {runs / f'fold_{number}' / 'best'}" for number in range(3)
    ]
    gc.collect()
    assert alive[-1]() is None


def test_paths_and_patterns(runs: Path, tmp_path: Path) -> None:
    best = [runs / f"fold_{seed}/best" for seed in range(3)]
    for text in (f"{runs}/fold_*", f"{runs}/fold_*/best", f"{runs}/fold_[01], {runs}/fold_2/best"):
        assert [Path(member.name) for member in find_models(text)] == best
    for text, message in (
        (f"{runs}/fold_9*", "fits no folder and no checkpoint"),
        (f"{runs}/fold_9", "is no folder and no checkpoint"),
        (f"{runs}/fold_0,", "empty entry"),
        (f"{runs}/fold_0,{runs}/fold_*/best", "more than once: .*fold_0/best"),
        (str(tmp_path), "is not an exported model .*nor a run with one in best/"),
        (f"{runs}/fold_0/best/vocab.txt", "is no folder and no checkpoint"),
    ):
        with pytest.raises(UserError, match=message):
            find_models(text)


def test_checkpoints_of_a_run(runs: Path, files: dict[str, Path], tmp_path: Path) -> None:
    prefix = str(runs / "fold_1/model.ckpt-3")
    for text in (prefix, f"{runs}/fold_1/model.ckpt-*", f"{runs}/fold_[1]/model.ckpt-3"):
        assert [(member.name, member.run.path) for member in find_models(text)] == [(prefix, runs / "fold_1")]
    best = predicted(str(runs / "fold_1"), files)
    for name, prediction in predicted(prefix, files).items():
        assert_same(prediction, best[name])
    run = Path(shutil.copytree(runs / "fold_1", tmp_path / "run"))
    (run / "interrupted").mkdir()
    for path in run.glob("model.ckpt-3.*"):
        path.rename(run / "interrupted" / path.name)
    assert stored_model_at(str(run / "interrupted/model.ckpt-3")).folder.path == run


def test_patterns_pass_over_the_start_of_a_run(runs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = Path(shutil.copytree(runs / "fold_1", tmp_path / "run"))
    for path in list(run.glob("model.ckpt-3.*")):
        shutil.copyfile(path, path.with_name(path.name.replace("-3.", "-0.")))
    with caplog.at_level("INFO"):
        assert [Path(member.name).name for member in find_models(f"{run}/model.ckpt-*")] == ["model.ckpt-3"]
    assert f"{run}/model.ckpt-0 is left out of {run}/model.ckpt-*: it is a run's start." in caplog.text
    assert find_models(f"{run}/model.ckpt-0")[0].name.endswith("model.ckpt-0")
    with pytest.raises(UserError, match="fits no folder and no checkpoint of a training that has begun"):
        find_models(f"{run}/model.ckpt-[0]")


def test_models_that_mean_something_else_are_refused(runs: Path, tmp_path: Path) -> None:
    best = Path(shutil.copytree(runs / "fold_1/best", tmp_path / "best"))
    allow_changes(best, "tasks.json")
    written = read_json(best / "tasks.json")
    first = f"{runs / 'fold_0'},{best}"
    assert check_alike(find_models(first)) == CONTEST_TASKS

    def refused(message: str, **changes: Any) -> None:
        value = {**json.loads(json.dumps(written)), **changes}
        write_json(best / "tasks.json", value)
        with pytest.raises(UserError, match=message):
            Ensemble(find_models(first))

    tasks = json.loads(json.dumps(written["tasks"]))
    tasks[2]["label_enumerate_values"].reverse()
    refused("differ in OCNLI: labels 2,1,0 and 0,1,2", tasks=tasks)
    refused("has the tasks TNEWS, OCEMOTION, .*has TNEWS, OCEMOTION, OCNLI; models of other", tasks=written["tasks"][:2])
    tasks = json.loads(json.dumps(written["tasks"]))
    tasks[0] |= {"columns": ["idx", "text", "label"], "first_sequence": "text"}
    refused("differ in TNEWS: texts text,None of idx,text,label and sentence1", tasks=tasks)
    inputs = {**written["inputs"], "TNEWS": {"sequence_length": 16, "text_normalization": "nfkc"}}
    refused("differ in TNEWS: text_normalization nfkc and none", inputs=inputs)
    refused("trained with the class Other", model_class="Other")
    longer = {name: {"sequence_length": 9, "text_normalization": "none"} for name in written["inputs"]}
    write_json(best / "tasks.json", {**written, "inputs": longer, "tasks": written["tasks"][::-1]})
    assert check_alike(find_models(first)) == CONTEST_TASKS
    with pytest.raises(UserError, match="does not fit Other"):
        Ensemble(find_models(first), model_class=ModelClass(Other))


def test_bad_rows_are_found_before_a_model_is_loaded(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, Path]
) -> None:
    def never(*arguments: Any) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(ensemble, "Predictor", never)
    (tmp_path / "TNEWS.csv").write_text("0\ta\t115\n", encoding="utf-8")
    with pytest.raises(UserError, match="TNEWS.csv: 1 bad rows"):
        predicted(str(runs / "fold_*"), {**files, "TNEWS": tmp_path / "TNEWS.csv"})


@pytest.mark.parametrize("settings", [PredictSettings, SubmitSettings])
def test_one_of_the_two_settings_is_needed(settings: type, runs: Path) -> None:
    best = str(runs / "fold_0/best")
    for given in ({}, {"predict_checkpoint_path": best, "checkpoints": best}):
        with pytest.raises(UserError, match="--predict_checkpoint_path .one model. or --checkpoints"):
            settings(predict_output_fp="out", **given)
    for given in ({"predict_checkpoint_path": best}, {"checkpoints": f"{best},{runs}/fold_1"}):
        assert ensemble_of(settings(predict_output_fp="out", **given)).tasks == CONTEST_TASKS


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "--model_dir .a run. or --checkpoints .*neither was given"),
        ({"model_dir": "m", "checkpoints": "a,b"}, "not both"),
        ({"checkpoints": "a,b"}, "--output_dir belong together"),
        ({"model_dir": "m", "output_dir": "o"}, "--output_dir belong together"),
        (
            {"checkpoints": "a", "output_dir": "o", "num_eval_steps": 3, "legacy_score": True},
            "num_eval_steps, --legacy_score",
        ),
    ],
)
def test_what_evaluate_takes_together(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        EvaluateSettings(**given)
