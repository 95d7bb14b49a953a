"""Text as a person sees it; the rules are the domain's: names of documents obey them, too."""

from kotaemon_node.domain.visible import one_line, visible_text

__all__ = ["one_line", "visible_text"]
