"""Runs on a vocabulary of which a token stands twice: one rule from conversion to prediction, also for older runs."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import BertTokenizer

from easytransfer_mtl.commands import convert, evaluate, pretrain, train
from easytransfer_mtl.config.base import load_settings
from easytransfer_mtl.config.convert_settings import ConvertSettings
from easytransfer_mtl.config.predict_settings import EvaluateSettings
from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.ensemble import Ensemble
from easytransfer_mtl.evaluation.prediction import Predictor
from easytransfer_mtl.evaluation.stored_models import find_models
from easytransfer_mtl.runs.checkpoints import checkpoint_steps

pytestmark = pytest.mark.usefixtures("untraced")
LETTERS = "天地人日月山水火木金土心手口目耳田禾米竹"
TOKENS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "天", "$", *LETTERS[1:6], "$", "[UNK]", *LETTERS[6:]]
BY_LINE, CLOSED_UP = 26, 25
"""Ids of 竹."""


@pytest.fixture(scope="session")
def tiny_encoder(flat_encoder: Path) -> Path:
    """One layer."""
    return flat_encoder


@pytest.fixture
def encoder(tiny_encoder: Path, tmp_path: Path) -> Path:
    """A tiny encoder's folder with that vocabulary, and more embeddings than tokens."""
    folder = Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in TOKENS), encoding="utf-8")
    value = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**value, "vocab_size": 32}), encoding="utf-8")
    return folder


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder of contest files, some of whose characters have no token."""
    folder = tmp_path / "texts"
    folder.mkdir()
    rows = [f"{LETTERS[i % 20]}竹口{LETTERS[(3 * i) % 20]}鱼" for i in range(12)]
    for kind in ("train", "dev"):
        for task, label in (("TNEWS", "115"), ("OCEMOTION", "like"), ("OCNLI", "0")):
            more = f"\t{rows[0]}" if task == "OCNLI" else ""
            lines = [f"{i}\t{row}{more}\t{label}\n" for i, row in enumerate(rows)]
            (folder / f"{task}_{kind}.csv").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def settings(encoder: Path, texts: Path, tmp_path: Path, tiny_settings: Callable[..., Any]) -> Callable[..., Any]:
    """Converts the texts and builds settings of a run on them; the rule is asked for in both or in neither."""

    def build(rule: str = "auto", **changes: Any) -> Any:
        data = converted(encoder, texts, tmp_path / f"data_{rule}", rule)
        names = {key: str(data / f"{kind}.list_tfrecord") for key, kind in INPUTS.items()}
        return tiny_settings(
            pretrain_model_name_or_path=str(encoder),
            vocabulary_rule=rule,
            **{"num_epochs": 0.4, "save_steps": 2, **names, **changes},
        )

    return build


INPUTS = {"train_input_fp": "train", "predict_input_fp": "dev"}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a finished run of each rule."""
    return tmp_path_factory.mktemp("stored")


def trained(settings: Any, stored: Path) -> Path:
    """Trains, or copies the run if the file has trained by the settings' rule before; returns its folder."""
    kept, run = stored / settings.vocabulary_rule, Path(settings.model_dir)
    if not kept.exists():
        assert train.run(settings) == 0
        shutil.copytree(run, kept)
    elif not run.exists():
        shutil.copytree(kept, run)
    return run


def converted(encoder: Path, texts: Path, output: Path, rule: str = "auto") -> Path:
    flags = [f"--data_dir={texts}", f"--output_dir={output}", f"--tokenizer_name_or_path={encoder}", "--sequence_length=16"]
    assert convert.run(load_settings(ConvertSettings, [*flags, f"--vocabulary_rule={rule}"], "convert")) == 0
    return output


def evaluated(**values: str) -> int:
    return evaluate.run(load_settings(EvaluateSettings, [f"--{name}={value}" for name, value in values.items()], "evaluate"))


def make_older(run: Path, encoder: Path, data: Path) -> None:
    """Brings a run and its data, made by EasyTransfer's rule, to how they looked before rules, and hashes, were stored."""
    for folder in (run, run / "best"):
        (folder / "vocabulary.json").unlink()
        shutil.copyfile(encoder / "vocab.txt", folder / "vocab.txt")
    about = json.loads((run / "best/export.json").read_text(encoding="utf-8"))
    del about["sha256"]
    (run / "best/export.json").write_text(json.dumps(about), encoding="utf-8")
    for path in data.glob("*.manifest.json"):
        value = json.loads(path.read_text(encoding="utf-8"))
        del value["vocabulary_rule"]
        path.write_text(json.dumps(value), encoding="utf-8")
    value = json.loads((run / "train_config.json").read_text(encoding="utf-8"))
    del value["settings"]["vocabulary_rule"]
    (run / "train_config.json").write_text(json.dumps(value), encoding="utf-8")


@pytest.mark.parametrize("rule, expected", [("auto", BY_LINE), ("easytransfer", CLOSED_UP)])
def test_one_rule_from_conversion_to_export(
    rule: str, expected: int, settings: Callable[..., Any], texts: Path, tmp_path: Path, stored: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    with caplog.at_level(logging.INFO):
        chosen = settings(rule)
        shutil.rmtree(stored / rule, ignore_errors=True)
        trained(chosen, stored)
    warned = [record for record in caplog.records if "have other ids" in record.getMessage()]
    assert [record.levelno for record in warned] == [logging.WARNING] * 2  # convert and train, once each
    tokens = len(TOKENS) - (rule == "easytransfer")
    assert f"has {tokens} tokens, the encoder 32 embeddings: {32 - tokens} are no token's" in caplog.text
    manifest = json.loads(next((tmp_path / f"data_{rule}").glob("*.manifest.json")).read_text(encoding="utf-8"))
    assert manifest["vocabulary_rule"] == ("lines" if rule == "auto" else rule)
    for folder in (tmp_path / "run", tmp_path / "run/best"):
        ids = find_encoder(str(folder)).vocabulary.ids
        assert ids["竹"] == expected and BertTokenizer(str(folder / "vocab.txt")).vocab == ids
    assert train.run(chosen) == 0  # finished already
    assert evaluated(model_dir=str(tmp_path / "run"), predict_input_fp=chosen.predict_input_fp) == 0
    file = next(texts.glob("TNEWS_dev.csv"))
    stripped = tmp_path / "test.csv"
    stripped.write_text("".join(line.rsplit("\t", 1)[0] + "\n" for line in file.read_text("utf-8").splitlines()), "utf-8")
    run = Ensemble(find_models(str(tmp_path / "run")))
    assert len(run.predict_files({"TNEWS": stripped})["TNEWS"].labels) == 12


def test_data_of_one_rule_do_not_fit_a_model_of_the_other(
    settings: Callable[..., Any], encoder: Path, texts: Path, tmp_path: Path
) -> None:
    other = converted(encoder, texts, tmp_path / "other", "easytransfer")
    names = {key: str(other / f"{kind}.list_tfrecord") for key, kind in INPUTS.items()}
    with pytest.raises(UserError, match="ids were by EasyTransfer's rule, the model's are by line numbers.*_rule=lines"):
        train.run(settings(**names))


def test_an_older_run_keeps_its_ids(
    settings: Callable[..., Any], encoder: Path, texts: Path, tmp_path: Path, stored: Path
) -> None:
    first = settings("easytransfer")
    run = trained(first, stored)
    make_older(run, encoder, tmp_path / "data_easytransfer")
    for folder in (run, run / "best"):
        assert find_encoder(str(folder)).vocabulary.ids["竹"] == CLOSED_UP
    assert evaluated(model_dir=str(run), predict_input_fp=first.predict_input_fp) == 0
    before = checkpoint_steps(run)
    inputs = {key: getattr(first, key) for key in INPUTS}
    assert train.run(settings(**inputs, num_epochs=0.8)) == 0
    assert max(checkpoint_steps(run)) > max(before)
    for folder in (run, run / "best"):
        assert BertTokenizer(str(folder / "vocab.txt")).vocab["竹"] == CLOSED_UP
        assert find_encoder(str(folder)).vocabulary.rule == "easytransfer"
    with pytest.raises(UserError, match="made with another vocabulary"):
        train.run(settings(num_epochs=1.2))  # data of the other rule
    with pytest.raises(UserError, match="with another vocabulary than .* .ids by EasyTransfer's rule, not by line"):
        train.run(settings("lines", num_epochs=1.2))


def test_an_older_export_is_a_start_with_its_own_ids(
    settings: Callable[..., Any], encoder: Path, texts: Path, tmp_path: Path, stored: Path
) -> None:
    make_older(trained(settings("easytransfer"), stored), encoder, tmp_path / "data_easytransfer")
    data = converted(tmp_path / "run/best", texts, tmp_path / "again")
    names = {key: str(data / f"{kind}.list_tfrecord") for key, kind in INPUTS.items()}
    start = str(tmp_path / "run/best")
    second = settings(**names).__class__(
        pretrain_model_name_or_path=start, model_dir=str(tmp_path / "second"), train_batch_size=4, num_epochs=0.2, **names
    )
    assert train.run(second) == 0
    assert BertTokenizer(str(tmp_path / "second/best/vocab.txt")).vocab["竹"] == CLOSED_UP


def test_models_of_both_rules_are_averaged_on_texts_and_not_on_ids(
    settings: Callable[..., Any], tmp_path: Path, stored: Path
) -> None:
    runs = {rule: tmp_path / f"run_{rule}" for rule in ("auto", "easytransfer")}
    for rule, run in runs.items():
        trained(settings(rule, model_dir=str(run)), stored)
    checkpoints = ",".join(map(str, runs.values()))
    text = tmp_path / "test.csv"
    text.write_text("0\t天竹鱼\n", encoding="utf-8")
    pair = Ensemble(find_models(checkpoints)).predict_files({"TNEWS": text})["TNEWS"]
    alone = [Predictor(str(run)).predict("TNEWS", ["0"], [("天竹鱼",)]).probabilities for run in runs.values()]
    assert abs(pair.probabilities - sum(alone) / 2).max() < 1e-6
    for rule in runs:
        dev = str(tmp_path / f"data_{rule}/dev.list_tfrecord")
        with pytest.raises(UserError, match="has another vocabulary than"):
            evaluated(checkpoints=checkpoints, predict_input_fp=dev, output_dir=str(tmp_path / "scores"))


def test_pretraining_keeps_its_rule(settings: Callable[..., Any], encoder: Path, texts: Path, tmp_path: Path) -> None:
    def pretrained(**changes: Any) -> None:
        values = {
            "data_dir": str(texts), "pretrain_model_name_or_path": str(encoder), "random_init": True, "held_out": 0.2,
            "model_dir": str(tmp_path / "pretrained"), "sequence_length": 16, "train_batch_size": 8, "train_steps": 2,
            "length_buckets": 1, "save_steps": 1,
        }  # fmt: skip
        pretrain.run(PretrainSettings(**{**values, **changes}))

    pretrained(vocabulary_rule="easytransfer")
    run = tmp_path / "pretrained"
    for folder in (run, run / "final"):
        assert find_encoder(str(folder)).vocabulary.ids["竹"] == CLOSED_UP
        assert BertTokenizer(str(folder / "vocab.txt")).vocab["竹"] == CLOSED_UP
        (folder / "vocabulary.json").unlink()
        shutil.copyfile(encoder / "vocab.txt", folder / "vocab.txt")
    pretrained(train_steps=3)  # an older run goes on
    assert find_encoder(str(run / "final")).vocabulary.rule == "easytransfer"
    with pytest.raises(UserError, match="ids by EasyTransfer's rule, not by line numbers"):
        pretrained(train_steps=4, vocabulary_rule="lines")
