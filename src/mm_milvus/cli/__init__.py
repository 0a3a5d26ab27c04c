"""The command line: one file per command; each parses, calls the library, and prints.

app         the application: its commands, errors and exit codes
options     options of commands, made from dataclasses of options
groups      options that several commands share
help        help pages as plain text
messages    names of options in messages
runs        what commands that go through a dataset share
findings    what classify and moderate print
hits        what query and demo print
input       files that are read line by line, or stdin
output      JSON that is safe to print
query_file  the file of `query --queries`
items       list, get, count, delete and export stored items
hide_token  keeps a token out of the list of processes
"""

from mm_milvus.cli.app import main

__all__ = ["main"]
