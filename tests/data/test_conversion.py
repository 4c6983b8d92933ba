"""CSV to TFRecord: the original's result where it had one, a named error where it crashed, never half a file."""

import json
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from easytransfer_mtl.data.conversion import Conversion, ConversionReport, convert_file, rejects_path
from easytransfer_mtl.data.features import FeatureBuilder
from easytransfer_mtl.data.manifest import Manifest, manifest_path, read_manifest
from easytransfer_mtl.data.tfrecords import read_tfrecords
from easytransfer_mtl.data.tokenization import Tokenizer, Vocabulary, load_vocabulary
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.files import sha256_of
from easytransfer_mtl.tasks import OCEMOTION, OCNLI, TNEWS, Task, task_named

GOLDEN = Path(__file__).parents[1] / "golden"
EDGE = GOLDEN / "edge_inputs"
OUTCOMES: dict[str, dict[str, Any]] = json.loads((EDGE / "outcomes.json").read_text(encoding="utf-8"))
WELL = sorted(name for name, outcome in OUTCOMES.items() if outcome["rc"] == 0)
CRASHED = sorted(set(OUTCOMES) - set(WELL))
WITH_A_GOOD_ROW = sorted(name for name in CRASHED if (EDGE / f"{name}.csv").read_bytes().count(b"\n") > 1)
BAD_LINE = {"oce_unknown_label": 2, "oce_blank_line_middle": 2, "oce_blank_line_end": 2}  # line 1 in all others
VOCABULARY = load_vocabulary(GOLDEN / "checkpoint" / "pai-bert-tiny-zh" / "vocab.txt")


def builder(length: int = 128, normalization: str = "none") -> FeatureBuilder:
    return FeatureBuilder(Tokenizer(VOCABULARY, normalization), length)


def convert(folder: Path, content: bytes, task: Task = OCEMOTION, **more: Any) -> ConversionReport:
    source = folder / "source.csv"
    source.write_bytes(content)
    return convert_file(Conversion(source, folder / "out.tfrecord", task, **more), builder(), "error")


def edge_conversion(name: str, folder: Path) -> Conversion:
    task = task_named(OUTCOMES[name]["task"], (TNEWS, OCEMOTION, OCNLI))
    return Conversion(EDGE / f"{name}.csv", folder / "out.tfrecord", task)


def records(path: Path) -> list[dict[str, list[int]]]:
    found = []
    for record in tf.data.TFRecordDataset(str(path)):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        values = {name: list(value.int64_list.value) for name, value in features.items()}
        real = sum(values["input_mask"])
        found.append({name: items if name == "label_id" else items[:real] for name, items in values.items()})
    return found


def golden_records(name: str) -> list[dict[str, list[int]]]:
    return [{key: value["list"] for key, value in record.items() if key != "nonpad"} for record in OUTCOMES[name]["records"]]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_both_kinds_of_outcome_are_there() -> None:
    assert (len(WELL), len(CRASHED)) == (5, 16)


@pytest.mark.parametrize("name", WELL)
def test_the_originals_records_where_it_succeeded(tmp_path: Path, name: str) -> None:
    conversion = edge_conversion(name, tmp_path)
    report = convert_file(conversion, builder(), "error")
    assert records(conversion.output) == golden_records(name)
    assert report.rows == len(OUTCOMES[name]["records"]) and not report.rejected
    assert conversion.output.stat().st_size == OUTCOMES[name]["output_file_bytes"]


@pytest.mark.parametrize("name", CRASHED)
def test_an_error_with_file_and_line_where_the_original_crashed(tmp_path: Path, name: str) -> None:
    conversion = edge_conversion(name, tmp_path)
    with pytest.raises(UserError) as caught:
        convert_file(conversion, builder(), "error")
    assert f"{name}.csv: 1 bad rows" in str(caught.value)
    assert f"  line {BAD_LINE.get(name, 1)}: " in str(caught.value)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", WITH_A_GOOD_ROW)
def test_skip_keeps_the_good_rows_and_sets_the_bad_one_aside(tmp_path: Path, name: str) -> None:
    conversion = edge_conversion(name, tmp_path)
    report = convert_file(conversion, builder(), "skip")
    lines = conversion.source.read_bytes().split(b"\n")[:-1]
    assert (report.rows, report.rejected) == (len(lines) - 1, 1)
    assert len(records(conversion.output)) == len(lines) - 1
    number = BAD_LINE.get(name, 1)
    rejected = rejects_path(conversion.output).read_bytes()
    assert rejected.startswith(f"{number}\t".encode()) and rejected.endswith(b"\t" + lines[number - 1] + b"\n")
    assert rejects_path(conversion.output).name == "out.tfrecord.rejects.tsv"
    assert f"warning: {name}.csv: 1 bad rows set aside in {rejects_path(conversion.output)}" in report.lines()


@pytest.mark.parametrize("name", sorted(set(CRASHED) - set(WITH_A_GOOD_ROW)))
def test_skip_refuses_a_file_of_bad_rows_alone(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"{name}.csv: 1 bad rows, 0 good ones"):
        convert_file(edge_conversion(name, tmp_path), builder(), "skip", max_bad_share=1.0)
    assert names(tmp_path) == []


def test_skip_that_is_refused_leaves_everything_as_it_was(tmp_path: Path) -> None:
    convert(tmp_path, b"0\ta\tlike\n")
    (tmp_path / "out.tfrecord.rejects.tsv").write_bytes(b"old")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    source = tmp_path / "wrong.csv"
    source.write_bytes(b"0\ta\tlike\n" * 13 + b"0,a,like\n" * 500)
    with pytest.raises(UserError, match="500 bad rows, 13 good ones"):
        convert_file(Conversion(source, tmp_path / "out.tfrecord", OCEMOTION), builder(), "skip")
    source.unlink()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_error_leaves_an_old_output_and_its_manifest_as_they_were(tmp_path: Path) -> None:
    convert(tmp_path, "0\t今天\tlike\n".encode())
    before = {name: (tmp_path / name).read_bytes() for name in ("out.tfrecord", "out.tfrecord.manifest.json")}
    with pytest.raises(UserError):
        convert(tmp_path, "0\t今天\tlike\n1\t今天\tjoy\n".encode())
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert names(tmp_path) == sorted([*before, "source.csv"])


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_break_within_the_rows_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    calls = iter(range(5))
    encode = FeatureBuilder.encode

    def breaking(self: FeatureBuilder, texts: tuple[str, ...]) -> Any:
        if next(calls) == 3:
            raise error
        return encode(self, texts)

    monkeypatch.setattr(FeatureBuilder, "encode", breaking)
    with pytest.raises(error):
        convert(tmp_path, b"0\ta\tlike\n" * 5)
    assert names(tmp_path) == ["source.csv"]


def test_the_source_is_never_the_output(tmp_path: Path) -> None:
    source = tmp_path / "file.csv"
    source.write_bytes(b"0\ta\tlike\n")
    with pytest.raises(UserError, match="file.csv would be written over .*file.csv, which is read"):
        convert_file(Conversion(source, tmp_path / "." / "file.csv", OCEMOTION), builder(), "error")
    assert source.read_bytes() == b"0\ta\tlike\n"


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none.csv is not a file"):
        convert_file(Conversion(tmp_path / "none.csv", tmp_path / "deep" / "out", TNEWS), builder(), "error")
    assert names(tmp_path) == []


def test_the_manifest_tells_how_the_file_was_made(tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes("idx\ts1\ts2\tlabel\n7\t今天，\t明天\t2\n8\tx\ty\t0\n".encode())
    output = tmp_path / "out.tfrecord"
    convert_file(Conversion(source, output, OCNLI), builder(64, "nfkc"), "error", header=True)
    assert read_manifest(output) == Manifest(
        task=OCNLI,
        rows=2,
        labelled=True,
        sequence_length=64,
        text_normalization="nfkc",
        vocabulary_sha256=VOCABULARY.sha256,
        vocabulary_size=570,
        source="source.csv",
        source_sha256=sha256_of(source),
    )
    assert manifest_path(output).is_file()
    assert read_tfrecords(output, 3, 570).label_ids.tolist() == [2, 0]


def test_label_ids_are_places_in_the_tasks_list(tmp_path: Path) -> None:
    lines = "".join(f"{index}\t今\t{label}\n" for index, label in enumerate(TNEWS.label_enumerate_values))
    convert(tmp_path, lines.encode(), TNEWS)
    assert read_tfrecords(tmp_path / "out.tfrecord", 15, 570).label_ids.tolist() == list(range(15))


def test_unlabelled_rows_get_label_id_0_and_the_manifest_says_so(tmp_path: Path) -> None:
    report = convert(tmp_path, "1500\t今\t天\n1501\t今\t天\n".encode(), OCNLI, labelled=False)
    assert report.rows == 2
    assert read_tfrecords(tmp_path / "out.tfrecord", 3, 570).label_ids.tolist() == [0, 0]
    manifest = read_manifest(tmp_path / "out.tfrecord")
    assert manifest is not None and not manifest.labelled


def test_the_report_counts_rows_tokens_full_rows_and_empty_texts(tmp_path: Path) -> None:
    content = "0\t今天\tlike\n1\t\tlike\n2\t{}\tlike\n3\t☃\tlike\n".format("今" * 200)
    report = convert(tmp_path, content.encode())
    assert (report.rows, report.rejected, report.empty_texts, report.full_length) == (4, 0, 1, 1)
    assert (report.tokens, report.unknown_tokens) == (4 + 2 + 128 + 3, 1)
    first, *warnings = report.lines()
    assert first.startswith(f"OCEMOTION: source.csv -> {tmp_path / 'out.tfrecord'}: 4 rows in ")
    assert first.endswith("34.2 tokens a row, 1 rows at full length")
    assert warnings == ["warning: source.csv: 1 rows have an empty text"]


def test_an_empty_file_and_a_foreign_vocabulary_are_warned_of(tmp_path: Path) -> None:
    assert "warning: source.csv: the file has no rows; the output is empty" in convert(tmp_path, b"").lines()
    assert (tmp_path / "out.tfrecord").stat().st_size == 0
    report = convert(tmp_path, "0\t☃☃☃☃ ☃ ☃ 今\tlike\n".encode())
    assert any(line.endswith("of the tokens are [UNK]; is it the right vocabulary?") for line in report.lines())


def test_unknown_is_counted_by_the_vocabularys_own_id(tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes("0\t今天\tlike\n".encode())
    tokenizer = Tokenizer(Vocabulary(["[PAD]", "今", "[CLS]", "[SEP]", "[UNK]"]))
    report = convert_file(Conversion(source, tmp_path / "out", OCEMOTION), FeatureBuilder(tokenizer, 8), "error")
    assert (report.tokens, report.unknown_tokens) == (4, 1)


def test_a_clean_conversion_takes_old_rejects_away(tmp_path: Path) -> None:
    source, output = tmp_path / "a.csv", tmp_path / "a.tfrecord"
    builder = FeatureBuilder(Tokenizer(Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])), 16)
    source.write_text("0\tx\tlike\n1\ty\tnothing\n", encoding="utf-8")
    convert_file(Conversion(source, output, OCEMOTION), builder, "skip")
    assert rejects_path(output).exists()
    source.write_text("0\tx\tlike\n", encoding="utf-8")
    convert_file(Conversion(source, output, OCEMOTION), builder, "skip")
    assert not rejects_path(output).exists()


def test_a_conversion_that_ends_between_records_and_manifest_leaves_no_old_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = tmp_path / "a.csv", tmp_path / "a.tfrecord"
    builder = FeatureBuilder(Tokenizer(Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])), 16)
    source.write_text("0\tx\tlike\n", encoding="utf-8")
    convert_file(Conversion(source, output, OCEMOTION), builder, "error")

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("easytransfer_mtl.data.conversion.write_manifest", cut_off)
    with pytest.raises(KeyboardInterrupt):
        convert_file(Conversion(source, output, OCEMOTION), builder, "error")
    assert output.exists() and not manifest_path(output).exists()
