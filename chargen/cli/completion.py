import click

from chargen.cli.options import common_options
from chargen.terminal import echo

PROGRAM, VARIABLE = "chargen", "_CHARGEN_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common_options
def command(shell: str, verbosity: int) -> None:
    """Print a script that lets SHELL complete commands, options, choices, and the names of runs, corpora and configs.

    \b
      eval "$(chargen completion bash)"     in ~/.bashrc (bash 4.4 or newer)
      eval "$(chargen completion zsh)"      in ~/.zshrc, after compinit
      chargen completion fish | source      in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    completer = get_completion_class(shell)
    assert completer is not None  # click knows these three
    echo(completer(click.get_current_context().find_root().command, {}, PROGRAM, VARIABLE).source(), end="")
