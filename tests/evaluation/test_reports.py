"""Tables, CSV and JSON say what the scores say."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import classification_report

from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation import reports
from easytransfer_mtl.evaluation.metrics import TaskScore, score_task
from easytransfer_mtl.evaluation.weights import Weights
from easytransfer_mtl.tasks import OCEMOTION, OCNLI, TNEWS, Task

RUN = Path("run")
EVAL = Path(__file__).parents[1] / "golden" / "eval"


def perfect(task: Task) -> TaskScore:
    return score_task(task, np.arange(task.num_labels), np.arange(task.num_labels))


def half() -> TaskScore:
    return score_task(OCNLI, np.array([0, 0, 1, 1]), np.array([0, 0, 0, 0]))


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_class_report_text() -> None:
    assert reports.class_report_text(half()) == (
        "OCNLI: macro-F1 0.3333 over 2 of 3 labels, accuracy 0.5000, 4 rows\n"
        "label         precision  recall      F1  support\n"
        "0 (蕴含)         0.5000  1.0000  0.6667        2\n"
        "1 (中立)         0.0000  0.0000  0.0000        2\n"
        "2 (矛盾)              -       -       -        0\n"
        "macro avg        0.2500  0.5000  0.3333        4\n"
        "weighted avg     0.2500  0.5000  0.3333        4\n"
    )


def test_golden_averages_are_those_printed() -> None:
    run = json.loads((EVAL / "normal.json").read_text(encoding="utf-8"))
    tasks = {task.name: task for task in (TNEWS, OCEMOTION, OCNLI)}
    for report in run["reports"]:
        score = score_task(tasks[report["called_as"]], np.array(report["gts"]), np.array(report["preds"]))
        ours = [line.split() for line in reports.class_report_text(score).splitlines()[-2:]]
        assert ours == [line.split() for line in report["report"].splitlines()[-2:]]


def test_class_report_csv() -> None:
    rows = rows_of(reports.class_report_csv([half(), perfect(OCEMOTION)]))
    assert [row["task"] for row in rows] == ["OCNLI"] * 5 + ["OCEMOTION"] * 9
    assert rows[0] | {"f1": ""} == {
        "task": "OCNLI",
        "kind": "class",
        "label": "0",
        "precision": "0.5",
        "recall": "1.0",
        "f1": "",
        "support": "2",
        "name": "蕴含",
    }
    assert float(rows[0]["f1"]) == pytest.approx(2 / 3)
    assert [(row["kind"], row["label"]) for row in rows[3:5]] == [("average", "macro avg"), ("average", "weighted avg")]
    assert rows[5]["label"] == "like"


def test_averages_are_sklearns() -> None:
    random = np.random.default_rng(1)
    truth, predicted = random.integers(0, 7, 200), random.integers(0, 6, 200)
    expected = classification_report(truth, predicted, output_dict=True, zero_division=0)
    for average in reports.score_json(score_task(OCEMOTION, truth, predicted))["averages"]:
        line = expected[average["average"]]
        assert [average[key] for key in ("precision", "recall", "f1")] == pytest.approx(
            [line["precision"], line["recall"], line["f1-score"]]
        )


def test_confusion_matrix() -> None:
    score = half()
    assert reports.confusion_text(score) == (
        "OCNLI: rows are the truth, columns the prediction\n"
        "          0  1  2\n0 (蕴含)  2  0  0\n1 (中立)  2  0  0\n2 (矛盾)  0  0  0\n"
    )
    assert reports.confusion_csv(score) == ",0,1,2,name\n0,2,0,0,蕴含\n1,2,0,0,中立\n2,0,0,0,矛盾\n"


def test_wide_characters_stay_aligned() -> None:
    task = Task(name="x", columns=("idx", "t", "label"), first_sequence="t", label_enumerate_values=("好", "bad"))
    lines = reports.confusion_text(perfect(task)).splitlines()
    assert lines[1:] == ["     好  bad", "好    1    0", "bad   0    1"]


def test_json_round_trip() -> None:
    value = json.loads(json.dumps(reports.score_json(half())))
    assert value["macro_f1"] == pytest.approx(1 / 3)
    assert value["confusion_rows_are_truth"] == [[2, 0, 0], [2, 0, 0], [0, 0, 0]]
    assert [item["counted"] for item in value["classes"]] == [True, True, False]


def test_summary_marks_the_later_of_equal_checkpoints() -> None:
    low, high = [half(), perfect(TNEWS)], [perfect(OCNLI), perfect(TNEWS)]
    checkpoints = {Weights.of_step(RUN, 90): high, Weights.of_step(RUN, 0): low, Weights.of_step(RUN, 136): high}
    assert reports.summary_text(checkpoints) == (
        "step   OCNLI   TNEWS    mean\n"
        "0     0.3333  1.0000  0.6667\n"
        "90    1.0000  1.0000  1.0000\n"
        "136   1.0000  1.0000  1.0000  best\n"
    )
    rows = rows_of(reports.summary_csv(checkpoints))
    assert [(row["step"], row["weights"], row["best"]) for row in rows] == [
        ("0", "raw", "0"), ("90", "raw", "0"), ("136", "raw", "1")
    ]  # fmt: skip
    value = reports.summary_json(checkpoints)
    assert (value["best_step"], value["best_weights"], value["best_mean"]) == (136, "raw", 1.0)
    assert value["checkpoints"][0]["scores"] == {"OCNLI": pytest.approx(1 / 3), "TNEWS": 1.0}


def test_averages_stand_behind_their_checkpoint_and_say_what_they_are() -> None:
    low, high = [half()], [perfect(OCNLI)]
    candidates = {
        Weights((RUN / "model.ckpt-4", RUN / "model.ckpt-9")): low,
        Weights.of_step(RUN, 9): low,
        Weights.of_step(RUN, 9, is_ema=True): high,
        Weights.of_step(RUN, 4): high,
    }
    assert reports.summary_text(candidates) == (
        "step                   OCNLI    mean\n"
        "4                     1.0000  1.0000\n"
        "9                     0.3333  0.3333\n"
        "9 ema                 1.0000  1.0000  best\n"
        "swa of 2 checkpoints  0.3333  0.3333\n"
    )
    value = reports.summary_json(candidates)
    assert (value["best_step"], value["best_weights"]) == (9, "ema")
    assert [(row["step"], row["weights"]) for row in value["checkpoints"]] == [
        (4, "raw"), (9, "raw"), (9, "ema"), (9, "swa")
    ]  # fmt: skip


def test_summary_needs_a_checkpoint() -> None:
    with pytest.raises(UserError, match="no checkpoint"):
        reports.summary_text({})


def test_final_table_stands_in_the_boards_order() -> None:
    other = Task(
        name="other", columns=("idx", "t", "label"), first_sequence="t", label_enumerate_values=("a", "b"), metric="accuracy"
    )
    contest = [perfect(TNEWS), perfect(OCEMOTION), half()]
    assert reports.final_table(contest) == (
        "task       rows    metric   score  chance\n"
        "OCNLI         4  macro-F1  0.3333  0.2667\n"
        "OCEMOTION     7  macro-F1  1.0000  0.1429\n"
        "TNEWS        15  macro-F1  1.0000  0.0667\n"
        "mean             macro-F1  0.7778  0.1587\n"
    )
    lines = reports.final_table([perfect(other), *contest]).splitlines()
    assert lines[4].split() == ["other", "2", "accuracy", "1.0000", "0.5000"]
    assert "macro-F1" not in lines[5]


def test_written_files(tmp_path: Path) -> None:
    scores = [half(), perfect(TNEWS)]
    reports.write_reports(tmp_path / "report", scores)
    reports.write_summary(tmp_path / "report", {Weights.of_step(RUN, 7): scores})
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {
        "classes.txt",
        "classes.csv",
        "classes.json",
        "confusion_ocnli.txt",
        "confusion_ocnli.csv",
        "confusion_tnews.txt",
        "confusion_tnews.csv",
        "summary.txt",
        "summary.csv",
        "summary.json",
    }
    assert json.loads((tmp_path / "report" / "summary.json").read_text(encoding="utf-8"))["best_step"] == 7
