"""What learners scored in activities, out of the slim attempts: right before any worker has run."""

from collections.abc import Sequence

from loaders.attempts import attempts_by_key
from loaders.library import Library
from rules.identifiers import ProgressKey
from rules.scores import ActivityScore, activity_score, scores_by_content
from rules.tracking import Tracking
from stores.rows import Rows


async def activity_scores(
    rows: Rows, library: Library, tracking: Tracking, keys: Sequence[ProgressKey]
) -> list[ActivityScore]:
    """The score of the collection itself under each key, out of its leaves in the live tree. Of a collection that is gone,
    out of all that was attempted in it.

    One statement for all keys, whatever they are many, beside the trees, which the process keeps.
    """
    published = await library.published(list({key.collection_id for key in keys}))
    trees = {identifier: tree for identifier, (_, tree) in published.items() if tree is not None}
    attempts = await attempts_by_key(rows, tracking, keys, trees)

    def score(key: ProgressKey) -> ActivityScore:
        scores, tree = scores_by_content(attempts[key]), trees.get(key.collection_id)
        if tree is None:
            return activity_score(scores)
        leaves = {content: each for content, each in scores.items() if content in tree.leaf_nodes}
        return activity_score(leaves, tree.pass_marks)

    return [score(key) for key in keys]
