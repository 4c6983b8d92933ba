"""Vocabulary pruning: an encoder without the tokens that given texts do not use."""
