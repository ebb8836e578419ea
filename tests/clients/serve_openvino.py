"""Asks an exported sentiment model about each line of standard input, with OpenVINO.

serve_openvino.py MODEL
"""

import sys

import numpy as np
import openvino as ov
import openvino_tokenizers  # noqa: F401  with it, OpenVINO reads text

exact = {"INFERENCE_PRECISION_HINT": "f32"}  # else some processors round to bfloat16
model = ov.Core().compile_model(sys.argv[1], "CPU", exact)
lines = [line.rstrip("\n") for line in sys.stdin]
answers = model(np.array(lines))
for label, probability in zip(answers["label"], answers["probability"], strict=True):
    print(f"{label}\t{probability:.6f}")
