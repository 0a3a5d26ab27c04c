"""Models of the CLIP family, loaded by transformers from a folder without network access.

clip        the encoder of a CLIP-like model
pretrained  loads configs, models, tokenizers and processors
processor   image processors to `Preprocessing`
"""
