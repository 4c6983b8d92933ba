"""Turns text into features, TFRecord files and batches. Does not depend on any model."""
