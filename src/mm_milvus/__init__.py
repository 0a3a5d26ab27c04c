"""Search a pile of images and captions by text and by picture, on Milvus."""

__version__ = "0.1.0"
