"""Packaging: `pip install -e ".[cpu]"`, or `".[gpu]"` where there is a GPU."""

import pathlib
import re

import setuptools

INIT = pathlib.Path(__file__).parent / "ffn_tf" / "__init__.py"
VERSION = re.search(r'__version__ = "(.*)"', INIT.read_text())[1]

# TensorFlow has two builds of one package that must not be installed
# together, so the choice is an extra; the Makefile makes it for you.
TENSORFLOW = {
    "cpu": ["tensorflow-cpu>=2.20,<2.22"],
    "gpu": ["tensorflow[and-cuda]>=2.20,<2.22"],
}

setuptools.setup(
    name="ffn-tf",
    version=VERSION,
    description=(
        "Flood-filling networks and SegCLR for connectomics: "
        "from an EM volume to a segmentation and typed neurites."
    ),
    long_description=open("README.md", encoding="utf-8").read(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=setuptools.find_packages(include=["ffn_tf*", "segclr*"]),
    package_data={
        "ffn_tf": ["py.typed"],
        "ffn_tf.model": ["shipped/*"],
    },
    install_requires=[
        "absl-py>=2",
        "cloud-volume>=12",
        "compressed-segmentation>=2.3",
        "connected-components-3d>=3.20",
        "deflate>=0.9",
        "diskcache>=5.6",
        "edt>=3",
        "fastremap>=1.15",
        "gcsfs>=2026.9",
        "h5py>=3.11",
        "keras>=3.10",
        "kimimaro>=5.8",
        "neuroglancer>=2.41",
        "numba>=0.63",
        "numpy>=2",
        "openvino>=2025.2; platform_machine == 'x86_64'",
        "pillow>=11",
        "protobuf>=6.31",
        "pyarrow>=20",
        "pyyaml>=6",
        "scikit-image>=0.25",
        "scipy>=1.14",
        "tensorboard>=2.20",
        "tensorstore>=0.1.75",
        "tifffile>=2025.1",
        "zmesh>=1.15",
    ],
    extras_require=TENSORFLOW
    | {
        # Instead of TensorFlow, for run_inference on GPUs.
        "jax": ["jax[cuda12]>=0.6"],
        "ray": ["ray>=2.47.1,<3"],
        "dev": [
            "crackle-codec>=0.54",
            "hypothesis>=6",
            "jax>=0.6",
            "moto[s3,server]>=5.2",
            "mypy>=1.15",
            "pytest>=8",
            "pytest-timeout>=2",
            "pytest-xdist>=3",
            "ray>=2.47.1,<3",
            "ruff>=0.11",
            "zarr>=3.1",
        ],
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Image Processing",
    ],
)
