"""The convert command: EasyTransfer's preprocess files, folders of contest files, and what it refuses."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from easytransfer_mtl.commands.convert import run
from easytransfer_mtl.config.base import load_settings
from easytransfer_mtl.config.convert_settings import ConvertSettings
from easytransfer_mtl.data.encoded_rows import EncodedRows
from easytransfer_mtl.data.list_files import read_list, task_files
from easytransfer_mtl.data.manifest import read_manifest
from easytransfer_mtl.data.tfrecords import padded_length_of, read_tfrecords
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.tasks import CONTEST_TASKS

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
REAL = Path(os.environ.get("TIANCHI_DATA", "tianchi_datasets_not_here"))
PREPROCESS = GOLDEN / "preprocess"
ENCODER = GOLDEN / "checkpoint" / "pai-bert-tiny-zh"


def convert(*flags: str, **settings: Any) -> None:
    arguments = [*flags, *(f"--{name}={value}" for name, value in settings.items())]
    if not any(argument.startswith("--tokenizer") for argument in arguments):
        arguments.append(f"--tokenizer_name_or_path={ENCODER}")
    assert run(load_settings(ConvertSettings, arguments, "convert")) == 0


def single(folder: Path, content: str = "0\t今天\t115\n", **settings: Any) -> EncodedRows:
    source, output = folder / "in.csv", folder / "out.tfrecord"
    source.write_bytes(content.encode())
    convert(preprocess_input_fp=source, preprocess_output_fp=output, **settings)
    return read_tfrecords(output, 15, 570)


def easytransfer_file(folder: Path, task: str = "OCNLI", **changes: Any) -> Path:
    content = json.loads((ROOT / "run_scripts" / "config" / f"{task}_preprocess_dev.json").read_text(encoding="utf-8"))
    content["preprocess_config"] |= {
        "tokenizer_name_or_path": str(ENCODER),
        "preprocess_input_fp": str(PREPROCESS / f"{task}_dev.csv"),
        "preprocess_output_fp": str(folder / "out.tfrecord"),
        **changes,
    }
    path = folder / "config.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def contest_folder(folder: Path, pattern: str, kinds: tuple[str, ...] = ("train", "dev")) -> Path:
    for task in CONTEST_TASKS:
        for kind in kinds:
            path = folder / pattern.format(task=task.name, kind=kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((PREPROCESS / f"{task.name}_{kind}.csv").read_bytes())
    return folder


def labels(output: Path, task: str, kind: str) -> list[int]:
    rows = read_tfrecords(output / f"{task}_{kind}.tfrecord", 15, 570)
    return rows.label_ids.tolist()


def golden_labels(task: str, kind: str) -> list[int]:
    examples = json.loads((PREPROCESS / f"{task}_{kind}.json").read_text(encoding="utf-8"))
    return [example["label_id"]["list"][0] for example in examples]


@pytest.mark.parametrize("task", ["TNEWS", "OCEMOTION", "OCNLI"])
def test_easytransfers_json_gives_the_originals_file(tmp_path: Path, task: str) -> None:
    convert(f"--config={easytransfer_file(tmp_path, task)}", "--mode=preprocess")
    output = tmp_path / "out.tfrecord"
    made, golden = (read_tfrecords(path, 15, 570) for path in (output, PREPROCESS / f"{task}_dev.tfrecord"))
    assert made.input_ids.tolist() == golden.input_ids.tolist() and made.label_ids.tolist() == golden.label_ids.tolist()
    assert output.stat().st_size == (PREPROCESS / f"{task}_dev.tfrecord").stat().st_size
    manifest = read_manifest(output)
    assert manifest is not None and manifest.task.name == task and manifest.source == f"{task}_dev.csv"


def test_a_checkpoint_prefix_names_the_vocabulary_beside_it(tmp_path: Path) -> None:
    rows = single(tmp_path, task="TNEWS", tokenizer_name_or_path=ENCODER / "model.ckpt")
    assert rows.input_ids.tolist() == [6, 146, 232, 7]


def test_tables_and_outputs_override_the_files(tmp_path: Path) -> None:
    path = easytransfer_file(tmp_path, preprocess_input_fp="none.csv", preprocess_output_fp="none/out.tfrecord")
    convert(f"--config={path}", tables=f"{PREPROCESS / 'OCNLI_train.csv'},x", outputs=f"{tmp_path / 'other.tfrecord'},y")
    assert len(read_tfrecords(tmp_path / "other.tfrecord", 3, 570)) == 60


def test_flags_win_over_the_json(tmp_path: Path) -> None:
    convert(f"--config={easytransfer_file(tmp_path)}", sequence_length=64)
    assert padded_length_of(tmp_path / "out.tfrecord") == 64


def test_the_task_is_known_by_name_or_by_its_label_list(tmp_path: Path) -> None:
    assert single(tmp_path, task="tnews").label_ids.tolist() == [0]
    assert single(tmp_path, "0\ta\tb\t2\n", label_enumerate_values="0,1,2").label_ids.tolist() == [2]


def test_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    schema = {"input_schema": "label:str:1,more:str:1,text:str:1,key:int:1", "first_sequence": "text", "label_name": "label"}
    rows = single(tmp_path, "114\tx\t今天\t7\n", task="TNEWS", **schema)
    assert (rows.input_ids.tolist(), rows.label_ids.tolist()) == ([6, 146, 232, 7], [1])


@pytest.mark.parametrize("second", [{}, {"second_sequence": "other"}])
def test_a_second_text_that_is_no_column_is_passed_over(tmp_path: Path, second: dict[str, str]) -> None:
    schema = {"input_schema": "idx:str:1,sentence1:str:1,sentence2:str:1,label:str:1", "label_name": "label"}
    rows = single(tmp_path, "0\t今天\t明天\t2\n", task="OCNLI", **schema, **second)
    assert rows.input_ids.tolist() == [6, 146, 232, 7] and not rows.segment_ids.any()


@pytest.mark.parametrize("flags", [{"labelled": "false"}, {"input_schema": "idx:str:1,sentence1:str:1"}])
def test_files_without_labels(tmp_path: Path, flags: dict[str, str]) -> None:
    assert single(tmp_path, "0\t今天\n", task="TNEWS", **flags).label_ids.tolist() == [0]
    manifest = read_manifest(tmp_path / "out.tfrecord")
    assert manifest is not None and not manifest.labelled


def test_a_label_column_that_is_not_named_is_passed_over(tmp_path: Path) -> None:
    rows = single(tmp_path, "0\t今天\tanything\n", task="TNEWS", input_schema="idx:str:1,sentence1:str:1,label:str:1")
    assert (rows.input_ids.tolist(), rows.label_ids.tolist()) == ([6, 146, 232, 7], [0])


def test_a_header_and_bad_rows_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = single(tmp_path, "idx\ttext\tlabel\n0\t今\t115\n1\t天\t105\n", task="TNEWS", header="true", on_bad_row="skip")
    assert len(rows) == 1
    assert (tmp_path / "out.tfrecord.rejects.tsv").read_text(encoding="utf-8").startswith("3\tunknown label '105'")
    assert "warning: in.csv: 1 bad rows set aside" in capsys.readouterr().out


def test_own_tasks(tmp_path: Path) -> None:
    task = {
        "name": "own",
        "columns": "id,text,y",
        "first_sequence": "text",
        "label_name": "y",
        "id_column": "id",
        "label_enumerate_values": "no,yes",
    }
    (tmp_path / "tasks.json").write_text(json.dumps({"tasks": [task]}), encoding="utf-8")
    rows = single(tmp_path, "0\t今\tyes\n", tasks_file=tmp_path / "tasks.json", task="own")
    assert rows.label_ids.tolist() == [1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "Which task is it\\? Its label list is None. Give --task"),
        ({"label_enumerate_values": "0,2,1"}, "Which task is it\\? Its label list is '0,2,1'"),
        ({"task": "NEWS"}, "No task is called 'NEWS'"),
        ({"task": "OCNLI", "label_enumerate_values": "0,2,1"}, "OCNLI has the labels 0,1,2, not 0,2,1"),
        ({"task": "TNEWS", "mode": "train"}, "--mode=train is not convert's"),
        ({"task": "TNEWS", "output_schema": "input_ids,label_id"}, "output_schema 'input_ids,label_id' is not supported"),
        ({"task": "TNEWS", "output_schema": "bert_predict"}, "is not supported"),
        ({"task": "TNEWS", "input_schema": "idx,sentence1"}, "input_schema: 'idx' is not name:str:1"),
        ({"task": "TNEWS", "input_schema": "idx:str:1,v:base64:4"}, "input_schema: 'v:base64:4'"),
        ({"task": "TNEWS", "input_schema": "idx:str:1,v:float:1"}, "input_schema: 'v:float:1'"),
        ({"task": "TNEWS", "input_schema": "idx:str:1,t:str:1,label:str:1"}, "first_sequence 'sentence1' is not one of"),
        ({"task": "TNEWS", "tokenizer_name_or_path": "none/here"}, "none/here"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, settings: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        single(tmp_path, **settings)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_missing_paths_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="convert needs --data_dir and --output_dir, or --preprocess_input_fp"):
        convert(task="TNEWS", preprocess_input_fp=tmp_path / "in.csv")
    with pytest.raises(UserError, match="convert with --data_dir needs --output_dir"):
        convert(data_dir=tmp_path)


@pytest.mark.parametrize("pattern", ["{task}_{kind}.csv", "{task}/{kind}.csv"])
def test_a_folder_with_dev_files(tmp_path: Path, pattern: str, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    convert(data_dir=contest_folder(tmp_path / "in", pattern), output_dir=output)
    for kind in ("train", "dev"):
        path = output / f"{kind}.list_tfrecord"
        assert path.read_bytes() == "".join(f"{task.name}_{kind}.tfrecord\n" for task in CONTEST_TASKS).encode()
        assert [item.task.name for item in task_files(path, CONTEST_TASKS)] == ["TNEWS", "OCEMOTION", "OCNLI"]
        for task in CONTEST_TASKS:
            assert labels(output, task.name, kind) == golden_labels(task.name, kind)
    assert capsys.readouterr().out.count(" rows in ") == 6
    assert not (output / "split").exists()


@pytest.mark.parametrize("pattern", ["{task}_{kind}.csv", "{task}/{kind}.csv"])
def test_a_folder_without_dev_files_splits_the_train_files(
    tmp_path: Path, pattern: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    convert(data_dir=contest_folder(tmp_path / "in", pattern, ("train",)), output_dir=output, dev_share=0.25)
    printed = capsys.readouterr().out
    for task in CONTEST_TASKS:
        expected = golden_labels(task.name, "train")
        assert labels(output, task.name, "train") == expected[:45]
        assert labels(output, task.name, "dev") == expected[45:]
        assert f"{task.name}: no dev file; the last 25% of" in printed
    assert [path.name for path in read_list(output / "dev.list_tfrecord")][2] == "OCNLI_dev.tfrecord"


def test_a_dev_share_of_0_makes_no_dev_rows(tmp_path: Path) -> None:
    source, output = contest_folder(tmp_path / "in", "{task}_{kind}.csv", ("train",)), tmp_path / "out"
    convert(data_dir=source, output_dir=output)
    assert (output / "dev.list_tfrecord").exists()
    (source / "TNEWS_dev.csv").write_bytes((PREPROCESS / "TNEWS_dev.csv").read_bytes())
    convert(data_dir=source, output_dir=output, dev_share=0)
    for task in CONTEST_TASKS:
        assert labels(output, task.name, "train") == golden_labels(task.name, "train")
    assert [path.name for path in read_list(output / "dev.list_tfrecord")] == ["TNEWS_dev.tfrecord"]
    (source / "TNEWS_dev.csv").unlink()
    convert(data_dir=source, output_dir=output, dev_share=0)
    assert not (output / "dev.list_tfrecord").exists()


def test_a_folder_without_a_train_file_is_refused(tmp_path: Path) -> None:
    folder = contest_folder(tmp_path / "in", "{task}_{kind}.csv")
    (folder / "OCNLI_train.csv").unlink()
    with pytest.raises(UserError, match="no train file of OCNLI; looked for OCNLI_train.csv"):
        convert(data_dir=folder, output_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_rows_in_a_folder_are_all_told_before_anything_is_written(tmp_path: Path) -> None:
    folder = contest_folder(tmp_path / "in", "{task}_{kind}.csv")
    with open(folder / "OCEMOTION_dev.csv", "ab") as stream:
        stream.write(b"x\n")
    (folder / "TNEWS_train.csv").write_bytes(b"")
    (folder / "OCNLI_train.csv").write_bytes("0\t今天\t明天\t2\n".encode("gb18030"))
    with pytest.raises(UserError) as caught:
        convert(data_dir=folder, output_dir=tmp_path / "out")
    assert "OCEMOTION_dev.csv: 1 bad rows, 24 good ones:\n  line 25: found 1 columns" in str(caught.value)
    assert "TNEWS_train.csv is empty" in str(caught.value) and "OCNLI_train.csv is in GBK" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_skipping_most_of_a_file_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = contest_folder(tmp_path / "in", "{task}_{kind}.csv", ("train",))
    lines = (folder / "OCEMOTION_train.csv").read_bytes().split(b"\n")[:-1]
    (folder / "OCEMOTION_train.csv").write_bytes(b"".join(line + b"x\n" for line in lines[:-13]) + b"\n".join(lines[-13:]))
    with pytest.raises(UserError, match=f"{len(lines) - 13} bad rows, 13 good ones"):
        convert(data_dir=folder, output_dir=tmp_path / "out", on_bad_row="skip")
    assert not (tmp_path / "out").exists()
    convert(data_dir=folder, output_dir=tmp_path / "out", on_bad_row="skip", max_bad_share=0.9, dev_share=0)
    assert len(labels(tmp_path / "out", "OCEMOTION", "train")) == 13
    assert (tmp_path / "out/OCEMOTION_train.tfrecord.rejects.tsv").read_bytes().count(b"\n") == len(lines) - 13


def test_bad_rows_at_the_end_of_a_file_are_few_if_they_are_few_of_the_file(tmp_path: Path) -> None:
    folder = contest_folder(tmp_path / "in", "{task}_{kind}.csv", ("train",))
    lines = (folder / "OCEMOTION_train.csv").read_bytes().split(b"\n")[:-1]
    (folder / "OCEMOTION_train.csv").write_bytes(b"".join(line + b"\n" for line in lines[:-3]) + b"x\nx\nx\n")
    convert(data_dir=folder, output_dir=tmp_path / "out", on_bad_row="skip")
    assert (tmp_path / "out/OCEMOTION_dev.tfrecord.rejects.tsv").read_bytes().count(b"\n") == 3
    assert len(labels(tmp_path / "out", "OCEMOTION", "dev")) == len(lines) // 10 - 3


def test_texts_of_dev_rows_that_stand_in_the_train_file_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "TNEWS_train.csv": ["0\tＡ今  天\t115", "1\t明\t114", "2\t人\t114"],
        "TNEWS_dev.csv": ["0\ta今 天 \t108", "1\t明\t114", "2\t明\t109", "3\t新\t109"],
        "OCEMOTION_train.csv": ["0\t今\tlike"],
        "OCEMOTION_dev.csv": ["0\t明\tlike"],
        "OCNLI_train.csv": ["0\t今\t明\t0", "1\t天\t明\t1"],
        "OCNLI_dev.csv": ["0\t今\t天\t0", "1\t天\t今\t0", "2\t天\t明\t1"],
    }
    for name, lines in files.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    convert(data_dir=tmp_path, output_dir=tmp_path / "out")
    lines = [line for line in capsys.readouterr().out.splitlines() if "train file too" in line]
    assert [line.partition(" stands")[0] for line in lines] == [
        "warning: TNEWS: the text of 3 of the 4 dev rows (75.0%)",
        "warning: OCNLI: the pair of texts of 1 of the 3 dev rows (33.3%)",
    ]


def test_the_end_of_a_train_file_is_compared_with_its_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for task in CONTEST_TASKS:
        texts = "今\t明" if task.second_sequence else "今"
        label = task.label_enumerate_values[0]
        content = "".join(f"{row}\t{texts}\t{label}\n" for row in range(20))
        (tmp_path / f"{task.name}_train.csv").write_text(content, encoding="utf-8")
    convert(data_dir=tmp_path, output_dir=tmp_path / "out")
    assert capsys.readouterr().out.count("of 2 of the 2 dev rows (100.0%) stands in the train file too") == 3


def test_the_log_says_which_board_will_be_submitted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = contest_folder(tmp_path / "in", "{task}_{kind}.csv")
    (folder / "b").mkdir()
    names = [*(f"{task.name}_a.csv" for task in CONTEST_TASKS), "b/tnews_test_B.csv", "b/ocnli_test_B.csv"]
    for name in names:
        (folder / name).write_text("0\t今\n", encoding="utf-8")
    with caplog.at_level("INFO"):
        convert(data_dir=folder, output_dir=tmp_path / "out")
        assert "A submission will not be possible yet" in caplog.text and "no file of OCEMOTION of board b" in caplog.text
        (folder / "b/ocemotion_test_B.csv").touch()
        caplog.clear()
        convert(data_dir=folder, output_dir=tmp_path / "out")
    assert "board b is taken" in caplog.text and "not be possible" not in caplog.text


@pytest.mark.skipif(not REAL.is_dir(), reason="the contest's files are not here")
def test_the_contests_own_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(data_dir=REAL, output_dir=tmp_path)
    assert "TNEWS: the text of 571 of the 5,000 dev rows (11.4%)" in capsys.readouterr().out


def test_unlabelled_rows_whose_label_column_comes_first(tmp_path: Path) -> None:
    schema = {"input_schema": "label:str:1,sentence1:str:1", "label_name": "label", "labelled": "false"}
    assert len(single(tmp_path, "今天\n", task="TNEWS", **schema)) == 1


def test_ids_that_the_encoder_has_no_embeddings_for(tmp_path: Path) -> None:
    lines = (ENCODER / "vocab.txt").read_text(encoding="utf-8").splitlines()
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    (encoder / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": len(lines)}), encoding="utf-8")
    (encoder / "vocab.txt").write_text("".join(f"{line}\n" for line in [*lines, lines[-1]]), encoding="utf-8")
    more = f"has {len(lines) + 1} tokens, more than vocab_size {len(lines)} of"
    with pytest.raises(UserError, match=rf"{more} .* fit: --vocabulary_rule=easytransfer"):
        single(tmp_path, task="TNEWS", tokenizer_name_or_path=encoder)
    assert not (tmp_path / "out.tfrecord").exists()
    assert len(single(tmp_path, task="TNEWS", tokenizer_name_or_path=encoder, vocabulary_rule="easytransfer")) == 1
    (encoder / "vocab.txt").write_text("".join(f"{line}\n" for line in [*lines, "new"]), encoding="utf-8")
    with pytest.raises(UserError, match=rf"{more} .*; they do not belong together\.$"):
        single(tmp_path, task="TNEWS", tokenizer_name_or_path=encoder)
    (encoder / "vocab.txt").write_text("".join(f"{line}\n" for line in [*lines, "", ""]), encoding="utf-8")
    assert len(single(tmp_path, task="TNEWS", tokenizer_name_or_path=encoder)) == 1  # blank lines are no token of a text
