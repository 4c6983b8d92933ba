"""The contest's submission: writes, packs and checks the prediction files. Needs no TensorFlow."""
