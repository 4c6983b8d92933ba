"""Tags from probabilities, entities from tags, and their scores by hand and by the libraries."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from seqeval.metrics import f1_score as entity_f1_score
from sklearn.metrics import accuracy_score, f1_score

from easytransfer_mtl.data.encoded_rows import from_units
from easytransfer_mtl.data.features import FeatureBuilder
from easytransfer_mtl.data.tag_units import padded_tags
from easytransfer_mtl.data.tokenization import Tokenizer, Vocabulary
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.ensemble import mean_probabilities
from easytransfer_mtl.evaluation.inference import HeadOutput, Inference
from easytransfer_mtl.evaluation.loaded_model import Result
from easytransfer_mtl.evaluation.metrics import LabelScore, score_task
from easytransfer_mtl.evaluation.row_table import RowTable, RowTexts, read_rows, task_rows, write_rows
from easytransfer_mtl.evaluation.tagging import entities_of, most_probable_tags, tags_of
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.tasks import Task

TAGS = ("O", "B-A", "I-A", "B-B", "I-B")
CHARACTERS = Task(
    "NER",
    ("text", "tags"),
    "text",
    TAGS,
    label_name="tags",
    type="tags",
    more_metrics=("macro_f1", "weighted_f1", "accuracy"),
)
WORDS = Task("NER", ("text", "tags"), "text", TAGS, label_name="tags", type="tags", unit="word")


def ids(*rows: str) -> np.ndarray:
    return padded_tags([CHARACTERS.target(row) for row in rows])  # type: ignore[misc]


@pytest.mark.parametrize(
    ("truth", "predicted", "f1"),
    [
        (["B-A I-A O"], ["B-A I-A O"], 1.0),
        (["B-A I-A O"], ["B-A O O"], 0.0),  # half an entity is none
        (["B-A I-A O B-B"], ["B-A I-A O O"], 2 / 3),  # precision 1, recall 1/2
        (["B-A I-A O"], ["B-B I-B O"], 0.0),  # another kind
        (["B-A I-A"], ["I-A I-A"], 1.0),  # an entity may begin with I, as in conlleval
        (["B-A B-A"], ["B-A I-A"], 0.0),
        (["B-A", "O B-B"], ["B-A", "B-A B-B"], 0.8),  # 2 of 3 found are right, 2 of 2 are found
        (["B-A I-A", "I-A O"], ["B-A I-A", "I-A O"], 1.0),  # an entity ends with its row
        (["O O"], ["O O"], 0.0),  # none to find
    ],
)  # fmt: skip
def test_entity_f1_by_hand(truth: list[str], predicted: list[str], f1: float) -> None:
    assert score_task(CHARACTERS, ids(*truth), ids(*predicted)).score == pytest.approx(f1, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_every_metric_of_tags_is_the_librarys(seed: int) -> None:
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 9, 40)
    truth = np.where(np.arange(8) < lengths[:, np.newaxis], random.integers(0, 5, (40, 8)), -1)
    predicted = np.where(random.random((40, 8)) < 0.3, random.integers(0, 5, (40, 8)), np.maximum(truth, 0))
    score = score_task(CHARACTERS, truth, predicted)
    names = [[[TAGS[tag] for tag in row[:end]] for row, end in zip(each, lengths)] for each in (truth, predicted)]
    flat: Any = [[tag for row in each for tag in row] for each in names]
    assert isinstance(score, LabelScore) and score.rows == 40 and score.support.sum() == lengths.sum()
    assert score.values == pytest.approx(
        {
            "entity_f1": entity_f1_score(*names),
            "macro_f1": f1_score(*flat, average="macro"),
            "weighted_f1": f1_score(*flat, average="weighted"),
            "accuracy": accuracy_score(*flat),
        },
        abs=1e-12,
    )


def test_what_is_behind_the_cut_counts_as_outside_and_what_has_no_tag_not_at_all() -> None:
    truth = ids("B-A I-A O O B-B")
    assert score_task(CHARACTERS, truth, ids("B-A I-A O")).values["accuracy"] == 0.8
    assert score_task(CHARACTERS, truth, ids("B-A I-A O O B-B O O")).score == 1.0


def test_scores_that_cannot_be() -> None:
    with pytest.raises(UserError, match="none of the 2 rows has a tag"):
        score_task(CHARACTERS, np.full((2, 3), -1), np.zeros((2, 3), int))
    with pytest.raises(UserError, match=r"both must be \[N, U\]"):
        score_task(CHARACTERS, np.zeros(3, int), np.zeros(3, int))
    with pytest.raises(UserError, match="predicted label id 7"):
        score_task(CHARACTERS, ids("O O"), np.array([[0, 7]]))


def probabilities(text: str) -> np.ndarray:
    """Returns values for tags; ``_`` has no token."""
    return np.array(
        [[[0.6 if tag == other else 0.1 for other in TAGS] if tag != "_" else [0.0] * 5 for tag in text.split()]]
    )


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ("B-A _ I-A O", "B-A I-A I-A O"),
        ("B-A _ _ I-A _ O", "B-A I-A I-A I-A O O"),
        ("B-A _ B-A _", "B-A O B-A O"),
        ("B-B _ I-A", "B-B O I-A"),
        ("_ I-A _ I-A", "O I-A I-A I-A"),
        ("_ _", "O O"),
    ],
)
def test_a_unit_without_a_token_goes_on_with_the_entity_around_it(found: str, wanted: str) -> None:
    np.testing.assert_array_equal(most_probable_tags(CHARACTERS, probabilities(found)), ids(wanted))


def test_entities_are_places_in_the_text() -> None:
    text = "on  New York\tand 东京 x"
    tags = tags_of(WORDS, text, [0, 1, 2, 0, 3])
    assert tags == ["O", "B-A", "I-A", "O", "B-B", "O"]  # the last word is behind the cut
    assert entities_of(WORDS, text, tags) == [
        {"label": "A", "start": 4, "end": 12, "text": "New York"},
        {"label": "B", "start": 17, "end": 19, "text": "东京"},
    ]
    assert tags_of(CHARACTERS, "ab", [1, 2, 0, 0]) == ["B-A", "I-A"] and tags_of(CHARACTERS, "", [0]) == []


def test_a_result_says_tags_and_entities() -> None:
    result = Result(WORDS, probabilities("B-A _ I-A")[0], "7", "东 , 京 x")
    assert result.tags == result.labels == ["B-A", "I-A", "I-A", "O"] and result.label == "B-A I-A I-A O"
    assert result.to_json() == {"id": "7", "tags": result.tags, "entities": result.entities}
    assert result.entities == [{"label": "A", "start": 0, "end": 5, "text": "东 , 京"}]
    assert result.number is None and result.probabilities == {} and "entities=" in repr(result)


@pytest.mark.parametrize("batch_size", [2, 8])
def test_units_get_what_is_said_of_their_first_tokens(golden_files: Any, batch_size: int) -> None:
    encoder = load_encoder(golden_files, DropoutClock(0)).encoder
    model = MultiTaskModel(encoder, (WORDS,))
    texts = ["ab  c", "", "\u200b ba b", "c", "a b c a b c"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "##a", "##b"]
    builder = FeatureBuilder(Tokenizer(Vocabulary(tokens)), 7)
    each = [builder.encode_units(text.split()) for text in texts]
    inference = Inference(model, batch_size, compiled=False)
    found = inference.outputs(from_units(each), ["NER"], "")["NER"]
    assert found.probabilities.shape == (5, 5, 5)
    for row, one in zip(found.probabilities, each, strict=True):
        ids = tf.constant([one.features.input_ids])
        inputs = {"input_ids": ids, "input_mask": tf.ones_like(ids), "segment_ids": tf.zeros_like(ids)}
        (of_tokens,) = model.predict_step(inputs)["ner_probabilities"].numpy()
        for start, values in zip(one.starts, row):
            wanted = of_tokens[start] if start >= 0 else np.zeros(5)
            np.testing.assert_allclose(values, wanted, rtol=1e-5, atol=1e-7)
        assert not row[len(one.starts) :].any()


def test_models_that_cut_at_different_places_are_averaged() -> None:
    long, short = probabilities("B-A I-A O"), probabilities("B-A O")
    mean = mean_probabilities([long, short], [3, 1])
    np.testing.assert_allclose(mean[0, 1], 0.75 * long[0, 1] + 0.25 * short[0, 1])
    assert HeadOutput.of(CHARACTERS, mean).predictions.tolist() == ids("B-A I-A O").tolist()


def test_rows_are_read_back(tmp_path: Any) -> None:
    truth = ids("B-A I-A", "O", "")
    output = HeadOutput.of(CHARACTERS, np.concatenate([probabilities("B-A O"), probabilities("O B-A"), np.zeros((1, 2, 5))]))
    about = RowTexts(["1", "2", "3"], [("东京",), ("东",), ("",)], True, "f", None)
    rows = task_rows(CHARACTERS, about, truth, *output)
    assert rows.predicted.tolist() == [[1, 0], [0, -1], [-1, -1]]
    np.testing.assert_allclose(rows.p_label, [(0.6 * 0.1) ** 0.5, 0.6, 1.0])
    np.testing.assert_allclose(rows.loss, [-np.log([0.6, 0.1]).mean(), -np.log(0.6), 0.0])
    write_rows(tmp_path, RowTable("x", "present", [rows]))
    (read,) = read_rows(tmp_path).tasks
    assert read.truth.tolist() == truth.tolist() and read.predicted.tolist() == rows.predicted.tolist()
    np.testing.assert_allclose(read.p_label, rows.p_label, rtol=1e-6)
