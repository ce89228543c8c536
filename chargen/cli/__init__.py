import gc

OBJECTS_BETWEEN_COLLECTIONS = 10_000  # by default 700: loading modules, which leaves no garbage, would collect a hundred times


def main() -> None:
    """Run the command line."""
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    try:
        from chargen.cli.program import program

        program()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    finally:
        gc.freeze()  # the system takes back all memory at the exit, so no objects need to be examined before it
