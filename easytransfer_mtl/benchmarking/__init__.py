"""How fast the program is on this machine, measured so that the numbers can be compared: in one run, in rounds, as ratios."""
