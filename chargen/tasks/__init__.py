"""Carry out what the command line and the Python interface both offer."""
