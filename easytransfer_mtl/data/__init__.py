"""Text to features to TFRecord to batches. Knows no model."""
