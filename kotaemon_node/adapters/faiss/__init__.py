"""Segments on FAISS."""

from kotaemon_node.adapters.faiss.marks import VerifiedMarks
from kotaemon_node.adapters.faiss.segment_format import FaissSegmentFormat

__all__ = ["FaissSegmentFormat", "VerifiedMarks"]
