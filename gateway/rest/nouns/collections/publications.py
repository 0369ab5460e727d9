"""Handlers of calls that publish. A publication goes on by itself; GraphQL's `publication` tells how far it is."""

from gateway.rest.framework.endpoints import Call
from gateway.rest.nouns.collections.answers import PublishTold
from gateway.rest.nouns.collections.requests import PublishCollection, PublishContent, checked_text
from resolvers import drafts, publications
from resolvers.nouns import Session

PublishCall = Call[PublishContent] | Call[PublishCollection]


async def publish(session: Session, call: PublishCall) -> PublishTold:
    return await _publish(session, call, unlisted=False)


async def publish_unlisted(session: Session, call: PublishCall) -> PublishTold:
    return await _publish(session, call, unlisted=True)


async def _publish(session: Session, call: PublishCall, *, unlisted: bool) -> PublishTold:
    version_key = checked_text(call.request.body, "versionKey")
    draft = await drafts.draft(session, call.path["identifier"])
    identifier = draft.identifier
    asked = await publications.publish(session, identifier, unlisted=unlisted, version_key=version_key)
    return {
        "identifier": identifier,
        "node_id": identifier,
        "content_id": identifier,
        "versionKey": draft.version_key,
        "publishStatus": f"Publish Operation for Content Id '{identifier}' Started Successfully!",
        "publicationId": asked.id,
    }
