"""The small problems that papers on loss weighting show their methods on."""
