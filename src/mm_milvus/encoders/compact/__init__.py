"""The bundled encoder: small, offline, without a GPU; docs/reference/compact.md describes it.

encoder  the encoder
towers   the same as two torch modules
"""
