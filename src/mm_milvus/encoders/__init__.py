"""Encoders map images and texts into one vector space; `load_encoder` loads one by name.

base          the protocol of an encoder, its spec, and what every encoder does with its inputs
embed         embed_images: from image files to vectors
spelling      correction of typos in texts
snapshot      the files of a model: a local folder, or a download from the Hugging Face hub
torch         encoders made of two torch modules
transformers  models of the CLIP family, loaded by transformers
trained       projections that `train` learned over two frozen towers
compact       the bundled encoder
exported      encoders made of two graphs for ONNX Runtime, OpenVINO or TorchScript
load          load_encoder

Each imports only from those listed before it; `load` imports a subpackage when a model needs it.
"""
