"""The multi-task model; does not depend on files or flags."""
