"""Writes kernel_golden.txt: inputs and results of the C core's functions by the slow twins, in double.

Run from the repository root: ``python -m tests.data.make_kernel_golden``.  Each case is a line
``name parameter given result`` followed by that many given numbers, then as many of the result.
"""

from pathlib import Path

import numpy as np

from tests import naive

TARGET = Path(__file__).with_name("kernel_golden.txt")


def series(count: int, seed: int) -> np.ndarray:
    """A short season with noise, rounded to three decimals so that the file reads well."""
    rng = np.random.default_rng(seed)
    return np.round(20 + 3 * np.sin(np.arange(count) * 0.7) + rng.normal(size=count), 3)


def pairs(z: np.ndarray) -> np.ndarray:
    """Complex numbers as pairs of real and imaginary part."""
    return np.column_stack([z.real, z.imag]).ravel()


def cases():
    """Every case: name, parameter, input, result."""
    for n in (1, 5, 12, 17, 60, 67, 149):
        x = series(2 * n, n)
        z = x[::2] + 1j * x[1::2]
        yield "fft", n, pairs(z), pairs(np.fft.fft(z))
        yield "rfft", n, x[:n], pairs(np.fft.rfft(x[:n]))
    for n in (4, 24, 53):
        yield "saliency", n, series(n, n), naive.saliency(series(n, n))
        yield "service_saliency", n, series(n, n), naive.service_saliency(series(n, n))
    for n in (8, 33, 64, 67):
        yield "slide", n, series(150, n), naive.sliding_saliency(series(150, n), n)
    for n in (1, 9, 40):
        x = series(60, n)
        windows = [x[max(0, i + 1 - n) : i + 1] for i in range(len(x))]
        yield "median", n, x, np.array([np.median(w) for w in windows])
        yield "mad", n, x, np.array([np.median(np.abs(w - np.median(w))) for w in windows])
        yield "quantile", n, x, np.array([np.quantile(w, 0.9) for w in windows])


def main() -> None:
    """Write the file."""
    with TARGET.open("w") as file:
        for name, parameter, given, result in cases():
            numbers = [f"{v:.17g}" for v in np.concatenate([given, result])]
            print(name, parameter, len(given), len(result), file=file)
            print(*numbers, sep="\n", file=file)
        print("end 0 0 0", file=file)


if __name__ == "__main__":
    main()
