"""``edgead demo``: the real agent on simulated equipment."""

import click


@click.command(short_help="Show it at work on simulated equipment.")
@click.option(
    "--seconds", type=click.IntRange(10, 100), default=60, show_default=True, help="Length of the show."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same equipment and faults.")
@click.pass_context
def demo(context: click.Context, seconds: int, seed: int) -> None:
    """Simulated equipment with faults, an embedded broker on loopback, and the real agent watching.

    At the end: faults found and missed, false alarms, delay.  Exit code 0 if at least 90 % were found with at most
    one false alarm per 1000 readings.

    \b
    Examples:
      edgead demo
      edgead demo --seconds 30 --seed 7
    """
    from edgead.demo import run_demo

    context.exit(run_demo(seconds=seconds, seed=seed))
