"""What ``Predictor`` takes for texts and ids: whatever means one row each, and nothing that means something else."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easytransfer_mtl.data.features import FeatureBuilder
from easytransfer_mtl.data.tokenization import Tokenizer, load_vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.ensemble import Ensemble
from easytransfer_mtl.evaluation.prediction import Prediction, Predictor
from easytransfer_mtl.evaluation.stored_models import find_models

SINGLE = ["天地人日月", "山水"]
PAIRS = [("天地人", "日月"), ("山", "水火木")]
IDS = ["7", "x9"]
WANTED = {"TNEWS": "one text, a string", "OCNLI": "a pair of texts, such as ('...', '...')"}


class Series:
    """What matters of a pandas Series here: values in order behind an index that does not start at 0."""

    def __init__(self, values: list[Any]) -> None:
        self._values = dict(enumerate(values, start=5))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values.values())

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, key: int) -> Any:
        return self._values[key]


class Table:
    """What matters of a pandas DataFrame here: iteration gives the columns' names."""

    columns = ("id", "text")

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)


@pytest.fixture(scope="module")
def predictor(runs: Path) -> Predictor:
    return Predictor(str(runs / "fold_0"))


@pytest.fixture(scope="module")
def of_files(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Prediction]:
    """The predictions of the same rows from files."""
    folder = tmp_path_factory.mktemp("files")
    rows = {"TNEWS": [(text,) for text in SINGLE], "OCNLI": PAIRS}
    for name, texts in rows.items():
        lines = ("\t".join((row_id, *row)) + "\n" for row_id, row in zip(IDS, texts, strict=True))
        (folder / f"{name}.csv").write_text("".join(lines), encoding="utf-8")
    return Ensemble(find_models(str(runs / "fold_0"))).predict_files({name: folder / f"{name}.csv" for name in rows})


def assert_same(one: Prediction, other: Prediction) -> None:
    assert (one.task, one.ids, one.labels) == (other.task, other.ids, other.labels)
    assert all(type(value) is str for value in one.ids)
    np.testing.assert_array_equal(one.probabilities, other.probabilities)


@pytest.mark.parametrize(
    "give",
    [
        lambda rows: rows,
        tuple,
        iter,
        lambda rows: (row for row in rows),
        lambda rows: np.array(rows),
        lambda rows: np.array(rows, object),
        Series,
        lambda rows: [(row,) if isinstance(row, str) else list(row) for row in rows],
        lambda rows: [np.array([row]) if isinstance(row, str) else np.array(row) for row in rows],
        lambda rows: [np.str_(row) if isinstance(row, str) else tuple(map(np.str_, row)) for row in rows],
    ],
    ids=["list", "tuple", "iterator", "generator", "array", "objects", "series", "wrapped", "arrays", "numpy strings"],
)
def test_every_way_to_give_rows_predicts_what_the_files_do(
    predictor: Predictor, of_files: dict[str, Prediction], give: Callable[[list[Any]], Any]
) -> None:
    assert_same(predictor.predict("TNEWS", IDS, give(SINGLE)), of_files["TNEWS"])
    assert_same(predictor.predict("ocnli", IDS, give(PAIRS)), of_files["OCNLI"])


@pytest.mark.parametrize("give", [tuple, iter, np.array, Series], ids=["tuple", "iterator", "array", "series"])
def test_every_way_to_give_ids(
    predictor: Predictor, of_files: dict[str, Prediction], give: Callable[[list[str]], Any]
) -> None:
    assert_same(predictor.predict("TNEWS", give(IDS), SINGLE), of_files["TNEWS"])


def test_no_rows_are_no_rows(predictor: Predictor) -> None:
    prediction = predictor.predict("OCNLI", [], [])
    assert (prediction.ids, prediction.labels, prediction.probabilities.shape) == ([], [], (0, 3))


@pytest.mark.parametrize(
    ("task", "texts", "found"),
    [
        ("TNEWS", ["天", None], r"row 1 of the texts \(from 0\) is None \(of type NoneType\)"),
        ("TNEWS", ["天", float("nan")], "row 1 .* is nan .of type float"),
        ("TNEWS", ["天", 5], "row 1 .* is 5 .of type int"),
        ("TNEWS", [b"abc", "天"], "row 0 .* is b'abc' .of type bytes"),
        ("TNEWS", [("天", "地"), "天"], "row 0 .* is 2 texts: .'天', '地'."),
        ("TNEWS", ["天", []], "row 1 .* is 0 texts"),
        ("TNEWS", ["天", ()], "row 1 .* is 0 texts"),
        ("TNEWS", ["天", ["地", None]], "row 1 .* has None .of type NoneType. for a text"),
        ("TNEWS", ["天", [["地"]]], r"row 1 .* has \['地'\] .of type list. for a text"),
        ("TNEWS", ["天", (b"x",)], "row 1 .* has b'x' .of type bytes. for a text"),
        ("TNEWS", ["天", {"text": "地"}], "row 1 .*of type dict"),
        ("TNEWS", ["天", {"地"}], "row 1 .*of type set"),
        ("TNEWS", ["天", np.array("地")], "row 1 .*of type ndarray"),
        ("TNEWS", np.array([[["天"]], [["地"]]]), "row 0 .*of type ndarray"),
        ("OCNLI", [("天", "地"), "天地"], "row 1 .* is the one text '天地'"),
        ("OCNLI", ["天地", "人日"], "row 0 .* is the one text '天地'; the task wants a pair of texts"),
        ("OCNLI", [("天", "地"), ("天",)], "row 1 .* is 1 texts"),
        ("OCNLI", [("天", "地"), ("天", "地", "人")], "row 1 .* is 3 texts"),
        ("OCNLI", [("天", "地"), ("天", None)], "row 1 .* has None"),
        ("OCNLI", [("天", "地"), (float("nan"), "天")], "row 1 .* has nan .of type float. for a text"),
        ("OCNLI", [("天", "地"), None], "row 1 .* is None"),
        ("OCNLI", [("天", "地"), {"天": 1, "地": 2}], "row 1 .*of type dict"),
        ("TNEWS", "天地", "texts is '天地' .of type str.; give a list of rows"),
        ("TNEWS", b"ab", "texts is b'ab'"),
        ("TNEWS", None, "texts is None"),
        ("TNEWS", 5, "texts is 5"),
        ("TNEWS", {"7": "天", "x9": "地"}, "texts is .* .of type dict"),
        ("TNEWS", {"天", "地"}, "texts is .* .of type set"),
        ("TNEWS", Table(), "texts is .* .of type Table"),
        ("OCNLI", Table(), "texts is .* .of type Table"),
    ],
)
def test_texts_that_do_not_fit_the_task(predictor: Predictor, task: str, texts: Any, found: str) -> None:
    with pytest.raises(UserError, match=found) as caught:
        predictor.predict(task, IDS, texts)
    assert task in str(caught.value)
    if found.startswith("row"):
        assert str(caught.value).endswith(f"the task wants {WANTED[task]}.")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "0 ids and 2 texts"),
        (["7"], "1 ids and 2 texts"),
        (["7", "8", "9"], "3 ids and 2 texts"),
        ([7, 8], r"id 7 \(of type int\) of row 0"),
        (["7", 8.0], r"id 8.0 \(of type float\) of row 1"),
        (["7", None], "id None .* of row 1"),
        (["7", b"8"], "id b'8' .* of row 1"),
        (np.array([7, 8]), "of row 0 .from 0. is not a string"),
        (range(2), r"id 0 \(of type int\) of row 0"),
        (["7", "7"], "id '7' is that of rows 0 and 1"),
        ("78", "ids is '78' .of type str"),
        (None, "ids is None"),
        ({"7": 1, "8": 2}, "ids is .*of type dict"),
        (Table(), "of type Table"),
    ],
)
def test_ids_that_do_not_fit_the_rows(predictor: Predictor, ids: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        predictor.predict("TNEWS", ids, SINGLE)


@pytest.mark.parametrize("checkpoint", [None, 3, b"run", ["run"]])
def test_what_is_no_path_of_a_model(checkpoint: Any) -> None:
    with pytest.raises(UserError, match="^checkpoint is .*; give the path of a run, of its best/ or of a checkpoint"):
        Predictor(checkpoint)


@pytest.mark.parametrize("size", [0, -1, 1 << 20, 2.5, True, "many", None, float("nan")])
def test_a_batch_of_no_rows_is_refused_before_a_model_is_looked_for(tmp_path: Path, size: Any) -> None:
    with pytest.raises(UserError, match="^batch_size: .* at least 1 and at most 65536"):
        Predictor(str(tmp_path / "none"), batch_size=size)


def test_a_path_object_and_a_number_of_numpys(runs: Path, of_files: dict[str, Prediction]) -> None:
    found = Predictor(runs / "fold_0", batch_size=np.int64(1)).predict("TNEWS", IDS, SINGLE)
    np.testing.assert_allclose(found.probabilities, of_files["TNEWS"].probabilities, rtol=1e-5)


@pytest.mark.parametrize("name", ["NEWS", "", None, 0, ["TNEWS"]])
def test_an_unknown_task(predictor: Predictor, name: Any) -> None:
    with pytest.raises(UserError, match="No task is called .*; the tasks are TNEWS, OCEMOTION, OCNLI"):
        predictor.predict(name, IDS, SINGLE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0\t天\n1\t地\n0\t人\n", "id '0' is that of rows 0 and 2"),
        ("", "TNEWS.csv is empty"),
        ("id\ttext\n0\t天\n", "line 1: id 'id' looks like a header's"),
        (
            "0,天\n" * 900,
            "lines 1-900 .900 rows., such as line 1: found 1 columns, expected 2 .*; are they separated by commas",
        ),
    ],
)
def test_files_that_cannot_be_predicted_are_refused_before_a_model_is_loaded(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str
) -> None:
    path = tmp_path / "TNEWS.csv"
    path.write_text(content, encoding="utf-8")
    ensemble = Ensemble(find_models(str(runs / "fold_0")))

    def never(*_: Any) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("easytransfer_mtl.evaluation.stored_models.StoredModel.load", never)
    with pytest.raises(UserError, match=message):
        ensemble.predict_files({"TNEWS": path})


def test_a_string_is_never_taken_for_its_characters(tiny_encoder: Path) -> None:
    builder = FeatureBuilder(Tokenizer(load_vocabulary(tiny_encoder / "vocab.txt")), 16)
    with pytest.raises(UserError, match="'天地人' is a string where a tuple of one or two texts is wanted"):
        builder.encode("天地人")  # type: ignore[arg-type]
