"""EasyTransfer's multi-task baseline on TensorFlow 2: one Chinese BERT, several tasks."""

__version__ = "0.1.0"
