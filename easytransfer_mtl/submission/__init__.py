"""The contest's submission: write the prediction files, pack them, check them. Needs no TensorFlow."""
