def main() -> None:
    """Run the command line."""
    try:
        from chargen.cli.program import program
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    program()
