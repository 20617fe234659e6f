"""Graph: the stages of all cells, merged by key.

Invariants: a node's parent stands before it; two nodes never share a key; a node's evaluations hold no duplicates.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from stilts.identity.stage import SHORT, BaseSpec, EvaluationSpec, StageSpec, Watched


@dataclass
class Node:
    """A stage (or base model) with everything that hangs on it.

    Attributes:
        slug: readable part of its name; not identity.
        parent: key of the parent; None for a base.
        evaluations: by path, in order of first use.
        watched: what it is scored on during its training, by path.
        uses: number of cells whose chain passes through it.
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
        """The node of this spec, new or already there; its parent must have been added."""
        node = self.nodes.get(spec.key)
        if node is None:
            parent = spec.parent if isinstance(spec, StageSpec) else None
            node = self.nodes[spec.key] = Node(spec, slug, parent)
            if parent is not None:
                self.nodes[parent].children.append(spec.key)
        return node

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __len__(self) -> int:
        return len(self.nodes)

    def stages(self) -> list[Node]:
        """The nodes that train, without the base models."""
        return [node for node in self if not node.is_base]
