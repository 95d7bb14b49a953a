"""Disturbs a running cluster while clients talk to it, and judges what they saw.

``target`` is the cluster from outside, ``writers`` talk and note facts, ``strikes`` hit workers at
chosen moments of their turns, ``faults`` disturb, ``kotaemon_node.proof`` judges, ``promises`` are
the thresholds, ``report`` tells. ``kotaemon chaos`` runs it on any cluster; ``load.chaos`` brings a
scene of its own.
"""
