"""Pages, pictures and terminal output of results that other packages computed."""
