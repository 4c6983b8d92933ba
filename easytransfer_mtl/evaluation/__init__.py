"""Checkpoints to predictions, predictions to scores, scores to tables and files, the best model to best/."""
