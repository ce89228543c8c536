"""Train in NumPy with hand-written backpropagation through time and optimizers. Keras is not needed and never imported."""
