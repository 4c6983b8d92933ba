"""The element-wise parts of a transformer layer, each one compiled function with a hand-written gradient.

Automatic differentiation runs such a chain operation by operation and keeps every intermediate. Here XLA compiles a chain
into one loop, the gradient keeps only the chain's inputs and computes the rest again, dropout masks included. Matrix
products stay outside: on a CPU XLA's are slower than oneDNN's. Inside, numbers are float32 whatever comes in and goes out.
"""
