"""Encoders that `train` learned: a projection over the features of two frozen towers.

packaged    the towers that come as Python packages
sentence    text towers: sentence models
classifier  image towers: image classifiers
pair        two towers whose features share no vector space
dual        the projection of a pair's features into one space, and the encoder made with it
"""
