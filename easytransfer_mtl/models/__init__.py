"""The multi-task model. Knows no files and no flags."""
