"""Encoders read from a folder of graphs that `export` wrote, without importing transformers.

config    the description of an exported folder: its mm_milvus.json
runtimes  graphs as functions of numpy arrays, by ONNX Runtime, OpenVINO or TorchScript
tokens    from texts to arrays of tokens
encoder   the encoder of an exported folder

Only TorchScript imports torch.
"""
