"""Package definition."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (HERE / "easytransfer_mtl/__init__.py").read_text(encoding="utf-8")).group(1)

# tf2onnx writes what onnxruntime runs.
ONNX = ["onnx>=1.20,<2", "onnxruntime>=1.23,<2", "tf2onnx>=1.17,<2"]
SERVE = ["fastapi>=0.140,<1", "uvicorn>=0.40,<1"]
TEST = ["jieba>=0.42.1,<0.43", "matplotlib>=3.10,<4", "pytest>=8", "pytest-xdist>=3.6", *ONNX, *SERVE]

setup(
    name="easytransfer_mtl",
    version=VERSION,
    description="EasyTransfer's multi-task baseline on TensorFlow 2: one Chinese BERT, several tasks, one score",
    long_description=(HERE / "README.md").read_text(encoding="utf-8") if (HERE / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    packages=find_packages(include=["easytransfer_mtl", "easytransfer_mtl.*"]),
    package_data={
        "easytransfer_mtl.inspection": ["*.jinja"],
        "easytransfer_mtl.reporting": ["page.*", "figures.*"],
        "easytransfer_mtl.serving": ["page/*"],
    },
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10,<3.13",
    install_requires=[
        "absl-py>=2.1",
        "h5py>=3.11",
        "jinja2>=3.1.6,<4",
        "numpy>=2.2",
        # Compares versions; TensorFlow and transformers need it too.
        "packaging>=24",
        "safetensors>=0.4.5",
        "scikit-learn>=1.7",
        "scipy>=1.15",
        "seqeval>=1.2.2",
        "tensorflow>=2.21,<2.22",
        "tf-keras>=2.21,<2.22",
        # Runs the encoders' tokenizer.json; the range is that of transformers 4.57.
        "tokenizers>=0.22,<0.23",
        "tqdm>=4.66",
        # The TensorFlow classes end with transformers 4.
        "transformers>=4.57,<5",
    ],
    extras_require={
        "test": TEST,
        "dev": [*TEST, "mypy>=2.4,<3", "ruff>=0.17,<0.18"],
        "benchmark": ["torch>=2.13,<3"],
        "peers": ["torchjd[full]>=0.18,<0.19"],
        "onnx": ONNX,
        "plot": ["matplotlib>=3.10,<4"],
        "serve": SERVE,
        "pretrain": ["jieba>=0.42.1,<0.43"],
    },
    entry_points={"console_scripts": ["easytransfer_mtl=easytransfer_mtl.__main__:main"]},
)
