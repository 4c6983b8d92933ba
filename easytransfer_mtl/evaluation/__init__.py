"""Evaluation and prediction: loads checkpoints, computes predictions and scores, writes tables, exports the best model."""
