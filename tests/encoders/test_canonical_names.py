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
