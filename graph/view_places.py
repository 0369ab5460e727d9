"""What a view is of, and where it was taken. These types lead to views themselves, so ``View`` refers to this module."""

from graph.assessment_scores import AssessmentScores
from graph.attempts import assessment_of
from graph.collections import Collection
from graph.contents import Content
from graph.contexts import Context
from graph.info import Info
from resolvers import assessment_scores, nouns


async def content_of(info: Info, key: nouns.ViewKey) -> Content | None:
    return await assessment_of(info, key.content_id)


async def collection_of(info: Info, key: nouns.ViewKey) -> Collection | None:
    found = await assessment_scores.collection_of(info.context, key)
    return None if found is None else Collection.of(found)


async def context_of(info: Info, key: nouns.ViewKey) -> Context | None:
    found = await assessment_scores.context_of(info.context, key)
    return None if found is None else Context.of(found, info.context.now())


async def scores_of(info: Info, key: nouns.ViewKey) -> AssessmentScores | None:
    found = await assessment_scores.scores_in(info.context, key)
    return None if found is None else AssessmentScores.of(found)


__all__ = ["AssessmentScores", "Collection", "Content", "Context"]
