"""The rules in force: loaded once, asked for every study, loaded anew when the file has changed."""

from __future__ import annotations

from pathlib import Path

from gateway.errors import ConfigError
from hub.rules.evaluate import Decision, decide
from hub.rules.facts import StudyFacts
from hub.rules.language import read
from hub.rules.nodes import Fault
from hub.rules.tree import Rules


class RuleFaults(ConfigError):
    """A rule file is wrong; the message names every fault with its line.

    Args:
        file: the file.
        faults: all of them.
    """

    def __init__(self, file: Path, faults: tuple[Fault, ...]) -> None:
        lines = "\n".join(f"  {file}:{fault.line}: {fault.message}" for fault in faults)
        super().__init__(f"has {len(faults)} fault{'s' if len(faults) > 1 else ''}:\n{lines}", file=file)
        self.faults = faults


class RuleBook:
    """The rules of one file.

    Args:
        rules: the tree.
        warnings: what is probably not meant, and can be used all the same.
        text: the file as read, to be shown.
    """

    def __init__(self, rules: Rules, warnings: tuple[Fault, ...] = (), text: str = "") -> None:
        self.rules, self.warnings, self.text = rules, warnings, text

    @classmethod
    def load(cls, file: Path) -> RuleBook:
        """Read `file`.

        Raises:
            RuleFaults: it is wrong; every fault is told.
            ConfigError: it cannot be read.
        """
        try:
            text = file.read_bytes()
        except OSError as error:
            raise ConfigError(f"cannot be read: {error.strerror}", file=file) from error
        return cls.parse(text, file)

    @classmethod
    def parse(cls, text: bytes, file: Path) -> RuleBook:
        """As `load`, from bytes; `file` is named in messages."""
        reading = read(text, file=file)
        if reading.rules is None:
            raise RuleFaults(file, reading.faults)
        return cls(reading.rules, reading.notes, text.decode())

    def evaluate(self, study: StudyFacts) -> Decision:
        """What is to happen with a study, and why."""
        return decide(self.rules, study)
