def main() -> None:
    """Run the command line."""
    from chargen.cli.program import program

    program()
