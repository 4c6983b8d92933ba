"""One file a command: read flags, call the rooms, print."""
