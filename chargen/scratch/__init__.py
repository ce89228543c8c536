"""Training by hand in NumPy: forward, backpropagation through time, optimizers. Keras is not needed, and never imported."""
