"""What the C core costs against NumPy, as ratios of interleaved runs in one process.

    python tests/bench/bench_kernel.py [--rounds N] [--isa portable avx2 ...]

A ratio is the other's time over ours, so larger is better for us; the figure is the median over the rounds, with the
quartiles behind it.  Processor time of this thread is measured, so that a busy machine disturbs little.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from edgead import native
from edgead.errors import InvalidInput

LENGTHS = (288, 1440, 2880, 4096)
Work = Callable[[], object]


def numpy_paper(x: np.ndarray) -> float:
    """Spectral residual of a whole window, equation by equation (arXiv 1906.03821, 1 to 6), with a trailing mean."""
    transform = np.fft.fft(x)
    log = np.log(np.abs(transform))
    residual = log - np.convolve(log, np.full(3, 1 / 3))[: len(log)]
    return float(np.abs(np.fft.ifft(np.exp(residual + 1j * np.angle(transform))))[-1])


def numpy_tuned(x: np.ndarray) -> float:
    """The same without phase angles and complex exponentials, as fast as NumPy gets; bin 0 dropped."""
    bins = np.fft.fft(x)[1:]
    log = np.log(np.abs(bins))
    log = np.concatenate([log[:1], log[:1], log])
    spectrum = np.zeros(len(x), bins.dtype)
    spectrum[1:] = bins * np.exp(-(log[2:] + log[1:-1] + log[:-2]) / 3)
    return float(np.abs(np.fft.ifft(spectrum))[-1])


def numpy_pair(x: np.ndarray) -> np.ndarray:
    """One real transform and its inverse, the bare minimum of any method that recomputes the window."""
    return np.fft.irfft(np.fft.rfft(x), len(x))


def numpy_median_and_mad(x: np.ndarray) -> float:
    """Median and median absolute deviation of a window, computed anew."""
    median = np.median(x)
    return float(median + np.median(np.abs(x - median)))


def sliding(n: int, single: bool, isa: str) -> tuple[Work, int]:
    """A call that feeds many samples in one go, and how many."""
    slide, samples = native.Slide(n, single=single, isa=isa), np.random.default_rng(n).normal(size=1000)
    slide.feed_all(np.random.default_rng(n).normal(size=2 * n))
    return lambda: slide.feed_all(samples), len(samples)


def running_order(n: int, single: bool) -> tuple[Work, int]:
    """A call that pushes many values and asks for median and MAD after each (called from Python), and how many."""
    order, values = native.Order(n, single=single), np.random.default_rng(n).normal(size=n + 200)
    for value in values[:n]:
        order.push(value)
    values = values[n:].tolist()

    def work() -> None:
        for value in values:
            order.push(value)
            order.median + order.mad

    return work, len(values)


def seconds(work: Work, inner: int, count: int) -> float:
    """Processor seconds of one of the `count` things that `work` does, over `inner` calls."""
    start = time.thread_time()
    for _ in range(inner):
        work()
    return (time.thread_time() - start) / inner / count


def calibrate(work: Work) -> int:
    """Calls that take some 5 ms together."""
    work()
    return max(1, int(5e-3 / max(1e-7, seconds(work, 3, 1))))


def compare(works: dict[str, tuple[Work, int]], rounds: int) -> dict[str, list[float]]:
    """Times of each work, round by round, taken in turn."""
    inner = {name: calibrate(work) for name, (work, _) in works.items()}
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, (work, count) in works.items():
            times[name].append(seconds(work, inner[name], count))
    return times


def ratio(times: dict[str, list[float]], other: str, ours: str) -> str:
    """Median and quartiles of the other's time over ours."""
    ratios = [a / b for a, b in zip(times[other], times[ours], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:6.1f} ({low:.1f}-{high:.1f})"


def available(isas: list[str]) -> list[str]:
    """Those that this processor has."""
    found = []
    for isa in isas:
        try:
            native.slide_table(8, isa=isa)
        except InvalidInput:
            continue
        found.append(isa)
    return found


def print_sliding(isas: list[str], rounds: int) -> None:
    """The sliding step against the whole window recomputed."""
    print("sliding step, per sample: time of the other over ours (median, quartiles)")
    print(
        f"{'n':>5} {'precision':9} {'isa':9} {'ours us':>8}  {'NumPy, the paper':22}{'NumPy, tuned':22}rfft + irfft"
    )
    for n in LENGTHS:
        for single in (False, True):
            x = np.random.default_rng(n).normal(size=n).astype(np.float32 if single else np.float64)
            works = {isa: sliding(n, single, isa) for isa in isas}
            works["paper"] = (lambda x=x: numpy_paper(x), 1)
            works["tuned"] = (lambda x=x: numpy_tuned(x), 1)
            works["pair"] = (lambda x=x: numpy_pair(x), 1)
            times = compare(works, rounds)
            for isa in isas:
                ours = 1e6 * statistics.median(times[isa])
                against = "".join(f"{ratio(times, name, isa):22}" for name in ("paper", "tuned", "pair"))
                print(f"{n:5} {'float' if single else 'double':9} {isa:9} {ours:8.2f}  {against}")


def print_order(rounds: int) -> None:
    """Median and MAD kept up against recomputed."""
    print("\nmedian and MAD of a window after each value, called from Python: NumPy's time over ours")
    for n in LENGTHS:
        x = np.random.default_rng(n).normal(size=n)
        works = {"ours": running_order(n, False), "numpy": (lambda x=x: numpy_median_and_mad(x), 1)}
        times = compare(works, rounds)
        print(
            f"{n:5} double {1e6 * statistics.median(times['ours']):8.2f} us  {ratio(times, 'numpy', 'ours')}"
        )


def print_transforms(rounds: int) -> None:
    """Transforms and whole-window maps; the service's windows have awkward lengths (n + 5)."""
    print("\nwhole window: NumPy's time over ours")
    print(f"{'n':>5} {'rfft + irfft':22} {'complex fft':22} saliency map")
    for n in (*LENGTHS, 293, 1445, 2885, 8645):
        x = np.random.default_rng(n).normal(size=n)
        works = {
            "pair": (lambda x=x: numpy_pair(x), 1),
            "our pair": (lambda x=x: native.irfft(native.rfft(x), len(x)), 1),
            "fft": (lambda x=x: np.fft.fft(x), 1),
            "our fft": (lambda x=x: native.fft(x), 1),
            "map": (lambda x=x: numpy_tuned(x), 1),
            "our map": (lambda x=x: native.saliency(x), 1),
        }
        times = compare(works, rounds)
        print(f"{n:5}", *(f"{ratio(times, name, 'our ' + name):22}" for name in ("pair", "fft", "map")))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--isa", nargs="+", choices=list(native.ISA_NAMES), default=["portable", "avx2", "avx512"]
    )
    arguments = parser.parse_args()
    print_sliding(available(arguments.isa), arguments.rounds)
    print_order(arguments.rounds)
    print_transforms(arguments.rounds)


if __name__ == "__main__":
    main()
