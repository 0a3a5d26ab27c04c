"""Encoders that `train` learned: a projection over the features of two frozen towers.

dual        the projection, and the encoder made with it
pair        two towers whose features need no common space
sentence    text towers: sentence models
classifier  image towers: classifiers
packaged    towers that come as Python packages
"""
