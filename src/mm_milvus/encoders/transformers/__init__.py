"""Models of the CLIP family, loaded by transformers from a folder, without network access.

clip        loads the encoder of a model of the CLIP family
pretrained  loads configs, models, tokenizers and image processors
processor   from an image processor to a `Preprocessing`
"""
