"""The parts of replaced-token detection (Clark et al. 2020, ELECTRA)."""
