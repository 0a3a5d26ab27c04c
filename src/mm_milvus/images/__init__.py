"""Image files to RGB pixels: size limits, orientation, colour modes; every failure has a reason.

load           load an image by path, URI, bytes, PIL image or array
decode         image files to RGB images, and to the pixels of an encoder
resize         resize and crop
preprocessing  the input that an encoder expects
"""
