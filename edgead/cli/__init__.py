"""The command line.  Modules here import click and nothing heavy; a command imports its work when it is called."""

import os
import sys
from collections.abc import Sequence

import click

from edgead._version import VERSION
from edgead.cli.demo import demo
from edgead.cli.detect import detect
from edgead.cli.device import check, run
from edgead.cli.model import model
from edgead.cli.publish import publish
from edgead.cli.replay import replay
from edgead.cli.serve import serve
from edgead.cli.status import status
from edgead.cli.sync import sync
from edgead.cli.train import train
from edgead.cli.why import why
from edgead.errors import ConfigError, EdgeADError, InvalidInput

#: Modules of the extra that `sync` and `publish` need.
UPLINK_EXTRA = ("tuf", "securesystemslib", "cryptography", "urllib3")
#: Exit codes: wrong usage, config or input; failure of the outer world; interrupted (128 + SIGINT).
WRONG, FAILED, INTERRUPTED = 2, 1, 130


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.version_option(VERSION, prog_name="edgead", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Anomaly detection on the device: readings in over MQTT or from files, anomalies out.

    \b
    Examples:
      edgead demo                               see it at work, nothing else needed
      edgead check -c gateway.toml              is this configuration right?
      edgead run -c gateway.toml                watch the broker
      edgead detect recording.csv               anomalies of a recording
      edgead serve                              the cloud API on this machine
      edgead train normal.csv --out pump.zip    a model of many variables of one machine
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (run, check, status, why, detect, replay, train, model, serve, sync, publish, demo):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(call(sys.argv[1:] if arguments is None else arguments))


def call(arguments: Sequence[str]) -> int:
    """Run one command; every failure is a line on stderr and an exit code, never a traceback."""
    try:
        code = cli.main(list(arguments), prog_name="edgead", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        return _fail(WRONG, error.format_message())
    except ConfigError as error:
        return _fail(WRONG, *error.mistakes)
    except InvalidInput as error:
        return _fail(WRONG, str(error))
    except EdgeADError as error:
        return _fail(FAILED, str(error))
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module in UPLINK_EXTRA:
            return _fail(WRONG, f"{module} is not installed: pip install 'edgead[uplink]'")
        if error.name != "edgead.native._kernel":
            raise
        return _fail(FAILED, "the C extension is not built: run `make build`, or install the package")
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _fail(FAILED, f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _fail(code: int, *sentences: str) -> int:
    for sentence in sentences:
        click.echo(f"edgead: error: {' '.join(sentence.split())}", err=True)
    return code
