"""Encoders made of two torch modules: an image tower and a text tower.

encoder       the towers, and the encoder made of both
text_input    from texts to batches of tokens
device        devices, and batches that fit into their memory
cpu           faster float32 inference on x86 CPUs
efficientnet  EfficientNet-Lite0
fingerprint   fingerprints of models
"""
