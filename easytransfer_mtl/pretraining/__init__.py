"""Further pre-training of an encoder on texts without labels."""
