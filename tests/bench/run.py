"""All benches, one after the other: ``make bench``.

Speed comes as ratios of interleaved runs and as counts; nothing here passes or fails.  ``--quick`` takes a fraction of
the rounds.  Quality of the detectors (minutes) comes last.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

#: Script, its arguments, and what it takes less of with --quick.
BENCHES: list[tuple[str, list[str], list[str]]] = [
    ("bench_kernel.py", [], ["--rounds", "20"]),
    ("bench_engine.py", [], ["--readings", "50000"]),
    ("bench_agent.py", [], ["--rounds", "1", "--messages", "5000"]),
    ("bench_bridge.py", [], []),
    ("bench_store.py", [], []),
    ("bench_cli.py", [], []),
    ("bench_server.py", [], ["--calls", "200"]),
    ("bench_uplink.py", [], ["--rounds", "2"]),
    ("bench_uplink_agent.py", [], ["--rounds", "1"]),
    ("bench_multivariate.py", [], ["--rounds", "5", "--seeds", "10"]),
    ("accuracy.py", [], []),
]


def main() -> None:
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("only", nargs="*", help="names of benches, e.g. bench_kernel")
    options = parser.parse_args()
    failed = []
    for script, whole, quick in BENCHES:
        if options.only and Path(script).stem not in options.only:
            continue
        print(f"\n== {script}", flush=True)
        done = subprocess.run([sys.executable, str(HERE / script), *(quick if options.quick else whole)])
        if done.returncode:
            failed.append(script)
    sys.exit(f"not finished: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
