"""Encoders made of two torch modules: an image tower and a text tower.

encoder       the towers, and the encoder of both
text_input    texts to batches of tokens
batching      batches that fit the device
cpu           faster float32 inference on x86 CPUs
efficientnet  EfficientNet-Lite0
"""
