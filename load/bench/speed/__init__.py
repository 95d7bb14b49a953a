"""How fast the cluster is, side by side with the physical limit and the naive design.

    python -m load.bench speed [--only MEASURE] [--quick] [--dirty]

One module a measure; ``measures`` has the table of them. What is compared runs in rounds that take
turns, each arm on the same core, and each measure has one arm twice (A/A): how far those two lie
apart is what this machine cannot tell.
"""
