"""Writes an encoder as graphs for a runtime, and proves that its vectors are the same.

export  the verb
graphs  torch modules to graphs
check   cosines to the original
"""
