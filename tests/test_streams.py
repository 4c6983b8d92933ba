"""What surrounds a process, its streams and folders, ends in one sentence at most, and no work is lost over it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data/sample"
FOLDS = ["OCEMOTION_folds.csv", "OCNLI_folds.csv", "TNEWS_folds.csv", "folds.json"]
LABELS = ("好评", "差评")
TASK = {
    "name": "T", "columns": "idx,text,label", "first_sequence": "text", "label_enumerate_values": list(LABELS),
}  # fmt: skip


def shell(command: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a line of bash in which ``et`` is the program."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    script = f'et() {{ "{sys.executable}" -m easytransfer_mtl "$@"; }}\n{command}'
    return subprocess.run(
        ["bash", "-c", script], cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def split(output: Path | str = "out") -> str:
    return f"et split --data_dir='{SAMPLE}' --output_dir='{output}'"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``split`` writes if its streams are as they should be."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert shell(split("again"), folder).returncode == 0
    return folder / "again"


@pytest.mark.parametrize(
    ("streams", "code", "error"),
    [
        (">&-", 0, ""),
        (">&- 2>&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        (">/dev/full", 2, "error: the standard output: No space left on device."),
        ("2>/dev/full", 0, ""),
        ("| head -0; exit ${PIPESTATUS[0]}", 0, ""),
        ("2>&1 | head -0; exit ${PIPESTATUS[0]}", 0, ""),
    ],
)
def test_work_is_done_whatever_becomes_of_the_streams(
    tmp_path: Path, undisturbed: Path, streams: str, code: int, error: str
) -> None:
    done = shell(f"{split()} {streams}", tmp_path)
    assert done.returncode == code and "Traceback" not in done.stderr
    assert done.stderr.startswith(error) if error else done.stderr == ""
    assert names(tmp_path / "out") == FOLDS
    for name in FOLDS:  # nothing printed went into a file that took a closed stream's number
        assert (tmp_path / "out" / name).read_bytes() == (undisturbed / name).read_bytes()


@pytest.mark.parametrize("word", ["--help", "--version", "train --help"])
@pytest.mark.parametrize(("streams", "code"), [(">&-", 0), (">/dev/full", 2), ("| head -0; exit ${PIPESTATUS[0]}", 0)])
def test_help_too(tmp_path: Path, word: str, streams: str, code: int) -> None:
    done = shell(f"et {word} {streams}", tmp_path)
    assert done.returncode == code and "Traceback" not in done.stderr


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full"])
def test_an_error_that_nobody_can_read_keeps_its_status(tmp_path: Path, streams: str) -> None:
    assert shell(f"et split --data_dir=nowhere --output_dir=out {streams}", tmp_path).returncode == 2


@pytest.mark.parametrize(
    "variables",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONIOENCODING": "latin-1"}],
    ids=["ascii", "C", "latin-1"],
)
def test_chinese_paths_and_labels_on_streams_that_lack_the_characters(tmp_path: Path, variables: dict[str, str]) -> None:
    data = tmp_path / "数据"
    data.mkdir()
    (data / "T_train.csv").write_text("".join(f"{i}\t文{i}\t{LABELS[i % 2]}\n" for i in range(40)), encoding="utf-8")
    (tmp_path / "任务.json").write_text(json.dumps({"tasks": [TASK]}), encoding="utf-8")
    command = "et split --data_dir=数据 --output_dir=折 --folds=2 --tasks_file=任务.json"
    done = shell(command, tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "折") == ["T_folds.csv", "folds.json"]
    plain = {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8"}
    assert LABELS[0] in shell(command.replace("=折", "=又"), tmp_path, **plain).stdout
    wrong = shell("et split --data_dir=没有 --output_dir=折", tmp_path, **variables)
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: ") and "Traceback" not in wrong.stderr


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    done = shell("et split --data_dir=$'a\\xff' --output_dir=out", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: flag --data_dir: 'a\\udcff' has bytes that are not UTF-8.")


def test_a_current_folder_that_is_gone(tmp_path: Path) -> None:
    done = shell(f"mkdir gone && cd gone && rmdir ../gone && {split(tmp_path / 'out')}", tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("error: The current folder is gone")


def test_no_home_and_no_place_for_temporary_files(tmp_path: Path) -> None:
    done = shell(f"unset HOME; export TMPDIR=/nowhere; {split()}", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("n" * 300, "File name too long"),
        ("loop", "Too many levels of symbolic links"),
        ("file", "is no folder"),
        ("file/below", "is no folder"),
        ("/proc/nowhere", "cannot be written"),
    ],
)
def test_outputs_that_cannot_be_are_told_in_one_sentence(tmp_path: Path, output: str, message: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    done = shell(split(output), tmp_path)
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1
    assert names(tmp_path) == ["file", "loop"] and (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_a_full_disk_leaves_whole_files_only_and_the_same_command_goes_on(tmp_path: Path) -> None:
    full = shell(f"ulimit -f 1; {split()}", tmp_path, PYTHONDONTWRITEBYTECODE="1")
    assert full.returncode == 2 and len(full.stderr.splitlines()) == 1
    assert full.stderr.startswith("error: split: out/TNEWS_folds.csv: File too large.")
    assert names(tmp_path / "out") == []
    assert shell(split(), tmp_path).returncode == 0 and names(tmp_path / "out") == FOLDS


def test_commands_that_need_no_tensorflow_do_not_import_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    task = '{"name": "A", "columns": "idx,text,label", "first_sequence": "text", "label_enumerate_values": "x,y"}'
    (run / "tasks.json").write_text(f'{{"tasks": [{task}]}}', encoding="utf-8")
    (run / "metrics.csv").write_text("step,task,loss\n1,A,0.5\n2,A,0.25\n", encoding="utf-8")
    words = {
        "check_data": [str(SAMPLE)],
        "eda": [str(SAMPLE), "--output_dir=eda"],
        "split": [f"--data_dir={SAMPLE}", "--output_dir=out"],
        "plot": ["run"],
        "check_submission": ["--submission=run", f"--data_dir={SAMPLE}"],
        "report": ["run"],
        "doctor": ["--nomeasure"],
        "serve": ["none", "--host=none.invalid"],
    }
    script = (
        "import sys\n"
        "from easytransfer_mtl.__main__ import COMMANDS, main\n"
        "light = {name for name, command in COMMANDS.items() if not command.uses_tensorflow}\n"
        f"assert light == {set(words)!r}, light\n"
        f"words = {words!r}[sys.argv[1]]\n"
        "code = main([sys.argv[1], *words])\n"
        "heavy = {'tensorflow', 'tf_keras', 'keras', 'transformers', 'sklearn', 'h5py'} & set(sys.modules)\n"
        "heavy -= {'sklearn', 'h5py'} if sys.argv[1] in ('eda', 'report') else set()\n"  # words and scores, any tokenizer
        "assert not heavy, heavy\n"
        "print('code', code)\n"
    )
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    codes = {"check_submission": 1, "report": 2, "serve": 2}
    for name, code in ((name, codes.get(name, 0)) for name in words):
        if name == "plot":
            pytest.importorskip("matplotlib")
        done = shell(f"'{sys.executable}' script.py {name}", tmp_path)
        assert done.returncode == 0 and done.stdout.endswith(f"code {code}\n"), done.stderr
        assert "0000" not in done.stderr and "cuda" not in done.stderr


@pytest.mark.parametrize("first", ["", "import tensorflow\n"], ids=["alone", "TensorFlow was there first"])
def test_the_python_api_is_quiet(tmp_path: Path, first: str) -> None:
    script = (
        f"{first}import sys\nprint('begin', file=sys.stderr, flush=True)\n"
        "from easytransfer_mtl import MultiTaskModel, TrainSettings, train\n"
        "import tensorflow as tf\n"
        "tf.config.list_physical_devices()\n"
    )
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    done = shell(f"unset CUDA_VISIBLE_DEVICES TF_CPP_MIN_LOG_LEVEL; '{sys.executable}' script.py", tmp_path)
    assert done.returncode == 0 and done.stderr.partition("begin\n")[2] == "", done.stderr
