"""Builds the one extension module, ``edgead.native._kernel``, from csrc/ and its Cython binding, and puts the model
packages of models/ into the wheel (as ``edgead/models``, where ``edgead.shipped`` looks first).

Everything else about the project is in pyproject.toml.  Environment:

EDGEAD_SANITIZE=1   build with AddressSanitizer and UndefinedBehaviorSanitizer (how to run: tests/c/README.md)
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SANITIZE = os.environ.get("EDGEAD_SANITIZE") == "1"

compile_args = ["-std=c99", "-Wall", "-Wextra", "-ffp-contract=fast", "-fno-math-errno"]
link_args = []
if SANITIZE:
    compile_args += ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    link_args += ["-fsanitize=address,undefined"]
else:
    compile_args += ["-O3"]

sources = ["edgead/native/_kernel.pyx"]
sources += sorted(str(p.relative_to(ROOT)) for p in (ROOT / "csrc/src").glob("*.c"))
headers = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "csrc").rglob("*.h"))

kernel = Extension(
    "edgead.native._kernel",
    sources=sources,
    depends=headers,
    include_dirs=["csrc/include"],
    libraries=["m"],
    extra_compile_args=compile_args,
    extra_link_args=link_args,
)


class BuildWithModels(build_py):
    """Copies models/*.zip beside the modules; a source tree is read where it lies."""

    def run(self):
        """Copy the modules, then the packages."""
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib) / "edgead" / "models"
            folder.mkdir(parents=True, exist_ok=True)
            for package in sorted((ROOT / "models").glob("*.zip")):
                self.copy_file(str(package), str(folder / package.name))


setup(
    cmdclass={"build_py": BuildWithModels},
    ext_modules=cythonize(
        [kernel],
        build_dir="build/cython",
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
        },
    ),
)
