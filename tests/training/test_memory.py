"""What a run needs of memory: parameters counted without building anything, and each thing that it keeps beside them."""

import logging
import resource
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import tensorflow as tf
from transformers import AlbertConfig, BertConfig, DebertaV2Config, ElectraConfig, PretrainedConfig, RoFormerConfig

from easytransfer_mtl.config.train_settings import SHARINGS, TrainSettings
from easytransfer_mtl.encoders.dropout import DropoutClock
from easytransfer_mtl.encoders.kinds import kind_of
from easytransfer_mtl.errors import UserError
from easytransfer_mtl.models.architecture import Architecture
from easytransfer_mtl.models.multitask_model import MultiTaskModel
from easytransfer_mtl.models.variables import build_variables
from easytransfer_mtl.runs import memory as machine_memory
from easytransfer_mtl.runs.memory import count_parameters
from easytransfer_mtl.tasks import CONTEST_TASKS
from easytransfer_mtl.training.memory import Estimate, check_memory, estimate
from easytransfer_mtl.training.plan import plan_run
from easytransfer_mtl.training.preparation import prepare

Settings = Callable[..., TrainSettings]
Memory = Callable[..., Estimate]
SIZES = {
    "vocab_size": 25, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 16, "type_vocab_size": 2,
}  # fmt: skip
CONFIGS: dict[str, Callable[..., PretrainedConfig]] = {
    "bert": partial(BertConfig, **SIZES),
    "albert": partial(AlbertConfig, **SIZES, embedding_size=4),
    "electra": partial(ElectraConfig, **SIZES, embedding_size=4),
    "roformer": partial(RoFormerConfig, **SIZES, embedding_size=8, rotary_value=True),
    "deberta-v2": partial(
        DebertaV2Config, **SIZES, relative_attention=True, pos_att_type=["c2p", "p2c"], position_buckets=4,
        norm_rel_ebd="layer_norm", conv_kernel_size=3,
    ),
}  # fmt: skip
GRAM = {"loss_weighting": "mgda", "step_mode": "joint"}
PRIVATE = {"sharing": "shared_private"}
MODELS: dict[str, dict[str, Any]] = {
    "hard": {},
    "soft": {"sharing": "soft"},
    "top": {**PRIVATE, "adversarial_weight": 0.1},
    "top of two, gate": {**PRIVATE, "private_layers": 2, "combine": "gate"},
    "encoder": {**PRIVATE, "private_part": "encoder", "private_width": 6},
    "encoder, gate": {**PRIVATE, "private_part": "encoder", "private_width": 6, "combine": "gate"},
    "adapters": {**PRIVATE, "private_part": "adapter", "adapter_size": 3},
    "nothing private": {**PRIVATE, "private_layers": 0},
    "memory": {"sharing": "memory", "memory_slots": 5},
    "mmoe": {"sharing": "mmoe", "experts": 3, "expert_size": 6},
    "ple": {"sharing": "ple", "expert_size": 6, "ple_levels": 3},
    "features and heads": {
        "features": "tnews=cls+ngrams:50:4,ocnli=pair+ngrams:10:3,ocemotion=sequence",
        "heads": "tnews=mlp:7,ocemotion=bilstm:3",
    },
    "attention": {"features": "attention_shared", "heads": "multi_dropout"},
}  # fmt: skip
"""What models are made of: every sharing structure with its options, and features and heads with variables of their own."""


def built(config: PretrainedConfig, architecture: Architecture) -> MultiTaskModel:
    return MultiTaskModel(kind_of(config).build(config, DropoutClock(0)), CONTEST_TASKS, architecture)


@pytest.fixture
def memory(tiny_settings: Settings) -> Memory:
    """Estimates the memory of a run of a tiny encoder, a BERT unless a config says, on rows of 16 tokens."""

    def estimated(config: PretrainedConfig | None = None, length: int = 16, **changes: Any) -> Estimate:
        settings, config = tiny_settings(**changes), config or CONFIGS["bert"]()
        plan = plan_run(settings, list(CONTEST_TASKS), [12, 12, 12], config)
        return estimate(settings, plan, config, CONTEST_TASKS, length)

    return estimated


def test_every_structure_is_among_the_models() -> None:
    assert {changes.get("sharing", "hard") for changes in MODELS.values()} == set(SHARINGS)


SAME_AROUND_ALL = ("hard", "encoder, gate", "nothing private", "attention")
"""Of these an encoder other than BERT has nothing that it has not in another model: one has heads too, one a gate."""


@pytest.mark.parametrize(
    ("kind", "case"), [(kind, case) for kind in CONFIGS for case in MODELS if kind == "bert" or case not in SAME_AROUND_ALL]
)
def test_the_parameters_are_those_of_the_built_model(kind: str, case: str, memory: Memory, tiny_settings: Settings) -> None:
    config, changes = CONFIGS[kind](), MODELS[case]
    if kind == "deberta-v2" and case in ("top", "top of two, gate", "adapters"):
        with pytest.raises(UserError, match="works with layers like BERT's only"):
            memory(config, **changes)
        return
    found = memory(config, **changes).parameters
    plan = plan_run(tiny_settings(**changes), list(CONTEST_TASKS), [12, 12, 12], config)
    model = built(config, plan.architecture)
    build_variables(model)
    assert found == sum(int(tf.size(variable)) for variable in model.weights)
    trained = sum(int(tf.size(variable)) for variable in model.trainable_variables)
    assert found >= trained > 0


def test_counting_allocates_nothing_of_the_models_size() -> None:
    config = BertConfig(
        vocab_size=10**9, hidden_size=1024, num_hidden_layers=2, num_attention_heads=16, intermediate_size=4096
    )
    three = Architecture(
        sharing=replace(Architecture().sharing, sharing="soft"), features={"TNEWS": "cls+ngrams:1000000:64"}
    )
    count_parameters(lambda: built(CONFIGS["bert"](), three).weights)  # what a first graph takes anyway
    before = peak_bytes()
    tracemalloc.start()
    found = count_parameters(lambda: built(config, three).weights)
    _, python_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found > 3 * 1024 * 10**9  # 12 TB of numbers
    assert python_bytes < 100e6 and peak_bytes() - before < 300e6


def test_counting_a_model_that_could_be_built_takes_no_memory_of_its_size_either() -> None:
    count_parameters(lambda: built(CONFIGS["bert"](), Architecture()).weights)
    before, width = peak_bytes(), 1024
    words = int((before + 2e9) / 4 / width)  # so many that building it would raise the peak by 2 GB, whatever it is
    config = BertConfig(vocab_size=words, hidden_size=width, num_attention_heads=16, intermediate_size=4096)
    assert 4 * count_parameters(lambda: built(config, Architecture()).weights) > before + 2e9
    assert peak_bytes() - before < 100e6


def peak_bytes() -> float:
    """Returns the largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if sys.platform == "linux" else 1)


def test_counting_leaves_what_is_built_afterwards_as_it_is() -> None:
    config = CONFIGS["bert"]()
    count_parameters(lambda: built(config, Architecture()).weights)
    assert tf.executing_eagerly()
    model = built(config, Architecture())
    build_variables(model)
    assert all(variable.numpy().shape == variable.shape for variable in model.weights)


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"ema_decay": 0.9}, 1), ({"adversarial": "fgm"}, 1), ({"adversarial": "pgd", "num_accumulated_batches": 2}, 2),
        ({"swa_checkpoints": 2}, 2), ({"swa_checkpoints": 2, "ema_decay": 0.9, "adversarial": "fgm"}, 3),
        ({**GRAM, "adversarial": "fgm"}, 4), (GRAM, 3), ({**GRAM, "gram_variables": "last_layer"}, 0),
        ({"loss_weighting": "gradnorm", "step_mode": "joint"}, 0), ({"num_accumulated_batches": 2}, 1),
        ({"step_mode": "joint", "num_accumulated_batches": 2}, 4),
        ({"step_mode": "joint", "loss_weighting": "graddrop"}, 3), ({"step_mode": "joint", "loss_weighting": "moco"}, 6),
        ({"step_mode": "joint", "loss_weighting": "modo", "num_accumulated_batches": 2}, 7),
        ({"optimizer": "adagrad"}, -1), ({"optimizer": "lamb"}, 0), ({"optimizer": "adadelta"}, 0), ({"sharing": "soft"}, 2),
        ({"sharing": "soft", "soft_weight": 0.0}, 0), ({"sharing": "mmoe"}, 0),
    ],
)  # fmt: skip
def test_numbers_a_parameter(changes: dict[str, Any], more: int, memory: Memory) -> None:
    plain, found = memory(), memory(**changes)
    assert found.copies == plain.copies + more
    if more > 0:
        assert found.gb > plain.gb
    assert found.gb == pytest.approx(found.program_gb + found.states_gb + 4 * found.copies * found.parameters / 1e9)


def test_states_are_counted_number_by_number(memory: Memory) -> None:
    a_token = 2 * (8 * 8 + 2 * 16 + 2 * 2 * 16)  # 2 layers of 8, inner width 16, 2 heads, 16 tokens
    assert memory().states_gb == pytest.approx(4 * 4 * 16 * a_token / 1e9)
    assert memory(precision="bfloat16").states_gb == pytest.approx(2 * 4 * 16 * a_token / 1e9)
    assert memory(train_batch_size=12).states_gb == pytest.approx(3 * memory().states_gb)
    assert memory(num_accumulated_batches=2).states_gb == pytest.approx(memory().states_gb)
    joint = {"step_mode": "joint", "joint_batch_sizes": "tnews=5,ocnli=6"}
    assert memory(**joint).states_gb == pytest.approx((5 + 4 + 6) / 4 * memory().states_gb)
    assert memory(length=8).states_gb < memory().states_gb / 2 < memory(length=16).states_gb


def test_rows_that_go_twice_through_the_network_keep_twice_the_states(memory: Memory) -> None:
    plain, twice = memory(), memory(rdrop_alpha=1.0)
    assert twice.states_gb == pytest.approx(2 * plain.states_gb) and twice.copies == plain.copies


@pytest.mark.parametrize("part", ["top", "encoder"])
def test_layers_of_a_private_part_keep_states_too(part: str, memory: Memory) -> None:
    found = [memory(**PRIVATE, private_part=part, private_layers=layers).states_gb for layers in (0, 1, 2)]
    assert found[0] == pytest.approx(memory().states_gb) and found[0] < found[1] < found[2]


@pytest.mark.parametrize(
    ("features", "numbers"),
    [(None, 0), ("mean", 0), ("pooled+ngrams:1000:8", 3 * 8000), ("tnews=cls+ngrams:50:4,ocnli=pair+ngrams:10:3", 230)],
)
def test_tables_of_ngrams_count_with_all_their_copies(features: str | None, numbers: int, memory: Memory) -> None:
    plain, found = memory(), memory(features=features)
    assert found.parameters - plain.parameters >= numbers and found.copies == plain.copies
    assert found.gb - plain.gb == pytest.approx(4 * found.copies * (found.parameters - plain.parameters) / 1e9, abs=1e-12)


def test_memory_grows_with_what_needs_it(memory: Memory) -> None:
    hard = memory().gb
    assert 1.0 < hard < memory(sharing="soft", soft_weight=0.0).gb < memory(sharing="soft").gb < 1.5
    assert hard < memory(train_batch_size=8).gb and hard < memory(num_accumulated_batches=2, train_batch_size=8).gb
    assert hard > memory(precision="bfloat16").gb
    assert memory(step_mode="joint").gb < memory(**GRAM).gb


def test_more_memory_than_there_is_is_refused_and_told_of_hard_sharing(
    tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(machine_memory, "machine_gb", lambda: 0.5)
    advice = "Lower --train_batch_size or convert's --sequence_length{}, take a smaller encoder, or set --sharing=hard"
    with pytest.raises(UserError, match=rf"soft needs about 1\.3 GB .* this machine has 0\.5 GB. {advice.format('')}"):
        prepare(tiny_settings(sharing="soft"))
    for changes, options in (
        ({**PRIVATE, "private_part": "adapter"}, ", --private_layers, --adapter_size"),
        ({**PRIVATE, "private_part": "encoder"}, ", --private_layers, --private_width"),
        ({"sharing": "memory"}, ", --memory_slots"),
        ({"sharing": "ple"}, ", --experts, --task_experts, --ple_levels, --expert_size"),
    ):
        with pytest.raises(UserError, match=advice.format(options)):
            prepare(tiny_settings(**changes))
    prepare(tiny_settings())
    assert "training needs about 1.1 GB" in caplog.text


def test_what_a_run_needs_is_logged(
    tiny_settings: Settings, memory: Memory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(machine_memory, "machine_gb", lambda: 7.5)
    with caplog.at_level(logging.INFO):
        check_memory(memory(sharing="soft"), tiny_settings(sharing="soft"))
        assert "estimated memory: 1.3 GB of 7.5 GB" in caplog.text
        prepare(tiny_settings())
    assert "estimated memory: 1.1 GB of 7.5 GB" in caplog.text
