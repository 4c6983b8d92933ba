"""One file per command: takes the settings, calls the other packages, prints."""
