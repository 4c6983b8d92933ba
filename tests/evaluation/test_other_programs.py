"""What docs/exported_models.md says that others do with best/: its code, run, has our logits."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from easytransfer_mtl.data.features import FeatureBuilder
from easytransfer_mtl.data.tokenization import Tokenizer, load_vocabulary
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.kinds import KINDS, kind_of, transformers_class
from easytransfer_mtl.evaluation.export import export_model
from easytransfer_mtl.evaluation.prediction import Predictor
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.runs.folder import RunFolder, TaskInput
from easytransfer_mtl.tasks import CONTEST_TASKS, task_named

DOCUMENT = Path(__file__).parents[2] / "docs/exported_models.md"
BLOCKS = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
PYTORCH, TENSORFLOW = (block for block in BLOCKS if "runs/my/model/best" in block)
INPUTS = {task.name: TaskInput(6 if task.name == "TNEWS" else 12, "none") for task in CONTEST_TASKS}
SIZES = {
    "vocab_size": 25, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 16, "type_vocab_size": 2,
}  # fmt: skip
CUT = ("天地人日月", "山水火天地人日")  # to 9 tokens, an odd number: 5 and 4, where transformers' own cut is 4 and 5
TEXTS = [("tnews", ("天地人日月山水火",)), ("ocnli", ("天A地", "日月山水")), ("ocnli", CUT), ("ocnli", (CUT[1], "天"))]


@pytest.fixture
def exported(tiny_encoder: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Exports a baseline of a type with random weights far from zero."""

    def export(model_type: str) -> Path:
        config = transformers_class(KINDS[model_type].config_class)(**SIZES)
        model = MultiTaskModel(kind_of(config).build(config, DropoutClock(0)), CONTEST_TASKS)
        random = np.random.default_rng(2)
        for variable in model.trainable_variables:
            variable.assign(random.normal(0, 0.4, variable.shape))
        run = RunFolder(tmp_path / model_type)
        run.write_model(config, load_vocabulary(tiny_encoder / "vocab.txt"), CONTEST_TASKS, INPUTS)
        return export_model(model, run, INPUTS, {})

    return export


def own_logits(model: MultiTaskModel, best: Path, name: str, text: tuple[str, ...]) -> np.ndarray:
    """Returns our logits of one text or pair, [1, C]."""
    tokenizer = Tokenizer(load_vocabulary(best / "vocab.txt"))
    row = FeatureBuilder(tokenizer, INPUTS[name].sequence_length).encode(text)
    ids = tf.constant([row.input_ids])
    types = tf.cast(tf.range(ids.shape[1])[None] >= row.first_length, tf.int32)
    logits = model.build_logits({"input_ids": ids, "input_mask": tf.ones_like(ids), "segment_ids": types})
    return logits[task_named(name, model.tasks).logits_name].numpy()


@pytest.mark.parametrize("model_type", ["bert", "albert", "electra", "deberta-v2"])
def test_pytorch_rebuilds_the_classifier(model_type: str, exported: Callable[[str], Path], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    best = exported(model_type)
    code = "import os; os.environ |= {'USE_TF': '0', 'USE_TORCH': '1'}\nimport numpy\n"
    for number, (task, text) in enumerate(TEXTS):
        told = PYTORCH.replace('"runs/my/model/best", "tnews", ("天地",)', f"{str(best)!r}, {task!r}, {text!r}")
        assert told != PYTORCH
        code += f"{told}\nnumpy.savez({str(tmp_path / str(number))!r}, logits=logits, label=label)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    predictor = Predictor(str(best))
    for number, (task, text) in enumerate(TEXTS):
        with np.load(tmp_path / f"{number}.npz") as found:
            assert str(found["label"]) == predictor.predict(task.upper(), ["0"], [text]).labels[0]
            np.testing.assert_allclose(found["logits"], own_logits(predictor.model, best, task.upper(), text), atol=1e-5)


def test_tensorflow_has_the_encoder(exported: Callable[[str], Path]) -> None:
    best = exported("bert")
    names: dict[str, Any] = {}
    exec(TENSORFLOW.replace("runs/my/model/best", str(best)), names)  # the document's own lines
    ids = tf.constant([[2, 7, 4, 9, 3]])
    inputs = (ids, tf.ones_like(ids), tf.zeros_like(ids))
    pooled = Predictor(str(best)).model.encoder.pooled_output(*inputs)
    np.testing.assert_allclose(names["encoder"](*inputs).pooler_output, pooled, atol=1e-5)
