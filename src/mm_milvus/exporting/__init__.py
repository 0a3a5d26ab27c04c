"""Writes an encoder as graphs for a runtime, once its vectors are shown to be the same.

graphs  from torch modules to graph files
parity  cosines between the vectors of an exported encoder and its original's
export  the verb
"""
