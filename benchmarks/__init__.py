"""How fast the program is on this machine: measured in one run, in rounds, as ratios, so that numbers can be compared."""
