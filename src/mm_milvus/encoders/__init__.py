"""Encoders map images and texts into one vector space; `load_encoder` loads one by name.

load          load_encoder
base          the protocol of an encoder, and its facts
torch         encoders made of two torch modules
transformers  models of the CLIP family, from the hub or a folder
trained       projections that `train` learned over two frozen towers
compact       the bundled encoder
exported      graphs for ONNX Runtime, OpenVINO and TorchScript
snapshot      the files of a model: a folder, or a download from the hub
folder        the kind of a model that mm-milvus wrote
fingerprint   fingerprints of models
distinct      each distinct text once, those of similar length together
spelling      correction of typos
"""
