"""Several trainings side by side: what to train, one process each, and what their scores do and do not show."""
