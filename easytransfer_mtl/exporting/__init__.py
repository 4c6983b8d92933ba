"""A trained model for programs without this package: one graph with its tokenizer and a client."""
