"""What a run on disk is, for whoever trains: its folder, checkpoints, plan, optimizer, log, signals."""
