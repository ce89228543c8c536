"""What the tests of commands share: what a command has to have printed."""

from click.testing import Result


def text_of(result: Result) -> str:
    """Return the stdout of a command that went well and had nothing to remark."""
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def assert_one_line(result: Result, *parts: str, code: int = 2) -> None:
    """One line on stderr holds all the parts, and there is nothing on stdout."""
    assert (result.exit_code, result.stdout) == (code, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("chargen: ")
    for part in parts:
        assert part in line
