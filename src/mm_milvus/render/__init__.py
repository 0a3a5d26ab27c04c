"""Rendering: results that other packages computed, as pages, pictures and terminal output.

gallery        an HTML page of hits with their pictures
contact_sheet  one picture of titled rows of labelled thumbnails
terminal       pictures in a terminal
evaluation     the HTML report of an evaluation
inspection     the report and the pictures of an inspection
map_page       an HTML page with a map of embeddings
map_script     the style sheet and script of that page
caption_sheet  one picture of images with their nearest captions
plots          plots by matplotlib: maps, similarities, training curves
style          colours and the style sheet that pages and pictures share
"""
