"""The one command, ``telerad``: finds its sub-commands by name and runs one.

A sub-command is an entry point of the group ``telerad.commands``, imported only when asked for. It
is a function that fills an `argparse.ArgumentParser` and sets ``run`` to a function of the parsed
arguments that returns the exit code: 0 good, 1 the thing checked is bad, 2 wrong usage or
configuration.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points, version

from gateway import failed, log
from gateway.errors import DataError, GatewayError, UsageError

Fill = Callable[[argparse.ArgumentParser], None]

EXAMPLES = """examples:
  telerad demo                        the whole loop on this machine
  telerad hub run -c hub.yaml         start a hub
  telerad edge run -c edge.yaml       start an edge
  telerad verify report.pdf           who signed, when, and was anything changed
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command. Returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    commands = {point.name: point for point in entry_points(group="telerad.commands")}
    parser = argparse.ArgumentParser(
        prog="telerad",
        description="Teleradiology gateway: from the modality to a signed report and back.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"telerad {version('telerad-gateway')}")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    chosen = parser.add_subparsers(metavar="COMMAND", required=True)
    wanted = next((word for word in words if word in commands), None)
    for name in sorted(commands) if wanted is None else [wanted]:
        fill: Fill = commands[name].load()
        summary = (fill.__doc__ or "").strip().splitlines()[0]
        sub = chosen.add_parser(
            name,
            help=summary,
            description=summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        fill(sub)
        _lend_examples(sub, "")
    parsed = parser.parse_args(words)
    log.configure(level=parsed.log_level)
    return _run(parsed)


def _lend_examples(parser: argparse.ArgumentParser, examples: str) -> None:
    """Show under every sub-command without examples of its own the group's: those that use it, if any do."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    if parser.epilog is None:
        parser.epilog = _using(parser.prog, examples) or examples or None
    for action in parser._actions:  # noqa: SLF001  # argparse has no public way to its sub-parsers
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # as above
            for child in action.choices.values():
                _lend_examples(child, parser.epilog or "")


def _using(command: str, examples: str) -> str:
    """The examples that call `command`, each with the lines it is continued on."""
    whole = examples.replace("\\\n", "\0").splitlines()
    own = [line.replace("\0", "\\\n") for line in whole if f"{command} " in line]
    return "\n".join(["examples:", *own]) if own else ""


def _run(parsed: argparse.Namespace) -> int:
    try:
        code: int = parsed.run(parsed)
    except UsageError as error:
        print(f"telerad: {error}", file=sys.stderr)
        return 2
    except DataError as error:
        print(f"telerad: {error}", file=sys.stderr)
        return 1
    except GatewayError as error:
        print(f"telerad: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        said = failed.told(error)
        if said is None:
            raise
        print(f"telerad: {said}", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    raise SystemExit(main())
