"""The command line: a file a command; each parses, calls the library, and prints."""

from mm_milvus.cli.app import main

__all__ = ["main"]
