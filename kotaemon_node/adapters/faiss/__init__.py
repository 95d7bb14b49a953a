"""Segments on FAISS."""

from kotaemon_node.adapters.faiss.marks import VERIFIED, VerifiedMarks
from kotaemon_node.adapters.faiss.segment_format import FaissSegmentFormat

__all__ = ["VERIFIED", "FaissSegmentFormat", "VerifiedMarks"]
