"""From predicted label ids to scores, and from scores to tables and files. Needs no TensorFlow."""
