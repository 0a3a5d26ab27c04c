"""Encoders written as graphs for a runtime: ONNX Runtime, OpenVINO, TorchScript.

Reading one imports neither transformers nor, but for TorchScript, torch; `write` does.
"""

from mm_milvus.encoders.exported.encoder import ExportedEncoder, load_exported

__all__ = ["ExportedEncoder", "load_exported"]
