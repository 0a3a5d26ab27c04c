"""Pictures of results: a page, a terminal, a sheet."""
