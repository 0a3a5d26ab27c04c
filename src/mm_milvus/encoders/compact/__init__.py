"""The bundled encoder: small, offline, without a GPU; docs/reference/compact.md describes it.

encoder  the encoder; a text query needs numpy only
towers   its two towers as torch modules
"""
