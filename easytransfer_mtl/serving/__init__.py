"""A trained model behind HTTP: requests are checked, joined into batches, and answered as JSON."""
