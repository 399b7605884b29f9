"""Text and images to numbers, as trained: the tokenizer and the image processor, without torch.

An encoder is saved beside the weights and is the very one that served training, so that what a
bundle reads of an input is what the model learnt to read.
"""
