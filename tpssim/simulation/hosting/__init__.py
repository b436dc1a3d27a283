"""Code that waits by itself, under virtual time: the article's generators and other people's
throttles.
"""
