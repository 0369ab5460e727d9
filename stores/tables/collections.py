"""Contents, collections and contexts."""

from stores.columns import BLOB, BOOLEAN, DOUBLE, INT, TEXT, TIMESTAMP, Column, SetOf, Table

CONTENTS = Table(
    "content",
    comment="Metadata of a collection, unit or leaf; root and live_version point to the published tree",
    partition={"identifier": TEXT},
    columns={
        "name": TEXT,
        "kind": TEXT,
        "status": TEXT,
        "mime_type": TEXT,
        "leaf_nodes_count": INT,
        "root": TEXT,
        "live_version": INT,
        "digest": TEXT,
        "published_on": TIMESTAMP,
        "metadata": Column(TEXT, since=4),
        "metadata_left": Column(SetOf(TEXT), since=5),
    },
)

DRAFTS = Table(
    "content_draft",
    comment="What authors edit of a content or a collection, by conditions on version_key alone; its last publication",
    since=5,
    partition={"identifier": TEXT},
    columns={
        "kind": TEXT,
        "status": TEXT,
        "mime_type": TEXT,
        "metadata": TEXT,
        "version_key": TEXT,
        "form_key": TEXT,
        "imported": BOOLEAN,
        "publication": TEXT,
        "created_by": TEXT,
        "created_on": TIMESTAMP,
        "updated_by": TEXT,
        "updated_on": TIMESTAMP,
    },
)

HIERARCHIES = Table(
    "content_hierarchy",
    comment="zlib, in chunks: live versions (content.live_version), edit forms (content_draft.form_key), what a publish froze",
    partition={"identifier": TEXT, "mode": TEXT},
    clustering={"version": INT, "chunk": INT},
    columns={"chunks": INT, "data": BLOB},
)

RELATIONS = Table(
    "hierarchy_relations",
    comment="What progress needs of each node of a published version; the root's row has unchanged_since",
    partition={"root": TEXT, "version": INT},
    clustering={"node": TEXT},
    columns={
        "leaf_nodes": SetOf(TEXT),
        "optional_nodes": SetOf(TEXT),
        "ancestors": SetOf(TEXT),
        "claimed_by": Column(TEXT, since=5),
        "unchanged_since": Column(INT, since=5),
        "pass_mark": Column(DOUBLE, since=6),
    },
)

NODE_ROOTS = Table(
    "node_roots",
    comment="Which published collections hold this leaf or unit",
    partition={"node": TEXT},
    clustering={"root": TEXT},
    columns={"version": INT},
)

CONTEXTS = Table(
    "context",
    comment="A batch, program, event …",
    partition={"contextid": TEXT},
    columns={
        "type": TEXT,
        "name": TEXT,
        "description": TEXT,
        "collections": SetOf(TEXT),
        "start_date": TIMESTAMP,
        "end_date": TIMESTAMP,
        "opens_on": TIMESTAMP,
        "enrolment_end_date": TIMESTAMP,
        "enrolment_type": TEXT,
        "mentors": SetOf(TEXT),
        "buckets": INT,
        "created_by": TEXT,
        "created_on": TIMESTAMP,
        "updated_on": TIMESTAMP,
    },
)

CONTEXTS_OF_COLLECTIONS = Table(
    "context_by_collection",
    comment="Which contexts a collection has; the context decides. USING TIMESTAMP of the context's updated_on",
    since=5,
    partition={"collectionid": TEXT},
    clustering={"joinable_until": TIMESTAMP, "contextid": TEXT},
    columns={"type": TEXT},
)

CONTEXTS_OF_PEOPLE = Table(
    "context_by_person",
    comment="Which contexts somebody mentors or created; the context decides. USING TIMESTAMP of the context's updated_on",
    since=8,
    partition={"userid": TEXT},
    clustering={"relation": TEXT, "contextid": TEXT},
    columns={"type": TEXT},
)
