"""Runs of an encoder with a published tokenizer: one tokenizer from conversion to prediction, and what they refuse."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from published_tokenizers import published_encoder, tokenizer_json, write_tokenizer

from easytransfer_mtl.commands import convert, evaluate, pretrain, submit, train
from easytransfer_mtl.config.base import load_settings
from easytransfer_mtl.config.convert_settings import ConvertSettings
from easytransfer_mtl.config.predict_settings import EvaluateSettings, SubmitSettings
from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.data.manifest import manifest_path
from easytransfer_mtl.data.published_tokenizer import load_published
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.interface import Encoder
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.prediction import Predictor

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
SEGMENTS = (tf.constant([[0, 0, 0, 0, 0, 1, 1]]), tf.zeros([1, 7], tf.int32))
NAMES = {"train_input_fp": "train", "predict_input_fp": "dev"}


@pytest.fixture(scope="session")
def tiny_encoder(flat_encoder: Path) -> Path:
    """One layer."""
    return flat_encoder


@pytest.fixture
def encoder(tiny_encoder: Path, tmp_path: Path) -> Path:
    """A tiny encoder's folder with a tokenizer.json as XLM-R's."""
    return published_encoder(tmp_path / "encoder", tiny_encoder)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """The first rows of the sample's files."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for path in SAMPLE.glob("*.csv"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / path.name).write_text("".join(lines[:24]), encoding="utf-8")
    return folder


@pytest.fixture
def settings(encoder: Path, texts: Path, tmp_path: Path, tiny_settings: Callable[..., Any]) -> Callable[..., Any]:
    """Converts the texts and builds settings of a run on them."""

    def build(**changes: Any) -> Any:
        folder = Path(changes.get("pretrain_model_name_or_path", encoder))
        data = converted(folder, texts, tmp_path / "data", changes.get("tokenizer", "auto"))
        names = {key: str(data / f"{kind}.list_tfrecord") for key, kind in NAMES.items()}
        given = {"pretrain_model_name_or_path": str(encoder), "num_epochs": 0.2, "save_steps": 2, **names, **changes}
        return tiny_settings(**given)

    return build


def converted(encoder: Path, texts: Path, output: Path, tokenizer: str = "auto", *more: str) -> Path:
    flags = [f"--data_dir={texts}", f"--output_dir={output}", f"--tokenizer_name_or_path={encoder}", "--sequence_length=16"]
    assert convert.run(load_settings(ConvertSettings, [*flags, f"--tokenizer={tokenizer}", *more], "convert")) == 0
    return output


def evaluated(run: Path, dev: str) -> int:
    flags = [f"--model_dir={run}", f"--predict_input_fp={dev}"]
    return evaluate.run(load_settings(EvaluateSettings, flags, "evaluate"))


def test_one_tokenizer_from_conversion_to_submission(
    settings: Callable[..., Any], encoder: Path, texts: Path, tmp_path: Path
) -> None:
    chosen, run = settings(token_dropout=0.2), tmp_path / "run"
    manifest = json.loads(next((tmp_path / "data").glob("*.manifest.json")).read_text(encoding="utf-8"))
    sha256 = find_encoder(str(encoder), needs_weights=False).vocabulary.sha256
    assert (manifest["tokenizer"], manifest["vocabulary_sha256"]) == ("published", sha256)
    assert train.run(chosen) == 0
    assert evaluated(run, chosen.predict_input_fp) == 0
    for folder in (run, run / "best"):
        assert (folder / "tokenizer.json").read_bytes() == (encoder / "tokenizer.json").read_bytes()
        assert not (folder / "vocab.txt").exists()
    assert "tokenizer.json" in json.loads((run / "best/export.json").read_text(encoding="utf-8"))["sha256"]
    pairs = [("今天天气好", "天气不好"), ("看书", "")]
    for place in (run, run / "best"):
        assert len(Predictor(str(place)).predict("OCNLI", ["1", "2"], pairs).labels) == 2
    flags = [f"--predict_checkpoint_path={run / 'best'}", f"--data_dir={texts}", f"--predict_output_fp={tmp_path / 'out'}"]
    assert submit.run(load_settings(SubmitSettings, flags, "submit")) == 0
    assert train.run(settings(token_dropout=0.2, num_epochs=0.4)) == 0  # goes on
    start = {"pretrain_model_name_or_path": str(run / "best"), "random_init": False, "model_dir": str(tmp_path / "next")}
    assert train.run(settings(**start)) == 0
    changed = run / "best/tokenizer.json"
    changed.write_bytes(changed.read_bytes() + b"\n")
    with pytest.raises(UserError, match="tokenizer.json is not the file that was exported"):
        Predictor(str(run / "best"))


@pytest.mark.usefixtures("untraced")
def test_the_published_one_of_a_folder_with_both(
    settings: Callable[..., Any], encoder: Path, tiny_encoder: Path, texts: Path, tmp_path: Path
) -> None:
    shutil.copyfile(tiny_encoder / "vocab.txt", encoder / "vocab.txt")
    chosen = settings(tokenizer="published")
    assert train.run(chosen) == 0
    assert train.run(settings(tokenizer="published", num_epochs=0.3)) == 0
    names = {key: getattr(chosen, key) for key in NAMES}
    given = {"tokenizer": "easytransfer", "num_epochs": 0.4}
    with pytest.raises(UserError, match="two do not belong together. .*--tokenizer=easytransfer .* or --tokenizer=pub"):
        settings()
    with pytest.raises(UserError, match="made with the tokenizer easytransfer, the model's is published.*--tokenizer=pub"):
        train.run(replace(settings(**given), tokenizer="auto"))  # the run goes on with its own, the data are of the other
    other = settings(model_dir=str(tmp_path / "other"), tokenizer="easytransfer", **names)
    converted(encoder, texts, tmp_path / "data", "published")
    with pytest.raises(UserError, match="made with the tokenizer published, the model's is easytransfer"):
        train.run(other)


@pytest.mark.usefixtures("untraced")
def test_another_tokenizer_json_is_another_vocabulary(settings: Callable[..., Any], encoder: Path, tmp_path: Path) -> None:
    chosen = settings(features="ocnli=pooled+ngrams:64:4")  # n-grams work on its ids
    assert train.run(chosen) == 0
    write_tokenizer(encoder, "bpe")
    with pytest.raises(UserError, match="holds a run with another vocabulary than .*tokenizer.json"):
        train.run(chosen)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(UserError, match=r"was made with another vocabulary .* than the model's"):
        train.run(chosen)


def test_records_without_manifest_are_refused(settings: Callable[..., Any], tmp_path: Path) -> None:
    chosen = settings()
    for path in (tmp_path / "data").glob("*.tfrecord"):
        manifest_path(path).unlink()
    with pytest.raises(UserError, match="no manifest, so its ids are taken as those of EasyTransfer's WordPiece"):
        train.run(chosen)


@pytest.mark.usefixtures("untraced")
def test_pair_and_ngrams_tell_two_texts_apart_without_token_types(
    settings: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The encoder gets token types 0, in training, in private copies, and in the exported model; features see the texts."""
    seen: list[bool] = []

    def recorded(encoder: Any, segment_ids: tf.Tensor) -> tf.Tensor:
        seen.append(encoder.has_types)
        return token_types(encoder, segment_ids)

    token_types = Encoder.token_types
    monkeypatch.setattr(Encoder, "token_types", recorded)
    for sharing in ("soft", "shared_private"):
        run = tmp_path / sharing
        more = {"private_part": "encoder", "private_width": 8, "private_layers": 1} if sharing == "shared_private" else {}
        chosen = settings(features="ocnli=pooled+pair+ngrams:64:4", sharing=sharing, model_dir=str(run), **more)
        assert train.run(chosen) == 0
        model = Predictor(str(run)).model
        ids = tf.constant([[0, 9, 8, 2, 2, 7, 2]])
        apart, together = ({"input_ids": ids, "input_mask": tf.ones_like(ids), "segment_ids": types} for types in SEGMENTS)
        for task in model.tasks:
            differ = np.abs(model.build_logits(apart)[task.logits_name] - model.build_logits(together)[task.logits_name])
            assert (differ.max() > 0) == (task.name == "OCNLI"), (sharing, task.name)
    assert seen and not any(seen)


@pytest.mark.usefixtures("untraced")
def test_deberta_over_sentencepiece(settings: Callable[..., Any], encoder: Path, tmp_path: Path) -> None:
    """As mDeBERTa: a SentencePiece vocabulary with BERT's template, of whose token types the encoder reads none."""
    pair = tokenizer_json("unigram")["post_processor"]["pair"]
    for part in pair[3:]:
        next(iter(part.values()))["type_id"] = 1
    template = {**tokenizer_json("unigram")["post_processor"], "pair": [*pair[:2], pair[2], *pair[4:]]}
    write_tokenizer(encoder, post_processor=template)
    config = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": "deberta-v2", "type_vocab_size": 0, "relative_attention": True, "pos_att_type": "p2c|c2p"}
    config |= {"position_biased_input": False, "norm_rel_ebd": "layer_norm", "share_att_key": True}
    (encoder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert train.run(settings(features="ocnli=pooled+pair")) == 0
    predictor = Predictor(str(tmp_path / "run"))
    assert predictor.model.encoder.has_types
    assert len(predictor.predict("OCNLI", ["1"], [("今天天气好", "天气不好")]).labels) == 1


def test_token_dropout_needs_a_mask(settings: Callable[..., Any], encoder: Path) -> None:
    value = json.loads((encoder / "tokenizer.json").read_text(encoding="utf-8"))
    added = [token for token in value["added_tokens"] if token["content"] != "<mask>"]
    write_tokenizer(encoder, added_tokens=added)
    with pytest.raises(UserError, match=r"token_dropout shows tokens as \[MASK\], which .*tokenizer.json does not have"):
        train.run(settings(token_dropout=0.1))


@pytest.mark.parametrize("kind", ["unigram", "bpe", "wordpiece"])
@pytest.mark.parametrize("masking", ["token", "wwm"])
def test_pretraining_and_training_on_it(
    kind: str, masking: str, encoder: Path, texts: Path, tmp_path: Path, settings: Callable[..., Any]
) -> None:
    write_tokenizer(encoder, kind)
    flags = [f"--pretrain_model_name_or_path={encoder}", f"--data_dir={texts}", f"--model_dir={tmp_path / 'pre'}"]
    flags += ["--random_init", "--sequence_length=16", "--train_steps=2", "--length_buckets=1", f"--masking={masking}"]
    assert pretrain.run(load_settings(PretrainSettings, [*flags, "--word_vectors=texts"], "pretrain")) == 0
    final = tmp_path / "pre" / "final"
    assert load_published(final / "tokenizer.json").sha256 == load_published(encoder / "tokenizer.json").sha256
    assert train.run(settings(pretrain_model_name_or_path=str(final), random_init=False, random_pooler=True)) == 0


def test_pretraining_takes_no_words_for_pieces(encoder: Path, texts: Path, tmp_path: Path) -> None:
    flags = [f"--pretrain_model_name_or_path={encoder}", f"--data_dir={texts}", f"--model_dir={tmp_path / 'pre'}"]
    with pytest.raises(UserError, match="word_vectors x.txt holds words, .* only word_vectors=texts"):
        pretrain.run(
            load_settings(
                PretrainSettings, [*flags, "--random_init", "--sequence_length=16", "--word_vectors=x.txt"], "pretrain"
            )
        )


def test_convert_refuses_before_work(encoder: Path, texts: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="sequence_length is 5; .* at least 6"):
        converted(encoder, texts, tmp_path / "out", "auto", "--sequence_length=5")
    config = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    (encoder / "config.json").write_text(json.dumps({**config, "vocab_size": 20}), encoding="utf-8")
    with pytest.raises(UserError, match="more than vocab_size 20"):
        converted(encoder, texts, tmp_path / "out")
    assert not (tmp_path / "out").exists()
