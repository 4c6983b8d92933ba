"""Optimizers, schedules, checkpoints, and the trainer that joins model, data and weighting."""
