"""metrics.csv and TensorBoard: a row a step, none twice after a resume, events that TensorFlow can read."""

from pathlib import Path

import tensorflow as tf

from easytransfer_mtl.runs.metrics_log import COLUMNS, MetricsLog

TASKS = ["TNEWS", "OCNLI"]


def row(step: int, task: str = "TNEWS") -> dict:
    values = {"loss": step / 3, "weight": 1.0, "learning_rate": 1e-5, "grad_norm": 2.0, "examples_per_second": 10.5}
    return {"step": step, "task": task, **values}


def write(folder: Path, restored: int, *steps: int) -> None:
    log = MetricsLog(folder, restored, TASKS)
    for step in steps:
        log.add(row(step))
    log.close()


def steps_in(folder: Path) -> list[int]:
    lines = (folder / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == ",".join(COLUMNS) + ",cos_TNEWS,cos_OCNLI,examples_per_second"
    return [int(line.split(",")[0]) for line in lines[1:]]


def test_a_row_a_step_with_all_digits_of_float32(tmp_path: Path) -> None:
    write(tmp_path, 0, 1)
    assert (tmp_path / "metrics.csv").read_bytes().splitlines()[1] == b"1,TNEWS,0.333333333,1,1e-05,2,,,,10.5"


def test_rows_after_the_restored_step_are_dropped(tmp_path: Path) -> None:
    write(tmp_path, 0, 1, 2, 3, 4, 5)
    write(tmp_path, 3, 4, 5, 6)
    assert steps_in(tmp_path) == [1, 2, 3, 4, 5, 6]
    write(tmp_path, 0, 1)
    assert steps_in(tmp_path) == [1]


def test_a_row_cut_off_in_the_middle_is_dropped(tmp_path: Path) -> None:
    write(tmp_path, 0, 1, 2, 3)
    path = tmp_path / "metrics.csv"
    path.write_bytes(path.read_bytes()[:-12])
    write(tmp_path, 3, 4)
    assert steps_in(tmp_path) == [1, 2, 4]


def test_rows_of_an_older_version_are_kept(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,task,loss,weight\n1,TNEWS,2.5,1\n2,OCNLI,1.5,1\n3,TN", encoding="utf-8")
    write(tmp_path, 2, 3)
    lines = (tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert steps_in(tmp_path) == [1, 2, 3] and lines[2] == "2,OCNLI,1.5,1,,,,,,"


def test_rows_are_on_disk_after_a_flush(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0, TASKS)
    log.add(row(1))
    log.flush()
    assert steps_in(tmp_path) == [1]
    log.close()


def test_tensorboard_events_are_per_task(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0, TASKS)
    log.add(row(3, "TNEWS"))
    log.add(row(6, "OCNLI") | {"grad_share": 0.75, "cos_TNEWS": -0.5, "cos_OCNLI": 1.0})
    log.add_average(6, 0.25)
    log.close()
    (file,) = (tmp_path / "tensorboard").glob("events.out.tfevents.*")
    found = {}
    for record in tf.data.TFRecordDataset(str(file)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        found |= {(event.step, value.tag): value.simple_value for value in event.summary.value}
    assert found.keys() == {
        (3, "loss/TNEWS"), (3, "weight/TNEWS"), (3, "learning_rate"), (3, "grad_norm"),
        (6, "loss/OCNLI"), (6, "weight/OCNLI"), (6, "learning_rate"), (6, "grad_norm"), (6, "avg_loss"),
        (6, "grad_share/OCNLI"), (6, "cos_TNEWS/OCNLI"),
    }  # fmt: skip
    assert found[3, "loss/TNEWS"] == 1 and found[6, "loss/OCNLI"] == 2 and found[6, "avg_loss"] == 0.25
    assert found[6, "grad_share/OCNLI"] == 0.75 and found[6, "cos_TNEWS/OCNLI"] == -0.5
    assert (tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines()[2].endswith(",0.75,-0.5,1,10.5")
