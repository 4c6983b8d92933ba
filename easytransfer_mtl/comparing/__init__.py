"""Compares several trainings: variants, one process per training, and statistics of their scores."""
