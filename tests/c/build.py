"""Compiles the C core outside the extension, in the ways its users do."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = sorted((ROOT / "csrc/src").glob("*.c"))
SERVICE = [
    path for path in SOURCES if path.name.startswith("ead_svc_")
]  # double only: not for a microcontroller
LANGUAGE = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-ffp-contract=fast", "-fno-math-errno"]
SANITIZERS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
INCLUDES = [f"-I{ROOT}/csrc/include"]
MCU = [
    f"-I{ROOT}/firmware-config/mcu",
    '-DEAD_CONFIG_FILE="edgead_config.h"',
    "-Wconversion",
    "-Wdouble-promotion",
]
MCU_SOURCES = [path for path in SOURCES if path not in SERVICE]


def gcc(*arguments: object) -> None:
    """Run the compiler; its complaint is the assertion's message."""
    done = subprocess.run(["gcc", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def objects(folder: Path, sources: list[Path], *flags: str) -> list[Path]:
    """Compile each source to an object of its own."""
    made = []
    for source in sources:
        target = folder / f"{source.stem}.o"
        gcc(*LANGUAGE, *flags, *INCLUDES, "-c", source, "-o", target)
        made.append(target)
    return made


def symbols(files: list[Path]) -> list[tuple[str, str]]:
    """Pairs of nm's letter and the name, for all symbols of the objects."""
    listing = subprocess.run(["nm", "-P", *files], capture_output=True, text=True, check=True).stdout
    return [(line.split()[1], line.split()[0]) for line in listing.splitlines() if len(line.split()) > 1]
