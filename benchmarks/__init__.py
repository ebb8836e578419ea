"""Speed and memory, side by side with Keras, TensorFlow, PyTorch and JAX."""
