"""Training: images with captions to an encoder whose vector space both share.

train      the verb: sources, recipe, loop, and the folder of the model
options    options of a training
documents  records of a source that can be trained on
features   a source to pairs, and to cached rows of its images and texts
views      decoded views of an image
towers     features of frozen towers
row_cache  rows by key, in files
pairs      documents with their captions; the split into training, validation and test
recipes    what is trained, and how it is saved: a projection, or a whole CLIP model
model      the trained modules, from cached rows to unit vectors
steps      the batches of an epoch, and the gradient of a batch
loss       the contrastive loss
metrics    recall in both directions
loop       epochs, validation, checkpoints
report     the report, the curves and the model card
"""
