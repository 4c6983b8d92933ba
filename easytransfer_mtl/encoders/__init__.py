"""BERT encoders: reading published weights and building the model that takes them."""
