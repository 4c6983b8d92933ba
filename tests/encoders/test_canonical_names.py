"""Canonical names of single weights, from every library's and type's own."""

import pytest

from easytransfer_mtl.encoders.canonical_names import canonical_name


@pytest.mark.parametrize(
    "stored, canonical",
    [
        ("embeddings.word_embeddings.weight", "embeddings/word_embeddings"),
        ("bert.embeddings.position_embeddings.weight", "embeddings/position_embeddings"),
        ("module.bert.encoder.layer.11.attention.self.query.weight", "encoder/layer_11/attention/self/query/kernel"),
        ("model.encoder.layer.0.attention.output.dense.bias", "encoder/layer_0/attention/output/dense/bias"),
        ("bert.encoder.layer.0.attention.output.LayerNorm.weight", "encoder/layer_0/attention/output/LayerNorm/gamma"),
        ("bert.embeddings.LayerNorm.gamma", "embeddings/LayerNorm/gamma"),
        ("bert.embeddings.LayerNorm.bias", "embeddings/LayerNorm/beta"),
        ("roberta.pooler.dense.weight", "pooler/dense/kernel"),
        ("tf_bert_model/bert/encoder/layer_._3/intermediate/dense/kernel:0", "encoder/layer_3/intermediate/dense/kernel"),
        ("tf_bert_for_pre_training_1/bert/embeddings/word_embeddings/weight:0", "embeddings/word_embeddings"),
        ("bert/embeddings/position_embeddings/embeddings:0", "embeddings/position_embeddings"),
        ("tf_bert_model_2/bert/embeddings/token_type_embeddings/weight:0", "embeddings/token_type_embeddings"),
        ("encoder/layer_._0/output/LayerNorm/beta:0", "encoder/layer_0/output/LayerNorm/beta"),
        ("tf_roberta_model/roberta/pooler/dense/bias:0", "pooler/dense/bias"),
        ("bert/embeddings/word_embeddings", "embeddings/word_embeddings"),
        ("bert_pre_trained_model/bert/encoder/layer_1/output/dense/kernel", "encoder/layer_1/output/dense/kernel"),
        ("roberta_pre_trained_model/roberta/pooler/dense/kernel", "pooler/dense/kernel"),
        ("albert.embeddings.word_embeddings.weight", "embeddings/word_embeddings"),
        ("albert.encoder.embedding_hidden_mapping_in.weight", "embeddings/projection/kernel"),
        (
            "albert.encoder.albert_layer_groups.0.albert_layers.0.attention.query.weight",
            "encoder/layer_0/attention/self/query/kernel",
        ),
        (
            "encoder.albert_layer_groups.0.albert_layers.0.attention.LayerNorm.weight",
            "encoder/layer_0/attention/output/LayerNorm/gamma",
        ),
        (
            "tf_albert_model/albert/encoder/albert_layer_groups_._0/albert_layers_._0/full_layer_layer_norm/beta:0",
            "encoder/layer_0/output/LayerNorm/beta",
        ),
        (
            "tf_albert_model/albert/encoder/albert_layer_groups_._0/albert_layers_._0/ffn_output/kernel:0",
            "encoder/layer_0/output/dense/kernel",
        ),
        ("tf_albert_model/albert/pooler/kernel:0", "pooler/dense/kernel"),
        ("albert.pooler.bias", "pooler/dense/bias"),
        (
            "bert/encoder/transformer/group_0/inner_group_0/ffn_1/intermediate/output/dense/bias",
            "encoder/layer_0/output/dense/bias",
        ),
        ("bert/encoder/transformer/group_0/inner_group_0/LayerNorm_1/gamma", "encoder/layer_0/output/LayerNorm/gamma"),
        (
            "albert_pre_trained_model/bert/encoder/transformer/group_0/inner_group_0/attention_1/self/key/bias",
            "encoder/layer_0/attention/self/key/bias",
        ),
        ("electra.embeddings_project.bias", "embeddings/projection/bias"),
        ("electra/embeddings_project/kernel", "embeddings/projection/kernel"),
        ("tf_electra_model/electra/embeddings_project/kernel:0", "embeddings/projection/kernel"),
        ("ernie.embeddings.task_type_embeddings.weight", "embeddings/task_type_embeddings"),
        ("roformer.encoder.embed_positions.weight", "encoder/embed_positions"),
        ("tf_ro_former_model/roformer/encoder/embed_positions/embeddings:0", "encoder/embed_positions"),
        ("deberta.encoder.layer.1.attention.self.query_proj.weight", "encoder/layer_1/attention/self/query_proj/kernel"),
        ("deberta.encoder.layer.1.attention.self.q_bias", "encoder/layer_1/attention/self/q_bias"),
        ("deberta.encoder.rel_embeddings.weight", "encoder/rel_embeddings"),
        ("tf_deberta_v2_model/deberta/encoder/rel_embeddings.weight:0", "encoder/rel_embeddings"),
        ("deberta.encoder.LayerNorm.weight", "encoder/LayerNorm/gamma"),
        ("deberta.encoder.conv.conv.weight", "encoder/conv/conv/kernel"),
        ("deberta/encoder/conv/LayerNorm/beta:0", "encoder/conv/LayerNorm/beta"),
    ],
)
def test_canonical_name(stored: str, canonical: str) -> None:
    assert canonical_name(stored) == canonical


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "bert",
        "bert/pooler/dense/kernel/Adam",
        "bert.encoder.layer.0.attention.self.query",
        "bert.encoder.layer.00.output.dense.weight",
        "bert/encoder/layer_0/attention/self/query/weight",
        "bert.encoder.layer.0.attention.self.distance_embedding.weight",
        "teacher.bert.pooler.dense.weight",
        "distilbert.embeddings.word_embeddings.weight",
        "albert.encoder.albert_layer_groups.0.albert_layers.1.ffn.weight",
        "albert.encoder.albert_layer_groups.0.albert_layers.0.adapter.weight",
        "generator/encoder/layer_0/output/dense/kernel",
        "deberta.encoder.conv.weight",
        "cls.predictions.transform.dense.weight",
        "tnews_dense/kernel",
    ],
)
def test_not_an_encoder_weight(stored: str) -> None:
    assert canonical_name(stored) is None
@pytest.mark.parametrize(
    "name, irrelevant",
    [
        ("cls/predictions/output_bias", True),
        ("bert_pre_trained_model/cls/seq_relationship/output_weights", True),
        ("cls.predictions.decoder.weight", True),
        ("module.cls.seq_relationship.bias", True),
        ("bert.embeddings.position_ids", True),
        ("embeddings.token_type_ids", True),
        ("tf_bert_for_pre_training/mlm___cls/predictions/bias:0", True),
        ("nsp___cls/seq_relationship/kernel:0", True),
        ("predictions/transform/dense/kernel:0", True),
        ("bert/pooler/dense/kernel/adam_m", True),
        ("global_step", True),
        ("bert/pooler/dense/kernel", False),
        ("tnews_dense/bias", False),
        ("classifier.weight", False),
        ("classifier/kernel:0", False),
        ("bert", False),
    ],
)
def test_known_irrelevant(name: str, irrelevant: bool) -> None:
    assert is_known_irrelevant(name) is irrelevant


def assert_same(found: CanonicalWeights, expected: dict[str, np.ndarray]) -> None:
    assert found.left_over == () and found.heads == {}
    assert found.encoder.keys() == expected.keys()
    for name, array in expected.items():
        assert found.encoder[name].dtype == np.float32
        np.testing.assert_array_equal(found.encoder[name], array, err_msg=name)


@pytest.mark.parametrize("folder", ["safetensors", "sharded_safetensors", "zip", "legacy", "sharded_bin", "pretraining"])
def test_pytorch_model(folder: str) -> None:
    with np.load(PYTORCH / "expected.npz") as values:
        stored = {name.removeprefix("weights/"): values[name] for name in values.files if name.startswith("weights/")}
    expected = {}
    for name, array in stored.items():
        linear = name.endswith(".weight") and "LayerNorm" not in name and "_embeddings" not in name
        expected[canonical_name(name)] = array.T if linear else array
    assert expected.keys() == all_names(layers=2)
    assert_same(canonical_weights(read_weights(PYTORCH / folder)), expected)


def test_pytorch_model_gives_pytorch_outputs_in_tensorflow() -> None:
    import tensorflow as tf
    from transformers import BertConfig, TFBertModel

    found = canonical_weights(read_weights(PYTORCH / "zip")).encoder
    model = TFBertModel(BertConfig.from_pretrained(PYTORCH))
    with np.load(PYTORCH / "expected.npz") as values:
        inputs = {name.removeprefix("inputs/"): values[name] for name in values.files if name.startswith("inputs/")}
        expected = {name: values[name] for name in ("last_hidden_state", "pooler_output")}
    model(model.dummy_inputs)
    for weight in model.weights:
        weight.assign(found[canonical_name(weight.name)])
    outputs = model({name: tf.constant(value) for name, value in inputs.items()})
    for name, value in expected.items():
        np.testing.assert_allclose(outputs[name], value, rtol=0, atol=2e-6)


@pytest.mark.parametrize("model_class_name", ["TFBertModel", "TFBertForPreTraining"])
@pytest.mark.parametrize("safe_serialization", [False, True])
@pytest.mark.parametrize("max_shard_size", ["1GB", "3KB"])
def test_hugging_face_tensorflow_model(
    model_class_name: str, safe_serialization: bool, max_shard_size: str, tmp_path: Path
) -> None:
    import transformers

    config = transformers.BertConfig(
        vocab_size=24, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=16,
    )  # fmt: skip
    model = getattr(transformers, model_class_name)(config)
    model(model.dummy_inputs)
    model.save_pretrained(tmp_path, safe_serialization=safe_serialization, max_shard_size=max_shard_size)
    encoder = {canonical_name(weight.name): weight.numpy() for weight in model.bert.weights}
    assert encoder.keys() == all_names(layers=2)
    assert_same(canonical_weights(read_weights(tmp_path)), encoder)


def test_google_tf1_checkpoint() -> None:
    stored = read_weights(TF1)
    expected = {name.removeprefix("bert/"): array for name, array in stored.arrays.items() if name.startswith("bert/")}
    assert expected.keys() == all_names(layers=2)
    assert_same(canonical_weights(stored), expected)


def test_easytransfer_training_checkpoint_keeps_its_heads() -> None:
    with np.load(GOLDEN / "train" / "nodrop_noshuffle_adam" / "final_weights.npz") as values:
        arrays = {name: values[name] for name in values.files}
    found = canonical_weights(weight_file(arrays))
    assert found.encoder.keys() == all_names(layers=2)
    scope = "bert_pre_trained_model/bert/"
    for name, array in found.encoder.items():
        np.testing.assert_array_equal(array, arrays[scope + name])
    heads = [f"{task}_dense/{part}" for task in ("tnews", "ocemotion", "ocnli") for part in ("kernel", "bias")]
    assert sorted(found.heads) == sorted(heads)
    assert all(found.heads[name] is arrays[name] for name in heads)
    assert found.left_over == ()


def test_unknown_names_are_left_over() -> None:
    arrays = {"classifier.weight": np.zeros((2, 8), np.float32), "bert.adapter.bias": np.zeros(2, np.float32)}
    assert canonical_weights(weight_file(arrays)).left_over == ("bert.adapter.bias", "classifier.weight")


def test_two_weights_of_one_name() -> None:
    arrays = {f"{scope}pooler.dense.bias": np.zeros(2, np.float32) for scope in ("", "bert.")}
    with pytest.raises(
        UserError, match="'pooler.dense.bias' and 'bert.pooler.dense.bias' are both the encoder's pooler/dense"
    ):
        canonical_weights(weight_file(arrays))


@pytest.mark.parametrize("array", [np.zeros(4, np.float32), np.zeros((2, 2), np.int64), np.float32(1)])
def test_weight_that_is_no_matrix_of_floats(array: np.ndarray) -> None:
    with pytest.raises(UserError, match="'bert/pooler/dense/kernel' must have 2 axes of floats"):
        canonical_weights(weight_file({"bert/pooler/dense/kernel": array}))


def test_double_precision_becomes_float32() -> None:
    found = canonical_weights(weight_file({"bert.pooler.dense.weight": np.array([[0.1, 2], [3, 4], [5, 6]])}))
    kernel = found.encoder["pooler/dense/kernel"]
    assert kernel.dtype == np.float32 and kernel.flags.c_contiguous
    np.testing.assert_array_equal(kernel, np.array([[0.1, 3, 5], [2, 4, 6]], np.float32))
