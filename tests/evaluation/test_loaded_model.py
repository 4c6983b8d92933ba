"""``load`` and what it returns: one text or many, one task or all, one model or an average, and misuse by name."""

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl import LoadedModel, Result, load
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.ensemble import mean_probabilities
from easytransfer_mtl.evaluation.inference import Inference
from easytransfer_mtl.evaluation.prediction import Predictor
from easytransfer_mtl.tasks import CONTEST_TASKS

TEXT, PAIR = "天地人日月", ("天地人", "日月")
TEXTS = ["天地人日月", "山水", "", "天" * 40]
PAIRS = [("天地人", "日月"), ("山", "水火木")]


@pytest.fixture(scope="module")
def model(runs: Path) -> LoadedModel:
    return load(runs / "fold_0")


@pytest.fixture(scope="module")
def predictor(runs: Path) -> Predictor:
    return Predictor(str(runs / "fold_0"))


def values(results: Any) -> np.ndarray:
    return np.stack([result.values for result in results])


def test_one_text_gives_one_result(model: LoadedModel, predictor: Predictor) -> None:
    found, wanted = model.predict("TNEWS", TEXT), predictor.predict("TNEWS", ["0"], [TEXT])
    assert isinstance(found, Result) and found.id is None and found.label == wanted.labels[0]
    labels = found.task.label_enumerate_values
    assert tuple(found.probabilities) == labels and len(labels) == 15
    assert max(found.probabilities, key=found.probabilities.__getitem__) == found.label
    np.testing.assert_allclose(list(found.probabilities.values()), wanted.probabilities[0], rtol=1e-5)


def test_one_pair_gives_one_result_and_its_id(model: LoadedModel, predictor: Predictor) -> None:
    found = model.predict("ocnli", PAIR, ids="x9")
    wanted = predictor.predict("OCNLI", ["x9"], [PAIR])
    assert isinstance(found, Result) and (found.id, found.label) == ("x9", wanted.labels[0])
    written = json.loads(json.dumps(found.to_json()))
    assert list(written) == ["id", "label", "label_name", "probabilities"] and written["label"] == found.label
    assert written["probabilities"] == found.probabilities and repr(found).startswith("Result(task='OCNLI', label=")


def test_names_of_labels() -> None:
    assert Result(CONTEST_TASKS[0], np.eye(15, dtype=np.float32)[2]).label_name == "教育"
    unnamed = replace(CONTEST_TASKS[0], label_names={})
    assert Result(unnamed, np.eye(15, dtype=np.float32)[2]).label_name == "108"


@pytest.mark.parametrize(
    "give",
    [list, iter, lambda rows: (row for row in rows), lambda rows: np.array(rows, object)],
    ids=["list", "iterator", "generator", "array"],
)
def test_many_rows_give_a_list_in_their_order(
    model: LoadedModel, predictor: Predictor, give: Callable[[list[Any]], Any]
) -> None:
    found = model.predict("TNEWS", give(TEXTS))
    wanted = predictor.predict("TNEWS", list("abcd"), TEXTS)
    assert isinstance(found, list) and [result.label for result in found] == wanted.labels
    np.testing.assert_allclose(values(found), wanted.probabilities, rtol=1e-5)
    pairs = model.predict("OCNLI", give(PAIRS), ids=["7", "8"])
    assert isinstance(pairs, list) and [result.id for result in pairs] == ["7", "8"]
    np.testing.assert_allclose(values(pairs), predictor.predict("OCNLI", ["7", "8"], PAIRS).probabilities, rtol=1e-5)


def test_no_rows_give_no_results(model: LoadedModel) -> None:
    assert model.predict("TNEWS", []) == [] and list(model.stream("OCNLI", [])) == []


def test_all_tasks_that_read_as_many_texts(model: LoadedModel) -> None:
    one, many, pairs = model.predict_all(TEXT), model.predict_all(iter(TEXTS)), model.predict_all(PAIRS)
    assert list(one) == list(many) == ["TNEWS", "OCEMOTION"] and list(pairs) == ["OCNLI"]
    assert isinstance(one["TNEWS"], Result)
    np.testing.assert_allclose(one["TNEWS"].values, values(many["TNEWS"])[0], rtol=1e-5)
    np.testing.assert_allclose(values(many["OCEMOTION"]), values(model.predict("OCEMOTION", TEXTS)), rtol=1e-5)
    with pytest.raises(UserError, match="texts is .*of type dict"):
        model.predict_all({"天": 1})
    with pytest.raises(UserError, match="No task reads 3 texts a row; .* TNEWS .1., OCEMOTION .1., OCNLI .2."):
        model.predict_all(("天", "地", "人"))


def test_long_lists_run_in_parts_and_streams_are_read_as_they_are_asked_for(runs: Path, model: LoadedModel) -> None:
    small = load(runs / "fold_0", batch_size=1)  # parts of 16 rows
    rows = [chr(ord("一") + number) * (1 + number % 5) for number in range(40)]
    wanted = values(model.predict("TNEWS", rows))
    np.testing.assert_allclose(values(small.predict("TNEWS", rows, ids=map(str, range(40)))), wanted, rtol=1e-5)
    read = []

    def given() -> Iterator[str]:
        for row in rows:
            read.append(row)
            yield row

    stream = small.stream("TNEWS", given(), ids=map(str, range(40)))
    first = next(stream)
    assert len(read) == 16 and first.id == "0"
    np.testing.assert_allclose(values([first, *stream]), wanted, rtol=1e-5)


def test_a_wrong_row_of_a_stream_is_named_by_its_place_in_all_of_it(runs: Path) -> None:
    small = load(runs / "fold_0", batch_size=1)
    stream = small.stream("TNEWS", ["天"] * 20 + [None])
    assert [next(stream).label for _ in range(16)]
    with pytest.raises(UserError, match=r"TNEWS: row 20 of the texts \(from 0\) is None"):
        next(stream)


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        (["1"], r"fewer ids than texts \(2 or more\)"),
        (list("123"), r"more ids than texts \(2\)"),
    ],
)
def test_a_stream_needs_an_id_for_each_row(model: LoadedModel, ids: list[str], found: str) -> None:
    with pytest.raises(UserError, match=f"TNEWS: there are {found}"):
        list(model.stream("TNEWS", ["天", "地"], ids))


@pytest.mark.parametrize(
    ("task", "texts", "ids", "found"),
    [
        ("TNEWS", PAIR, None, "row 0 .* is 2 texts: .*; the task wants one text, a string"),
        ("OCNLI", TEXT, None, "row 0 .* is the one text '天地人日月'; the task wants a pair of texts"),
        ("OCNLI", ["天", "地"], None, "row 0 .* is the one text '天'"),
        ("TNEWS", None, None, "texts is None"),
        ("TNEWS", {"a": 1}, None, "texts is .*of type dict"),
        ("TNEWS", ["天", None], None, "row 1 .* is None"),
        ("TNEWS", ["天"], ["1", "2"], "2 ids and 1 texts"),
        ("TNEWS", "天", 7, r"id 7 \(of type int\)"),
        ("TNEWS", ["天", "地"], ["1", "1"], "id '1' is that of rows 0 and 1"),
        ("NEWS", "天", None, "No task is called 'NEWS'; the tasks are TNEWS, OCEMOTION, OCNLI"),
    ],
)
def test_misuse_is_named(model: LoadedModel, task: str, texts: Any, ids: Any, found: str) -> None:
    with pytest.raises(UserError, match=found):
        model.predict(task, texts, ids)


def test_a_stream_takes_many_rows(model: LoadedModel) -> None:
    with pytest.raises(UserError, match="stream takes many rows, predict takes one"):
        list(model.stream("TNEWS", TEXT))


def test_several_models_are_averaged(runs: Path) -> None:
    paths = [runs / "fold_0", runs / "fold_1"]
    parts = [Predictor(str(path)).predict("TNEWS", list("abcd"), TEXTS).probabilities for path in paths]
    both = load(paths)
    assert len(both.models) == 2
    np.testing.assert_allclose(values(both.predict("TNEWS", TEXTS)), mean_probabilities(parts), rtol=1e-5)
    joined = load(",".join(map(str, paths)), weights=[3, 1])
    np.testing.assert_allclose(values(joined.predict("TNEWS", TEXTS)), 0.75 * parts[0] + 0.25 * parts[1], rtol=1e-5)


def test_a_path_with_signs_of_lists_and_patterns(runs: Path, tmp_path: Path, model: LoadedModel) -> None:
    strange = tmp_path / "a,b [1]*"
    shutil.copytree(runs / "fold_0", strange)
    for path in (strange, str(strange), [strange]):
        np.testing.assert_array_equal(load(path).predict("TNEWS", TEXT).values, model.predict("TNEWS", TEXT).values)


def test_threads_take_turns(model: LoadedModel) -> None:
    rows = [letter * count for letter in "天地人" for count in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: model.predict("TNEWS", row), rows * 3))
    wanted = [model.predict("TNEWS", row).values for row in rows]
    np.testing.assert_allclose(values(found), np.stack(wanted * 3), rtol=1e-5)


def test_the_keras_model_is_at_hand(model: LoadedModel) -> None:
    inputs = {"input_ids": [[2, 7, 3]], "input_mask": [[1, 1, 1]], "segment_ids": [[0, 0, 0]]}
    assert model.models[0].build_logits(inputs)["ocnli_logits"].shape == (1, 3)


@pytest.mark.parametrize("path", [None, 3, b"run", [], [3]])
def test_what_is_no_path_of_a_model(path: Any) -> None:
    with pytest.raises(UserError, match="^path is .*; give the path of a run, of its best/ or of a checkpoint"):
        load(path)


def test_wrong_weights_and_batches_are_refused_before_a_model_is_loaded(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("easytransfer_mtl.evaluation.stored_models.StoredModel.load", never)
    with pytest.raises(UserError, match="^weights has 1 weights for 2 models"):
        load([runs / "fold_0", runs / "fold_1"], weights=[1])
    with pytest.raises(UserError, match="^batch_size: .* at least 1"):
        load(runs / "fold_0", batch_size=0)


def test_nothing_is_compiled_for_a_new_length(model: LoadedModel) -> None:
    def compiled(inference: Inference) -> int:
        library = inference._step.get_concrete_function().graph.as_graph_def().library
        return sum(function.attr["_XlaMustCompile"].b for function in library.function)

    inference = model._predictors[0]._inference
    assert compiled(inference) == 0 < compiled(Inference(model.models[0], 64))
    model.predict("TNEWS", "天" * 11)
    assert inference._step.experimental_get_tracing_count() == 1
