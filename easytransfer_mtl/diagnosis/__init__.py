"""What a machine and its Python environment can do, and what is wrong with them."""
