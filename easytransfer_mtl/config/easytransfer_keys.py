"""EasyTransfer's JSON keys that this program accepts and passes over."""

from typing import Any

NO_EFFECT: dict[str, tuple[Any, ...]] = {
    "preprocess_config.append_feature_columns": (None, ""),
    "preprocess_config.max_predictions_per_seq": (None,),
    "preprocess_config.multi_label": (None, False),
    "preprocess_config.max_num_labels": (None, 5),
    "train_config.throttle_secs": (None, 100),
    "train_config.distribution_config.num_model_replica": (None, 1),
    "train_config.distribution_config.num_communicators": (None, 1),
    "train_config.distribution_config.num_splits": (None, 1),
    "train_config.distribution_config.enable_xla": (None, False),
    "train_config.distribution_config.pull_evaluation_in_multiworkers_training": (None, False),
    "export_config.checkpoint_path": (None,),
    "export_config.export_dir_base": (None,),
    "export_config.receiver_tensors_schema": (None,),
    "export_config.input_tensors_schema": (None,),
}
"""Dotted path to the values that need no warning (EasyTransfer's defaults)."""
