"""The element-wise parts of a transformer layer, each a compiled function with a hand-written gradient.

Automatic differentiation runs such a chain operation by operation and keeps every intermediate result. Here XLA compiles a
chain into one loop; the gradient keeps only the chain's inputs and recomputes the rest, including dropout masks. Matrix
products stay outside: on a CPU, XLA's are slower than oneDNN's. Inside, numbers are float32, whatever the type of inputs and
outputs.
"""
