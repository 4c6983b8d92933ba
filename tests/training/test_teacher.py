"""A teacher's probabilities: those of its models' average, from ids or texts, computed once, and part of what a run is."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored import encoder_of_other_ids, store_model

from easytransfer_mtl.commands import convert
from easytransfer_mtl.config.convert_settings import ConvertSettings
from easytransfer_mtl.data.table_reader import read_table
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.ensemble import mean_probabilities
from easytransfer_mtl.evaluation.prediction import Predictor
from easytransfer_mtl.evaluation.stored_models import find_models
from easytransfer_mtl.files import read_json
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.preparation import prepare
from easytransfer_mtl.training.teacher import Teacher
from easytransfer_mtl.training.teacher_files import HEADER_BYTES, TeacherFile
from easytransfer_mtl.training.trainer import run_training

Settings = Callable[..., Any]


@pytest.fixture(scope="module")
def teachers(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the stored models a and b of the tiny encoder, and c of one whose tokens have other ids and one fewer."""
    folder = tmp_path_factory.mktemp("teachers")
    other = encoder_of_other_ids(folder / "other", tiny_encoder)
    store_model(folder / "a", tiny_encoder, 1)
    store_model(folder / "b", tiny_encoder, 2)
    store_model(folder / "c", other, 3, length=9)
    return folder


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    """A copy of the tiny data, since files are written beside it."""
    return Path(shutil.copytree(tiny_data, tmp_path / "data"))


@pytest.fixture
def student(data: Path, tiny_settings: Settings) -> Settings:
    """Builds settings of a student on that data."""

    def build(**changes: Any) -> Any:
        return tiny_settings(**{"train_input_fp": str(data / "train.list_tfrecord"), "length_buckets": 1, **changes})

    return build


def taught(settings: Any) -> dict[str, np.ndarray]:
    found = {item.task.name: item.rows.teacher for item in prepare(settings).train}
    assert all(value is not None for value in found.values())
    return {name: value for name, value in found.items() if value is not None}


def predicted(folder: Path, names: str, data: Path, weights: list[float] | None = None) -> dict[str, np.ndarray]:
    """Returns what Predictor gives for the texts of the tiny data's train files."""
    result = {}
    models = [Predictor(str(folder / name)) for name in names]
    for task in CONTEST_TASKS:
        rows = read_table(data / f"{task.name}_train.csv", task, labelled=True).rows
        each = [model.predict(task.name, map(str, range(len(rows))), [row.texts for row in rows]) for model in models]
        result[task.name] = mean_probabilities([item.probabilities for item in each], weights).astype(np.float32)
    return result


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """Whole files run compiled and predictions do not, which rounds sums differently: two steps of float32."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=2.5e-7)


def test_probabilities_are_the_averages_from_ids_or_from_texts(student: Settings, teachers: Path, data: Path) -> None:
    pair = f"{teachers}/a,{teachers}/b"
    assert_same(taught(student(teacher=pair)), predicted(teachers, "ab", data))
    with pytest.raises(UserError, match="/c.* has another vocabulary than the student.*Give --teacher_data_dir"):
        prepare(student(teacher=f"{pair},{teachers}/c"))
    texts = student(teacher=f"{teachers}/a,{teachers}/c", teacher_data_dir=str(data), teacher_weights="1,3")
    assert_same(taught(texts), predicted(teachers, "ac", data, [1.0, 3.0]))


def test_they_are_computed_once(
    student: Settings, teachers: Path, data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = student(teacher=f"{teachers}/a")
    first = taught(settings)
    files = sorted(data.glob("*.teacher.safetensors"))
    assert [path.name for path in files] == sorted(
        f"{task.name}_train.tfrecord.teacher.safetensors" for task in CONTEST_TASKS
    )

    def never(*arguments: Any) -> None:
        raise AssertionError("computed again")

    with monkeypatch.context() as patch:
        patch.setattr(Teacher, "_computed", never)
        np.testing.assert_equal(taught(settings), first)
        np.testing.assert_equal(taught(replace(settings, teacher=f"{teachers}/a/best")), first)
        for changes in ({"teacher": f"{teachers}/b"}, {"teacher_data_dir": str(data)}, {"predict_precision": "bfloat16"}):
            with pytest.raises(AssertionError, match="computed again"):
                taught(replace(settings, **changes))
    with caplog.at_level("INFO"):
        content = files[0].read_bytes()
        for damaged, why in (
            (content[:-1], "is damaged"),
            (content + bytes(HEADER_BYTES), "is too large"),
            (content.replace(b'rows\\": 12', b'rows\\": 13'), "is of another teacher or of other rows"),
        ):
            files[0].write_bytes(damaged)
            caplog.clear()
            np.testing.assert_equal(taught(settings), first)
            [line] = [line for line in caplog.messages if "are computed: " in line]
            assert str(files[0]) in line and why in line
            assert files[0].read_bytes() == content


def test_a_file_of_no_probabilities_is_not_used(tmp_path: Path) -> None:
    file = TeacherFile(tmp_path / "x", {"a": 1}, (2, 3))
    assert file.read() == (None, "there is no such file yet")
    good = np.full((2, 3), 1 / 3, np.float32)
    file.write(good)
    np.testing.assert_array_equal(file.read()[0], good)
    for bad in (good[:1], good.astype(np.float64), -good, good * np.nan):
        file.write(bad)
        assert file.read()[0] is None
    file.write(-good)
    numbers, _ = replace(file, of_numbers=True).read()
    np.testing.assert_array_equal(numbers, -good)


def converted(source: Path, encoder: Path, output: Path, **more: Any) -> Path:
    settings = ConvertSettings(
        data_dir=str(source), output_dir=str(output), tokenizer_name_or_path=str(encoder), sequence_length=16, **more
    )
    assert convert.run(settings) == 0
    return output / "train.list_tfrecord"


def test_texts_are_found_where_rows_were_set_aside_or_split_off(
    tiny_settings: Settings, teachers: Path, data: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    source = tmp_path / "contest"
    source.mkdir()
    for task in CONTEST_TASKS:
        lines = (data / f"{task.name}_train.csv").read_text(encoding="utf-8").splitlines(keepends=True)
        lines[0:0] = ["\t".join(task.columns) + "\n"]
        lines[5:5] = ["no row\n"]
        (source / f"{task.name}_train.csv").write_text("".join(lines), encoding="utf-8")
    records = converted(source, tiny_encoder, tmp_path / "out", header=True, on_bad_row="skip", max_bad_share=0.2)
    settings = {"train_input_fp": str(records), "teacher": f"{teachers}/c", "teacher_data_dir": str(source)}
    found, expected = taught(tiny_settings(**settings)), predicted(teachers, "c", data)
    for task in CONTEST_TASKS:  # the last rows have become dev rows
        assert 0 < len(found[task.name]) < 12
        np.testing.assert_allclose(found[task.name], expected[task.name][: len(found[task.name])], atol=1e-6)
    for path in (tmp_path / "out/split/TNEWS").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="TNEWS_train_train_part.csv .SHA-256 .* is not there; there is .*TNEWS_train.csv"):
        prepare(tiny_settings(**settings))


def test_a_run_goes_on_only_with_its_teacher(
    student: Settings, teachers: Path, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = student(teacher=f"{teachers}/a", save_steps=3)
    whole = weights_of(run_training(replace(settings, model_dir=str(tmp_path / "whole"))).model)
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    last = max(int(path.stem.rsplit("-")[-1]) for path in (tmp_path / "run").glob("model.ckpt-*.index"))
    for path in (tmp_path / "run").glob(f"model.ckpt-{last}.*"):
        path.unlink()
    for changes in ({"teacher": f"{teachers}/b"}, {"teacher": None}, {"teacher_data_dir": str(data)}):
        with pytest.raises(UserError, match="is a run on other data than this: TNEWS .*another teacher"):
            run_training(replace(settings, **changes))
    np.testing.assert_equal(weights_of(run_training(settings).model), whole)
    written = read_json(tmp_path / "run/train_config.json")
    assert written["settings"]["teacher"] == f"{teachers}/a"
    assert len({item["teacher_sha256"] for item in written["data"]["train"]}) == 3
    plain = student(model_dir=str(tmp_path / "plain"))
    run_training(plain)
    assert "teacher_sha256" not in read_json(tmp_path / "plain/train_config.json")["data"]["train"][0]
    with pytest.raises(UserError, match="one where there was none"):
        run_training(replace(plain, teacher=f"{teachers}/a", num_epochs=2))


def weights_of(model: MultiTaskModel) -> list[np.ndarray]:
    return [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]


def test_teachers_of_other_tasks_or_labels_are_refused(
    student: Settings, teachers: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    store_model(tmp_path / "two", tiny_encoder, 4, CONTEST_TASKS[:2])
    turned = replace(CONTEST_TASKS[2], label_enumerate_values=("2", "1", "0"))
    store_model(tmp_path / "turned", tiny_encoder, 4, (*CONTEST_TASKS[:2], turned))
    for teacher, message in (
        (f"{tmp_path}/two", "--teacher: .*two/best has the tasks TNEWS, OCEMOTION and no OCNLI; a teacher needs every task"),
        (f"{tmp_path}/turned", "--teacher: .*turned/best has the labels 2,1,0 in OCNLI, the student 0,1,2"),
        (f"{teachers}/a,{tmp_path}/turned", "differ in OCNLI: labels"),
        (f"{teachers}/a,", "--teacher has an empty entry"),
        (f"{teachers}/a,{teachers}/a", "--teacher names a model more than once"),
        (f"{teachers}/nothing", "is no folder and no checkpoint"),
    ):
        with pytest.raises(UserError, match=message):
            prepare(student(teacher=teacher))
    with pytest.raises(UserError, match="--teacher_weights has 1 weights for 2 models"):
        prepare(student(teacher=f"{teachers}/[ab]", teacher_weights="1"))
    with pytest.raises(UserError, match="best.* would be replaced, and with it .*teachers.*/a/best/"):
        prepare(
            student(teacher=f"{teachers}/a", model_dir=str(teachers / "a"), pretrain_model_name_or_path=str(tiny_encoder))
        )
    assert [member.run.path.name for member in find_models(f"{teachers}/[ab]", setting="--teacher")] == ["a", "b"]
