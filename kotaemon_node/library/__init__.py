"""What the library face is made of: places where a talk is kept, and turns that are run here.

Behind ``kotaemon_node.conversation``, ``kotaemon_node.rag`` and ``kotaemon_node.tools``, which are
the names to import from.
"""
