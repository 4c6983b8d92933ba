"""BERT encoders: reads published weights and builds the models for them."""
