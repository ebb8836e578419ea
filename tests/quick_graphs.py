"""Graphs that are not optimized; for the processes that tests run in, and those they start.

Tests compile thousands of small graphs and run each a few times: optimizing them takes
longer than it saves. A process whose numbers are compared with those of the tests bit for bit
imports this module, too. The Python of the documentation runs as a user's does.
"""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import tensorflow as tf

tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
