"""Training: checks and plan of a run, the train step, early stopping, the step log, and the trainer."""
