"""Zero-shot judgement: images against texts, without training.

classify    the verb: the most probable label of each image
moderate    the verb: the images that a policy describes as unsafe
run         the run that both share
findings    files of findings
prompts     labels to one vector each, through templates
labels      the probabilities of labels
policy      what is unsafe, as prompts in a TOML file
moderation  the probabilities of a policy's categories
"""
