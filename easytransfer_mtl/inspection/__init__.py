"""Looks at the contest's files: what is wrong with them, and what is in them."""
