"""Image files to RGB pixels: limits, orientation, colour modes; every failure has a reason.

decode         image files to pixels
jpeg           what only JPEG has: scans, and decoding at a part of the size
preprocessing  how an image becomes the input of an encoder
"""
