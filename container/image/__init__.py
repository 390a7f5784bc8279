"""The image that agents run in: what it is made from, how it is built, and whether it fits the code.

ImageError                  no engine, no client, no network, a step that failed; the text says what to do
"""
