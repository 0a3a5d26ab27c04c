"""Encoders read from graphs, without transformers and (but for TorchScript) without torch.

encoder   the encoder
config    the facts of an exported folder: its mm_milvus.json
runtimes  ONNX Runtime, OpenVINO, TorchScript
tokens    texts to arrays of tokens
"""
