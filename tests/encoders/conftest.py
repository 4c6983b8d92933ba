"""Tiny random encoders of every type, as transformers' TensorFlow classes make and save them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

SIZES = {
    "vocab_size": 25, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 16, "type_vocab_size": 2, "initializer_range": 0.4,
}  # fmt: skip
RELATIVE = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False, "type_vocab_size": 0}
TYPES = {
    "bert": ("Bert", {}),
    "roberta": ("Roberta", {}),
    "xlm-roberta": ("XLMRoberta", {"type_vocab_size": 1}),
    "albert": ("Albert", {"embedding_size": 4, "num_hidden_layers": 3, "hidden_act": "relu"}),
    "albert wide": ("Albert", {"embedding_size": 8, "hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.2}),
    "electra": ("Electra", {"embedding_size": 8}),
    "electra small": ("Electra", {"embedding_size": 4}),
    "roformer": ("RoFormer", {"embedding_size": 8}),
    "roformer small": ("RoFormer", {"embedding_size": 4, "rotary_value": True}),
    "deberta": ("Deberta", RELATIVE),
    "deberta absolute": ("Deberta", {"type_vocab_size": 2}),
    "deberta-v2": (
        "DebertaV2",
        {
            **RELATIVE, "position_buckets": 4, "share_att_key": True, "norm_rel_ebd": "layer_norm", "conv_kernel_size": 3,
            "conv_act": "gelu",
        },
    ),
}  # fmt: skip


class Saved(NamedTuple):
    """A saved encoder: the folder with ``h5`` and ``safetensors`` in it, transformers' model, its type."""

    folder: Path
    model: Any
    model_type: str


class Rows(NamedTuple):
    """Two rows, the first with padding."""

    input_ids: tf.Tensor = tf.constant([[2, 7, 8, 9, 3, 0, 0], [2, 10, 3, 11, 12, 21, 3]])
    input_mask: tf.Tensor = tf.constant([[1, 1, 1, 1, 1, 0, 0], [1] * 7])
    segment_ids: tf.Tensor = tf.constant([[0] * 7, [0, 0, 0, 1, 1, 1, 1]])

    def outputs(self, model: Any) -> Any:
        """Returns what transformers' model makes of them."""
        return model(
            input_ids=self.input_ids,
            attention_mask=self.input_mask,
            token_type_ids=self.segment_ids * int(model.config.type_vocab_size != 1),
            output_hidden_states=True,
        )


@pytest.fixture(scope="session")
def rows() -> Rows:
    """The rows."""
    return Rows()


@pytest.fixture(params=TYPES)
def config_of_type(request: pytest.FixtureRequest) -> Any:
    """One type's config after the other."""
    return config_named(request.param)


@pytest.fixture(scope="session", params=TYPES)
def saved_type(request: pytest.FixtureRequest, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """One type after the other, with random values in every variable."""
    return saved(request.param, tiny_encoder, tmp_path_factory.mktemp("saved_type"))


@pytest.fixture(scope="session", params=["albert wide", "electra small", "roformer small", "deberta", "deberta-v2"])
def trained_type(request: pytest.FixtureRequest, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """The same of the types whose training is not BERT's, for what takes long."""
    return saved(request.param, tiny_encoder, tmp_path_factory.mktemp("trained_type"))


@pytest.fixture(scope="session")
def types() -> list[str]:
    """The names of all types."""
    return list(TYPES)


@pytest.fixture(scope="session", name="config_named")
def config_named_fixture() -> Callable[[str], Any]:
    """Returns a type's config by its name."""
    return config_named


def config_named(name: str) -> Any:
    """Returns a type's config."""
    import transformers

    family, changes = TYPES[name]
    return getattr(transformers, f"{family}Config")(**{**SIZES, **changes})


@pytest.fixture(scope="session")
def save_finetuned(tiny_encoder: Path) -> Callable[..., Any]:
    """Returns a function that saves a random model of a type with a head of transformers, and returns the model."""

    def save(name: str, head: str, folder: Path, **layout: Any) -> Any:
        import transformers

        model = getattr(transformers, f"TF{TYPES[name][0]}{head}")(config_named(name))
        model.build_in_name_scope()
        random = np.random.default_rng(3)
        for variable in model.weights:
            if "embed_positions" not in variable.name:
                variable.assign(random.normal(0, 0.4, variable.shape))
        model.save_pretrained(folder, **layout)
        shutil.copyfile(tiny_encoder / "vocab.txt", folder / "vocab.txt")
        return model

    return save


def saved(name: str, tiny_encoder: Path, folder: Path) -> Saved:
    """Makes a type's random encoder and saves it."""
    import transformers

    config = config_named(name)
    model = getattr(transformers, f"TF{TYPES[name][0]}Model")(config)
    model.build_in_name_scope()
    random = np.random.default_rng(3)
    for variable in model.weights:
        if "embed_positions" not in variable.name:
            variable.assign(random.normal(0, 0.4, variable.shape))
    for layout, safe in (("h5", False), ("safetensors", True)):
        model.save_pretrained(folder / layout, safe_serialization=safe)
        shutil.copyfile(tiny_encoder / "vocab.txt", folder / layout / "vocab.txt")
    return Saved(folder, model, config.model_type)
