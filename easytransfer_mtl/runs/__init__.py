"""A run on disk, in training and pre-training: folder, checkpoints, step plan, optimizer, log, signals."""
