"""XLM-R and RoBERTa as published: from a masked language model and its tokenizer.json to predictions and best/."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import transformers
from published_tokenizers import write_tokenizer
from pytorch_process import need_pytorch, pytorch_outputs
from tensorflow_models import tensorflow_model

from easytransfer_mtl.commands import convert, train
from easytransfer_mtl.config.base import load_settings
from easytransfer_mtl.config.convert_settings import ConvertSettings
from easytransfer_mtl.config.pretrain_settings import PretrainSettings
from easytransfer_mtl.data.published_features import feature_builder
from easytransfer_mtl.data.published_tokenizer import load_published
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.finding import find_encoder
from easytransfer_mtl.encoders.loading import load_encoder
from easytransfer_mtl.encoders.weight_files import read_weights
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.evaluation.prediction import Predictor
from easytransfer_mtl.pretraining.model import MaskedLanguageModel
from easytransfer_mtl.pretraining.trainer import run_pretraining

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
POSITIONS = 16
SIZES = {
    "vocab_size": 320, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": POSITIONS + 2, "pad_token_id": 1, "type_vocab_size": 1, "initializer_range": 0.4,
}  # fmt: skip
FAMILIES = {"xlm-roberta": ("XLMRoberta", "unigram"), "roberta": ("Roberta", "bpe")}


@pytest.fixture(params=FAMILIES)
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of a random masked language model with its tokenizer.json."""
    family, tokenizer = FAMILIES[request.param]
    folder = tmp_path / "encoder"
    model = getattr(transformers, f"TF{family}ForMaskedLM")(getattr(transformers, f"{family}Config")(**SIZES))
    model.build_in_name_scope()
    model.save_pretrained(folder)
    own = {
        "type": "RobertaProcessing",
        "sep": ["</s>", 2],
        "cls": ["<s>", 0],
        "trim_offsets": True,
        "add_prefix_space": False,
    }
    write_tokenizer(folder, tokenizer, **({"post_processor": own} if tokenizer == "bpe" else {}))
    return folder


@pytest.fixture
def converted(encoder: Path, tmp_path: Path) -> Callable[..., Path]:
    """Converts the first rows of the sample."""
    texts = tmp_path / "texts"
    texts.mkdir()
    for path in SAMPLE.glob("*.csv"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        (texts / path.name).write_text("".join(lines[:24]), encoding="utf-8")

    def convert_to(length: int = POSITIONS) -> Path:
        flags = [f"--data_dir={texts}", f"--output_dir={tmp_path / 'data'}", f"--tokenizer_name_or_path={encoder}"]
        assert convert.run(load_settings(ConvertSettings, [*flags, f"--sequence_length={length}"], "convert")) == 0
        return tmp_path / "data"

    return convert_to


@pytest.fixture
def settings(encoder: Path, converted: Callable[..., Path], tiny_settings: Callable[..., Any]) -> Callable[..., Any]:
    """Converts and builds settings of a run."""

    def build(**changes: Any) -> Any:
        data = converted()
        lists = {"train_input_fp": str(data / "train.list_tfrecord"), "predict_input_fp": str(data / "dev.list_tfrecord")}
        start = {"pretrain_model_name_or_path": str(encoder), "random_init": False, "random_pooler": True}
        return tiny_settings(**{**start, **lists, "num_epochs": 0.2, "keep_checkpoint_max": 1, **changes})

    return build


def test_from_a_masked_language_model_to_best(settings: Callable[..., Any], encoder: Path, tmp_path: Path) -> None:
    """Freezing, Gram methods, pair, layer mix and bfloat16 work, and both of transformers' libraries have our outputs."""
    chosen = settings(
        num_freezed_layers=1,
        loss_weighting="mgda",
        step_mode="joint",
        gram_variables="last_layer",
        features="ocnli=cls+pair,tnews=mix.mean,ocemotion=pooled",
        precision="bfloat16",
    )
    assert train.run(chosen) == 0
    best = tmp_path / "run" / "best"
    loaded = load_encoder(find_encoder(str(best)), DropoutClock(0))
    before = load_encoder(find_encoder(str(encoder)), DropoutClock(0), random_pooler=True).encoder.canonical_variables
    changed = {name: not np.array_equal(before[name], now) for name, now in loaded.encoder.canonical_variables.items()}
    kernels = (changed[f"encoder/layer_{number}/output/dense/kernel"] for number in range(2))
    assert tuple(kernels) == (False, True)
    builder = feature_builder(loaded.vocabulary, "none", POSITIONS)
    rows = [builder.encode(("今天天气好", "看书" * 20)), builder.encode(("天气",))]
    size = max(len(row.input_ids) for row in rows)
    assert size == POSITIONS  # the last position counts
    ids = np.array([row.input_ids + [1] * (size - len(row.input_ids)) for row in rows])
    mask = (np.arange(size) < [[len(row.input_ids)] for row in rows]).astype(np.int32)
    inputs = (tf.constant(ids, tf.int32), tf.constant(mask), tf.zeros_like(mask))
    sequence, pooled = loaded.encoder.encode(*inputs)
    family = type(loaded.encoder.config).__name__.removesuffix("Config")
    model = tensorflow_model(getattr(transformers, f"TF{family}Model"), best)
    theirs = model(input_ids=inputs[0], attention_mask=inputs[1], token_type_ids=inputs[2])
    np.testing.assert_allclose(theirs.last_hidden_state[mask == 1], sequence[mask == 1], atol=1e-5)
    np.testing.assert_allclose(theirs.pooler_output, pooled, atol=1e-5)
    tokenizer = transformers.AutoTokenizer.from_pretrained(best)
    found = tokenizer(["今天天气好", "天气"], ["看书" * 20, ""], truncation="longest_first", padding=True, max_length=16)
    assert (found["input_ids"][0], tokenizer.model_max_length) == (rows[0].input_ids, POSITIONS)
    assert "token_type_ids" not in found
    need_pytorch()
    ((told, outputs),) = pytorch_outputs("AutoModel", {best: inputs})
    assert told["class"] == f"{family}Model" and not told["missing_keys"] and not told["unexpected_keys"]
    np.testing.assert_allclose(outputs["last_hidden_state"][mask == 1], sequence[mask == 1], atol=1e-5)
    np.testing.assert_allclose(outputs["pooler_output"], pooled, atol=1e-5)


@pytest.mark.usefixtures("untraced")
def test_position_limit_is_known_everywhere(
    settings: Callable[..., Any], converted: Callable[..., Path], encoder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"sequence_length is 17; .* allows 16 \(max_position_embeddings\)"):
        converted(17)
    chosen = settings()
    assert train.run(chosen) == 0
    for name in ("run", "run/best"):
        path = tmp_path / name / "tasks.json"
        value = json.loads(path.read_text(encoding="utf-8"))
        for task in value["inputs"].values():
            task["sequence_length"] = 64
        path.write_text(json.dumps(value), encoding="utf-8")
        about = tmp_path / name / "export.json"
        if about.exists():
            written = json.loads(about.read_text(encoding="utf-8"))
            del written["sha256"]["tasks.json"]
            about.write_text(json.dumps(written), encoding="utf-8")
        predictor = Predictor(str(tmp_path / name))
        assert np.isfinite(predictor.predict("TNEWS", ["1"], [("天气" * 50,)]).probabilities).all()
    config = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    (encoder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 30}), encoding="utf-8")
    converted(28)
    (encoder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(UserError, match="16"):
        train.run(chosen)


def test_bad_configs_end_before_work(converted: Callable[..., Path], encoder: Path, tmp_path: Path) -> None:
    config = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    tokens = len(load_published(encoder / "tokenizer.json"))
    without = {key: value for key, value in config.items() if key != "pad_token_id"}
    for value, message in (
        (without, "pad_token_id is missing"),
        ({**config, "vocab_size": tokens - 1}, f"has {tokens} tokens, more than vocab_size {tokens - 1}"),
    ):
        (encoder / "config.json").write_text(json.dumps(value), encoding="utf-8")
        for attempt in (converted, lambda: load_encoder(find_encoder(str(encoder)), DropoutClock(0))):
            with pytest.raises(UserError, match=message):
                attempt()
    assert not (tmp_path / "data").exists()


def test_without_tokenizer_json_the_way_to_it_is_told(encoder: Path) -> None:
    (encoder / "tokenizer.json").unlink()
    for name in ("vocab.json", "merges.txt"):
        (encoder / name).touch()
    with pytest.raises(UserError, match=r"tokenizer.json in its place\). Found: .*merges.txt, .*vocab.json") as error:
        _ = find_encoder(str(encoder)).vocabulary
    assert "AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER)" in str(error.value)


def test_pretraining_goes_on_with_their_head(
    encoder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    settings = PretrainSettings(
        pretrain_model_name_or_path=str(encoder), data_dir=str(SAMPLE), model_dir=str(tmp_path / "run"), train_steps=2,
        random_pooler=True, sequence_length=POSITIONS, train_batch_size=8, length_buckets=1, held_out=0.02, packing="none",
    )  # fmt: skip
    with caplog.at_level(logging.INFO):
        done = run_pretraining(settings)
    assert "Masked-word head: taken from" in caplog.text
    masked = getattr(transformers, f"TF{FAMILIES[request.node.callspec.params['encoder']][0]}ForMaskedLM")
    start = MaskedLanguageModel(
        load_encoder(find_encoder(str(encoder)), DropoutClock(0), random_pooler=True).encoder, settings
    )
    start.take(read_weights(encoder))
    ids, labels = tf.constant([[0, 9, 4, 12, 2]]), tf.constant([9, 12])
    batch = {"input_ids": ids, "input_mask": tf.ones_like(ids), "segment_ids": tf.zeros_like(ids), "labels": labels}
    for model, theirs in (
        (start, masked.from_pretrained(encoder)),
        (done.model, tensorflow_model(masked, done.final)),
    ):
        losses, _ = model.token_losses({**batch, "positions": tf.constant([1, 3])}, False, "float32")
        scores = tf.gather(theirs(ids).logits[0], [1, 3])
        np.testing.assert_allclose(losses, tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores), atol=1e-4)
