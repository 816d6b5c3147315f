"""The command line where neither PyTorch nor what comes with it can be imported, on a machine of a name of our choice.

python -m tests.integration.latency.without_torch CPU_INFO WORDS…
"""

import sys
from pathlib import Path

for missing in ("torch", "torchvision", "scipy", "sklearn", "onnx", "onnxscript", "safetensors", "threadpoolctl"):
    sys.modules[missing] = None

from mendsearch.cli import app  # noqa: E402
from mendsearch.latency import machine  # noqa: E402

if __name__ == "__main__":
    machine.CPU_INFO = Path(sys.argv[1])
    app(sys.argv[2:], prog_name="mendsearch")
