"""Graph: the stages of all cells, merged by key.

Invariants: a node's parent precedes it; no two nodes have the same key; a node has no evaluation twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from stilts.identity.stage import SHORT, BaseSpec, EvaluationSpec, StageSpec, Watched

SLUG_BYTES = 187
"""Largest size of a slug. With the key behind it, the name of a stage's folder has at most 200 bytes; file systems take
255."""


@dataclass
class Node:
    """A stage or base model, with its children and evaluations.

    Attributes:
        slug: the readable part of its name, which is not part of its identity.
        parent: key of its parent; None for a base model.
        children: keys of the stages that start from its weights.
        evaluations: its evaluations by path, in order of first use.
        watched: the evaluations during its training, by path.
        uses: number of cells whose chains contain it.
    """

    spec: StageSpec | BaseSpec
    slug: str
    parent: str | None
    children: list[str] = field(default_factory=list)
    evaluations: dict[str, EvaluationSpec] = field(default_factory=dict)
    watched: dict[str, Watched] = field(default_factory=dict)
    uses: int = 0

    @property
    def key(self) -> str:
        return self.spec.key

    @property
    def name(self) -> str:
        """Directory of the artifact under `stages/` in the store."""
        return f"{self.slug}-{self.key[:SHORT]}"

    @property
    def is_base(self) -> bool:
        return isinstance(self.spec, BaseSpec)


@dataclass
class Graph:
    """Nodes by key, parents first."""

    nodes: dict[str, Node] = field(default_factory=dict)

    def add(self, spec: StageSpec | BaseSpec, slug: str) -> Node:
        """Return the node with the key of this spec; create it if there is none. Its parent must have been added.

        Args:
            slug: for people only; a long one is shortened in the middle.
        """
        node = self.nodes.get(spec.key)
        if node is None:
            parent = spec.parent if isinstance(spec, StageSpec) else None
            node = self.nodes[spec.key] = Node(spec, bounded(slug), parent)
            if parent is not None:
                self.nodes[parent].children.append(spec.key)
        return node

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __len__(self) -> int:
        return len(self.nodes)

    def stages(self) -> list[Node]:
        """All nodes except the base models."""
        return [node for node in self if not node.is_base]


def bounded(slug: str) -> str:
    """The slug if it has at most `SLUG_BYTES` bytes in UTF-8, else its beginning and its end with `..` in between."""
    content = slug.encode()
    if len(content) <= SLUG_BYTES:
        return slug
    half = (SLUG_BYTES - 2) // 2
    begin, end = (part.decode(errors="ignore") for part in (content[:half], content[-half:]))
    return f"{begin.rstrip('-.')}..{end.lstrip('-.')}"
