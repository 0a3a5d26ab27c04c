"""Zero-shot judgement: images against texts to findings, without training.

classify  the verb: the most probable labels of each image
moderate  the verb: the images that a policy describes as unsafe
run       the run that both share
labels    probabilities of labels, through prompt templates
policy    what is unsafe, as prompts in a TOML file, and the probabilities of its categories
findings  files of findings
"""
