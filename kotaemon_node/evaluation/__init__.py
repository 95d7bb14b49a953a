"""Experiments: a data set, a configuration and metrics to figures that come out the same again."""
