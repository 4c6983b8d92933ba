"""predict: every format in, CSV and JSON lines out, from the standard input to the standard output, and memory."""

import csv
import io
import json
import tracemalloc
from pathlib import Path

import pytest
from stored import store_model

from easytransfer_mtl import load
from easytransfer_mtl.commands import predict
from easytransfer_mtl.config.predict_settings import PredictSettings
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation import ensemble

TEXTS = ["天地人", "日月", "山水火木金土"]


@pytest.fixture(scope="module")
def model(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict") / "run"
    store_model(folder, tiny_encoder, 3)
    return folder


def predicted(model: Path, source: str, output: Path | str, **more: object) -> int:
    settings = PredictSettings(
        predict_checkpoint_path=str(model), predict_input_fp=source, predict_output_fp=str(output), **more
    )
    return predict.run(settings)


def test_formats_in_and_out_say_the_same(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("".join(f"{n}\t{t}\n" for n, t in enumerate(TEXTS)), encoding="utf-8")
    (tmp_path / "b.csv").write_text("sentence\n" + "\n".join(TEXTS) + "\n", encoding="utf-8")
    (tmp_path / "c.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS), encoding="utf-8")
    (tmp_path / "d.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    tables = []
    for name in ("a.csv", "b.csv", "c.jsonl", "d.txt"):
        assert predicted(model, f"TNEWS={tmp_path / name}", tmp_path / "out") == 0
        tables.append((tmp_path / "out/tnews_predictions.csv").read_text(encoding="utf-8"))
    assert len(set(tables)) == 1
    header, *rows = csv.reader(io.StringIO(tables[0]))
    assert header[:3] == ["id", "label", "probability_115"] and header[-1] == "label_name"
    assert [row[0] for row in rows] == ["0", "1", "2"]
    assert predicted(model, f"TNEWS={tmp_path / 'd.txt'}", tmp_path / "out", output_format="jsonl") == 0
    lines = [
        json.loads(line) for line in (tmp_path / "out/tnews_predictions.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    wanted = load(model).predict("TNEWS", TEXTS, ids=["0", "1", "2"])
    assert isinstance(wanted, list)
    for line, row, result in zip(lines, rows, wanted, strict=True):
        assert line["probabilities"] == pytest.approx(result.probabilities, abs=2e-6)
        assert {**result.to_json(), "probabilities": line["probabilities"]} == line
        assert [float(value) for value in row[2:-1]] == list(line["probabilities"].values())


def test_from_the_standard_input_to_the_standard_output(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("天地\t人日\n山\t水\n".encode())))
    assert predicted(model, "OCNLI=-", "-", input_format="text", output_format="jsonl") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["id"] for line in lines] == ["0", "1"] and set(lines[0]["probabilities"]) == {"0", "1", "2"}


def test_the_standard_streams_are_of_one_task(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("天\n", encoding="utf-8")
    with pytest.raises(
        UserError, match="The standard output takes the rows of one task, and there are files of TNEWS, OCEMOTION"
    ):
        predicted(model, f"TNEWS={tmp_path / 'a.txt'},OCEMOTION=-", "-")
    with pytest.raises(UserError, match="the standard input .-. can be the file of one task only"):
        predicted(model, "TNEWS=-,OCEMOTION=-", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bad_row_leaves_nothing(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "天"}\n{"text": 3}\n', encoding="utf-8")
    with pytest.raises(UserError, match="line 2: text is 3, not a text"):
        predicted(model, f"TNEWS={tmp_path / 'a.jsonl'}", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_memory_grows_by_ids_and_probabilities_only(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ensemble, "ROWS_AT_ONCE", 64)
    peaks = []
    for rows in (200, 1000):
        (tmp_path / "a.txt").write_text(f"{'天地人日月山水' * 60}\n" * rows, encoding="utf-8")
        tracemalloc.start()
        assert predicted(model, f"TNEWS={tmp_path / 'a.txt'}", tmp_path / "out") == 0
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 800 * 400  # a text alone has 1,260 bytes
